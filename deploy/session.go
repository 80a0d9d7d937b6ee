package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/podyard/podyard/reconcile"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/status"
)

// Exec runs a command in a container. The event names the program and not its arguments, which may hold a password.
func (d *Deployer) Exec(ctx context.Context, request status.ExecRequest, streams status.Streams) (int, error) {
	if len(request.Command) == 0 {
		return 0, status.Errorf(status.ErrInvalid, "no command to run")
	}
	pod, c, err := d.running(ctx, request.ContainerName)
	if err != nil {
		return 0, err
	}
	d.happened(pod, "Exec", fmt.Sprintf("command %s is run in container %s, by podyard exec", request.Command[0], c.Name))
	options := runtime.ExecOptions{Command: request.Command, Stdin: streams.Stdin, TTY: request.TTY, Resize: resize(ctx, streams.Resize)}
	code, err := d.options.Runtime.Exec(ctx, c.ID, options, streams.Stdout, streams.Stderr)
	if errors.Is(err, runtime.ErrNoProgram) { // a shell says so and ends with that code
		err = noProgram(streams.Stderr, err, request, c.Name)
	}
	return code, viewError(err)
}

func noProgram(w io.Writer, err error, request status.ExecRequest, container string) error {
	eol := "\n"
	if request.TTY {
		eol = "\r\n"
	}
	_, err = fmt.Fprintf(w, "podyard: %v%spodyard debug %s --image busybox:1.37 --target %s brings programs that the image has not%s",
		err, eol, request.Pod, container, eol)
	return err
}

// Attach connects to a container's main process, or shows the log of one that has ended, if that is wanted.
func (d *Deployer) Attach(ctx context.Context, request status.AttachRequest, streams status.Streams) (int, error) {
	pod, c, err := d.running(ctx, request.ContainerName)
	if ended := c != nil && c.State == runtime.Exited && request.Logs; err != nil && !ended {
		return 0, err
	}
	if err := attachable(pod, c.Name, request); err != nil {
		return 0, err
	}
	d.happened(pod, "Attach", fmt.Sprintf("somebody is attached to container %s, by podyard attach", c.Name))
	options := runtime.AttachOptions{Stdin: streams.Stdin, Resize: resize(ctx, streams.Resize), Logs: request.Logs}
	if err := d.options.Runtime.Attach(ctx, c.ID, options, streams.Stdout, streams.Stderr); err != nil {
		return 0, viewError(err)
	}
	return d.endOf(ctx, c.ID), nil
}

// attachable refuses what a container was not made for: the engine would take input that nobody ever reads.
func attachable(pod *runtime.Pod, name string, request status.AttachRequest) error {
	c := containerOf(pod, name)
	switch {
	case c == nil: // podyard debug made it for this
	case request.Stdin && !c.Stdin:
		return status.Errorf(status.ErrInvalid, "container %s of pod %s reads no input: attach without -i to see what it writes, or set stdin: true in its manifest; podyard exec -i %[2]s runs a command that reads some",
			name, pod.Manifest.Name)
	case request.TTY && !c.TTY:
		return status.Errorf(status.ErrInvalid, "container %s of pod %s has no terminal: attach without -t, or set tty: true in its manifest", name, pod.Manifest.Name)
	}
	return nil
}

// endOf waits a moment for a container to have ended, and returns its exit code; 0 for one that runs on.
func (d *Deployer) endOf(ctx context.Context, id string) int {
	for range 20 {
		state, err := d.options.Runtime.State(ctx)
		if err != nil {
			return 0
		}
		for _, pod := range state.Pods {
			for _, c := range pod.Containers {
				if c.ID == id && c.State == runtime.Exited {
					return c.ExitCode
				}
			}
		}
		select {
		case <-ctx.Done():
			return 0
		case <-time.After(50 * time.Millisecond):
		}
	}
	return 0
}

// Debug adds an ephemeral container to a pod that runs. Like kubectl debug's profile "general", it may trace processes.
func (d *Deployer) Debug(ctx context.Context, request status.DebugRequest) error {
	pod, err := d.pod(ctx, request.ContainerName)
	if err != nil {
		return err
	}
	if err := checkDebug(pod, request); err != nil {
		return err
	}
	c := corev1.EphemeralContainer{TargetContainerName: request.Target}
	c.Name, c.Image, c.Command = request.Container, request.Image, request.Command
	// StdinOnce: the container ends with whoever it was made for.
	c.Stdin, c.StdinOnce, c.TTY = request.Stdin, request.Stdin, request.TTY
	c.TerminationMessagePolicy = corev1.TerminationMessageReadFile
	c.SecurityContext = &corev1.SecurityContext{Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"SYS_PTRACE"}}}
	if _, err := d.reconciler.Debug(ctx, pod.Manifest.Namespace, pod.Manifest.Name, c); err != nil {
		return viewError(err)
	}
	d.happened(pod, "Debug", fmt.Sprintf("container %s with image %s was added, by podyard debug", c.Name, c.Image))
	d.watchers.signal()
	return nil
}

// checkDebug has upstream's rules (pkg/apis/core/validation/validation.go, validateEphemeralContainers).
func checkDebug(pod *runtime.Pod, request status.DebugRequest) error {
	object := "pod " + request.Pod
	if request.Image == "" || strings.TrimSpace(request.Image) != request.Image {
		return status.Errorf(status.ErrInvalid, "debug %s: say which image to run", object)
	}
	if wrong := validation.IsDNS1123Label(request.Container); len(wrong) > 0 {
		return status.Errorf(status.ErrInvalid, "container name %q: %s", request.Container, strings.Join(wrong, "; "))
	}
	if plan.Latest(pod, request.Container) != nil || containerOf(pod, request.Container) != nil {
		return status.Errorf(status.ErrConflict, "%s has a container %s already, choose another name", object, request.Container)
	}
	if request.Target != "" {
		if target := containerOf(pod, request.Target); target == nil {
			return status.Errorf(status.ErrNotFound, "%s has no container %s to look into; it has %s", object, request.Target, strings.Join(names(pod), ", "))
		}
		if c := plan.Latest(pod, request.Target); c == nil || c.State != runtime.Running {
			return status.Errorf(status.ErrConflict, "container %s of %s does not run, so there is nothing to look into", request.Target, object)
		}
	}
	if pod.Phase != runtime.Running || pod.Stopping {
		return status.Errorf(status.ErrConflict, "%s does not run", object)
	}
	return nil
}

// pod finds a pod that the engine has.
func (d *Deployer) pod(ctx context.Context, name status.ContainerName) (*runtime.Pod, error) {
	state, err := d.options.Runtime.State(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(state.Pods, func(p runtime.Pod) bool { return p.Manifest.Namespace == name.Namespace && p.Manifest.Name == name.Pod })
	switch {
	case i < 0 && d.waits(name):
		return nil, status.Errorf(status.ErrConflict, "pod %s/%s is not created yet; podyard status %s/%s says what it waits for",
			name.Namespace, name.Pod, name.Namespace, name.Pod)
	case i < 0:
		return nil, fmt.Errorf("pod %s/%s: %w; podyard status lists the pods", name.Namespace, name.Pod, status.ErrNotFound)
	}
	return &state.Pods[i], nil
}

// waits tells whether a pod is wanted, and the engine has none yet.
func (d *Deployer) waits(name status.ContainerName) bool {
	return slices.ContainsFunc(d.reconciler.Status().Result.Objects, func(o plan.ObjectStatus) bool {
		return o.Kind == "Pod" && o.Namespace == name.Namespace && o.Name == name.Pod
	})
}

// running finds the latest attempt of a container. One that does not run comes with an error.
func (d *Deployer) running(ctx context.Context, name status.ContainerName) (*runtime.Pod, *runtime.Container, error) {
	pod, err := d.pod(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	c, err := attempt(pod, name)
	if err != nil {
		return pod, nil, err
	}
	if c.State != runtime.Running {
		return pod, c, status.Errorf(status.ErrConflict, "container %s of pod %s does not run; podyard status %s says why", c.Name, name.Pod, name.Pod)
	}
	return pod, c, nil
}

// attempt is the latest attempt of the container that is meant.
func attempt(pod *runtime.Pod, name status.ContainerName) (*runtime.Container, error) {
	if name.Container == "" {
		var err error
		if name.Container, err = defaultContainer(pod, name); err != nil {
			return nil, err
		}
	}
	c := plan.Latest(pod, name.Container)
	switch {
	case c != nil:
		return c, nil
	case containerOf(pod, name.Container) != nil:
		return nil, status.Errorf(status.ErrConflict, "container %s of pod %s was not started yet; podyard status %s says what it waits for",
			name.Container, name.Pod, name.Pod)
	}
	return nil, status.Errorf(status.ErrNotFound, "pod %s has no container %s; it has %s", name.Pod, name.Container, strings.Join(names(pod), ", "))
}

// annotationDefault names the container that is meant when none is named (k8s.io/kubectl/pkg/cmd/util/podcmd).
const annotationDefault = "kubectl.kubernetes.io/default-container"

// defaultContainer is the container of the annotation, or the only app container.
func defaultContainer(pod *runtime.Pod, name status.ContainerName) (string, error) {
	if annotated := pod.Manifest.Annotations[annotationDefault]; annotated != "" && containerOf(pod, annotated) != nil {
		return annotated, nil
	}
	if len(pod.Manifest.Spec.Containers) != 1 {
		return "", status.Errorf(status.ErrInvalid, "pod %s has several containers, say which with -c: %s", name.Pod, strings.Join(names(pod), ", "))
	}
	return pod.Manifest.Spec.Containers[0].Name, nil
}

// containerOf is a container of the manifest; nil if it has none of that name.
func containerOf(pod *runtime.Pod, name string) *corev1.Container {
	for _, list := range [][]corev1.Container{pod.Manifest.Spec.Containers, pod.Manifest.Spec.InitContainers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}

// names are all containers of a pod, as kubectl words them.
func names(pod *runtime.Pod) []string {
	var out []string
	for _, c := range pod.Manifest.Spec.Containers {
		out = append(out, c.Name)
	}
	for _, c := range pod.Manifest.Spec.InitContainers {
		out = append(out, c.Name+" (init)")
	}
	for _, c := range pod.Containers {
		if name := c.Name + " (ephem)"; c.Ephemeral && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// happened records that somebody at the control socket did something. Who is not known: the socket has one owner.
func (d *Deployer) happened(pod *runtime.Pod, reason, message string) {
	d.record(reconcile.Event{
		Time: time.Now(), Type: corev1.EventTypeNormal, Reason: reason, Message: message,
		Object: fmt.Sprintf("Pod %s/%s", pod.Manifest.Namespace, pod.Manifest.Name),
	})
}

// viewError gives an error of the runtime the kind by which the command line knows it.
func viewError(err error) error {
	for from, to := range map[error]error{runtime.ErrNotFound: status.ErrNotFound, runtime.ErrInvalid: status.ErrInvalid} {
		if errors.Is(err, from) {
			return &kindError{err, to}
		}
	}
	return err
}

// kindError says what err says, and is of another kind as well.
type kindError struct{ err, kind error }

func (e *kindError) Error() string   { return e.err.Error() }
func (e *kindError) Unwrap() []error { return []error{e.err, e.kind} }

// resize hands sizes on until ctx ends.
func resize(ctx context.Context, from <-chan status.TerminalSize) <-chan runtime.TerminalSize {
	to := make(chan runtime.TerminalSize)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case size, open := <-from:
				if !open {
					return
				}
				select {
				case to <- runtime.TerminalSize(size):
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return to
}
