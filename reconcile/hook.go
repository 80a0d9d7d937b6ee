package reconcile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

// hook is a lifecycle hook under way.
type hook struct {
	// sandbox and container by ID.
	sandbox, container string
	when               hookTime
	// since counts observations: one that began later and does not show the container running ends the hook.
	since  uint64
	cancel context.CancelCauseFunc
}

type hookTime string

const (
	postStart hookTime = "postStart"
	preStop   hookTime = "preStop"
)

// What ends a hook before its time.
var (
	errContainerEnded = errors.New("the container ended")
	errPodStops       = errors.New("the pod is being stopped")
)

// beginHook notes a hook. From now on the container counts as Starting, if it is a postStart hook.
func (r *Reconciler) beginHook(ctx context.Context, sandbox, container string, when hookTime) (context.Context, *hook) {
	ctx, cancel := context.WithCancelCause(ctx)
	h := &hook{sandbox: sandbox, container: container, when: when, since: math.MaxUint64, cancel: cancel}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hooks[h] = true
	return ctx, h
}

// watchHook: the container runs by now; the hook ends when it does.
func (r *Reconciler) watchHook(h *hook) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h.since = r.looks
}

func (r *Reconciler) endHook(h *hook) {
	h.cancel(nil)
	r.mu.Lock()
	delete(r.hooks, h)
	r.mu.Unlock()
	r.lookAgain()
}

// markHooks says which containers are starting, and ends the hooks of those that do not run any more. The caller holds
// mu; look is the number of the observation.
func (r *Reconciler) markHooks(state *runtime.State, look uint64) {
	running := map[string]*runtime.Container{}
	for i := range state.Pods {
		for j := range state.Pods[i].Containers {
			if c := &state.Pods[i].Containers[j]; c.State == runtime.Running {
				running[c.ID] = c
			}
		}
	}
	for h := range r.hooks {
		c := running[h.container]
		switch {
		case c != nil && h.when == postStart:
			c.Starting = true
		case c == nil && look > h.since:
			h.cancel(errContainerEnded)
		}
	}
}

// interruptStart ends the postStart hooks of a pod that is to stop, so that the action they belong to makes way. It tells
// whether there were any. The caller holds mu.
func (r *Reconciler) interruptStart(sandbox string) (interrupted bool) {
	for h := range r.hooks {
		if h.sandbox == sandbox && h.when == postStart {
			h.cancel(errPodStops)
			interrupted = true
		}
	}
	return interrupted
}

// postStart runs the hook of a container that has just started. If it fails, the container is killed and its restart
// policy applies; upstream: startContainer (pkg/kubelet/kuberuntime/kuberuntime_container.go). The hook keeps no worker
// from others: it mostly waits.
func (r *Reconciler) postStart(ctx, hookCtx context.Context, pod *runtime.Pod, spec *corev1.Container, id string) error {
	takeBack := r.lendWorker(ctx)
	defer takeBack()
	err := r.runHook(hookCtx, pod, id, spec, spec.Lifecycle.PostStart)
	switch cause := context.Cause(hookCtx); {
	case err == nil, ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(cause, errPodStops):
		return errPodStops
	case errors.Is(cause, errContainerEnded):
		return nil // how the container ended says more than that its hook did not
	}
	err = fmt.Errorf("postStart hook of container %s/%s/%s: %w", pod.Manifest.Namespace, pod.Manifest.Name, spec.Name, err)
	if kill := r.stopOne(ctx, pod, &runtime.Container{ID: id, Name: spec.Name}, podGrace(pod.Manifest), nil); kill != nil {
		err = fmt.Errorf("%w; and it was not stopped: %w", err, kill)
	}
	return failed(postStartHookError, spec.Name, err)
}

// preStop runs the hook of a container that is about to be told to stop, once. Its failure is an event and no more.
// Upstream: executePreStopHook.
func (r *Reconciler) preStop(ctx context.Context, pod *runtime.Pod, c *runtime.Container, grace time.Duration) {
	spec := containerSpec(pod.Manifest, c.Name)
	if c.Ephemeral || spec == nil || spec.Lifecycle == nil || spec.Lifecycle.PreStop == nil || r.wasPreStopped(c.ID) {
		return
	}
	bounded, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	hookCtx, h := r.beginHook(bounded, pod.ID, c.ID, preStop)
	r.watchHook(h)
	err := r.runHook(hookCtx, pod, c.ID, spec, spec.Lifecycle.PreStop)
	cause := context.Cause(hookCtx)
	r.endHook(h)
	if ctx.Err() != nil {
		return
	}
	r.notePreStopped(c.ID)
	if err == nil || errors.Is(cause, errContainerEnded) {
		return
	}
	if bounded.Err() != nil {
		err = fmt.Errorf("it was not done within the grace period of %s", grace.Round(time.Second))
	}
	r.warn(pod, failedPreStopHook, fmt.Sprintf("preStop hook of container %s failed: %v", c.Name, err))
}

func (r *Reconciler) wasPreStopped(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.preStopped[id]
}

func (r *Reconciler) notePreStopped(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.preStopped[id] = true
}

// runHook carries out a hook. Upstream: handlerRunner.Run (pkg/kubelet/lifecycle/handlers.go). What a command prints and
// a server answers may be secret and is not kept.
func (r *Reconciler) runHook(ctx context.Context, pod *runtime.Pod, id string, spec *corev1.Container, handler *corev1.LifecycleHandler) error {
	switch {
	case handler.Exec != nil:
		code, err := r.runtime.Exec(ctx, id, runtime.ExecOptions{Command: handler.Exec.Command}, io.Discard, io.Discard)
		if err == nil && code != 0 {
			err = fmt.Errorf("its command ended with exit code %d", code)
		}
		return err
	case handler.HTTPGet != nil, handler.TCPSocket != nil:
		return r.askHook(ctx, pod, id, spec, corev1.ProbeHandler{HTTPGet: handler.HTTPGet, TCPSocket: handler.TCPSocket})
	case handler.Sleep != nil:
		if !sleep(ctx, time.Duration(handler.Sleep.Seconds)*time.Second) {
			return fmt.Errorf("container terminated before sleep hook finished")
		}
		return nil
	}
	return fmt.Errorf("it says nothing to do")
}

// askHook asks a server. Any answer will do, whatever its status; and a server that speaks HTTP where HTTPS was asked for
// is asked again without: so does upstream's runHTTPHandler.
func (r *Reconciler) askHook(ctx context.Context, pod *runtime.Pod, id string, spec *corev1.Container, handler corev1.ProbeHandler) error {
	handler, err := resolvePorts(handler, spec)
	if err != nil {
		return err
	}
	result, err := r.runtime.Probe(ctx, pod, id, handler)
	if err == nil && handler.HTTPGet != nil && strings.Contains(result.Message, "server gave HTTP response to HTTPS client") {
		result, err = r.runtime.Probe(ctx, pod, id, overHTTP(handler))
	}
	if err != nil || result.OK || strings.HasPrefix(result.Message, answeredPrefix) {
		return err
	}
	return errors.New(result.Message)
}

// answeredPrefix begins the message of a probe that was answered with a status beyond 399 (pkg/probe/http/http.go).
const answeredPrefix = "HTTP probe failed with statuscode: "

// overHTTP is the same question in the clear, and so without credentials.
func overHTTP(handler corev1.ProbeHandler) corev1.ProbeHandler {
	get := handler.HTTPGet.DeepCopy()
	get.Scheme = corev1.URISchemeHTTP
	var headers []corev1.HTTPHeader
	for _, h := range get.HTTPHeaders {
		if !strings.EqualFold(h.Name, "Authorization") {
			headers = append(headers, h)
		}
	}
	get.HTTPHeaders = headers
	return corev1.ProbeHandler{HTTPGet: get}
}
