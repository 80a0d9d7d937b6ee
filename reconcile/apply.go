package reconcile

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

// apply carries out one action.
func (r *Reconciler) apply(ctx context.Context, set *manifests.Set, action plan.Action) error {
	switch a := action.(type) {
	case plan.PullImage:
		return r.pullImage(ctx, set, a)
	case plan.CreatePod:
		return r.createPod(ctx, set, a)
	case plan.StartSandbox:
		return r.startSandbox(ctx, set, a)
	case plan.StartContainer:
		return r.startContainer(ctx, set, a)
	case plan.StopContainer:
		return r.stopContainer(ctx, a)
	case plan.RemoveContainer:
		return r.runtime.RemoveContainer(ctx, a.ContainerID)
	case plan.UpdateVolume:
		return r.updateVolume(ctx, set, a)
	case plan.KillPod:
		return r.killPod(ctx, a)
	case plan.DeletePod:
		return r.deletePod(ctx, set, a)
	case plan.RemoveVolume:
		return r.runtime.RemoveVolume(ctx, a.Volume)
	case plan.PublishPorts:
		return publishError(r.runtime.Publish(ctx, a.Publication))
	case plan.UnpublishPorts:
		return r.runtime.Unpublish(ctx, a.Namespace, a.Name)
	case plan.WriteNote:
		return r.writeNote(a)
	default:
		return fmt.Errorf("unknown action %T", action)
	}
}

// createPod creates the sandbox, creates the containers while it starts, and starts them. Interrupted anywhere, it
// leaves what the next plan recognises and finishes.
func (r *Reconciler) createPod(ctx context.Context, set *manifests.Set, a plan.CreatePod) error {
	o, err := r.origin(ctx, set, "")
	if err != nil {
		return err
	}
	config, err := o.sandboxConfig(a.Pod)
	if err != nil {
		return err
	}
	sandbox, err := r.runtime.CreateSandbox(ctx, config)
	if err != nil {
		return engineError(failedCreatePodSandBox, "", err)
	}
	ids := make([]string, len(a.Containers))
	steps, stepCtx := errgroup.WithContext(ctx)
	steps.Go(func() error { return r.openSandbox(stepCtx, set, a.Pod, sandbox, config.Volumes) })
	steps.Go(func() (err error) {
		for i, name := range a.Containers {
			if ids[i], err = r.createContainer(stepCtx, set, sandbox, a.Pod, plan.StartContainer{Container: name}); err != nil {
				return err
			}
		}
		return nil
	})
	if err := steps.Wait(); err != nil {
		return err
	}
	return r.startInOrder(ctx, sandbox, a.Pod, a.Containers, ids)
}

// startInOrder starts each container after the one before it, and after the postStart hook of that. One that fails does
// not keep the others from starting, as with the kubelet; the first error is returned.
func (r *Reconciler) startInOrder(ctx context.Context, sandbox string, pod *corev1.Pod, names, ids []string) (first error) {
	for i, name := range names {
		err := r.runContainer(ctx, sandbox, pod, containerSpec(pod, name), ids[i])
		if errors.Is(err, errPodStops) || ctx.Err() != nil {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// openSandbox starts a sandbox and fills its volumes.
func (r *Reconciler) openSandbox(ctx context.Context, set *manifests.Set, pod *corev1.Pod, id string, volumes []runtime.Volume) error {
	if err := r.runtime.StartSandbox(ctx, id); err != nil {
		return sandboxError(err)
	}
	for _, v := range volumes {
		if v.Kind != runtime.Files {
			continue
		}
		if err := r.writeVolume(ctx, id, v, plan.FilesHash(set, pod, findVolume(pod, v.Name))); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reconciler) startSandbox(ctx context.Context, set *manifests.Set, a plan.StartSandbox) error {
	pod, err := r.observedPod(ctx, a.SandboxID)
	if err != nil {
		return err
	}
	return r.reopenSandbox(ctx, set, pod)
}

// reopenSandbox starts a sandbox again. Only the volumes of files are made anew: what else the pod mounts was settled
// when it was created.
func (r *Reconciler) reopenSandbox(ctx context.Context, set *manifests.Set, pod *runtime.Pod) error {
	o, err := r.origin(ctx, set, pod.IP)
	if err != nil {
		return err
	}
	var volumes []runtime.Volume
	for i := range pod.Manifest.Spec.Volumes {
		if v := &pod.Manifest.Spec.Volumes[i]; isFiles(v) {
			volume, err := o.volume(pod.Manifest, v)
			if err != nil {
				return failed(failedMount, "", err)
			}
			volumes = append(volumes, volume)
		}
	}
	return r.openSandbox(ctx, set, pod.Manifest, pod.ID, volumes)
}

// startContainer starts one attempt. The first one after the sandbox started writes the volumes again: those in memory
// are empty after a restart of the engine.
func (r *Reconciler) startContainer(ctx context.Context, set *manifests.Set, a plan.StartContainer) error {
	pod, err := r.observedPod(ctx, a.SandboxID)
	if err != nil {
		return err
	}
	if !anyStartedSinceSandbox(pod) {
		if err := r.reopenSandbox(ctx, set, pod); err != nil {
			return err
		}
	}
	id, err := r.createContainer(ctx, set, pod.ID, pod.Manifest, a)
	if err != nil {
		return err
	}
	return r.runContainer(ctx, pod.ID, pod.Manifest, containerSpec(pod.Manifest, a.Container), id)
}

func anyStartedSinceSandbox(pod *runtime.Pod) bool {
	for _, c := range pod.Containers {
		if !c.StartedAt.IsZero() && !c.StartedAt.Before(pod.StartedAt) {
			return true
		}
	}
	return false
}

// createContainer creates an attempt from the bytes it is pinned to, or from what the reference names if those are gone.
func (r *Reconciler) createContainer(ctx context.Context, set *manifests.Set, sandbox string, pod *corev1.Pod, a plan.StartContainer) (string, error) {
	state, err := r.state(ctx)
	if err != nil {
		return "", err
	}
	o := origin{set: set, state: state, services: r.services()}
	if observed := findPod(state, sandbox); observed != nil {
		o.ip = observed.IP
	}
	config, err := o.containerConfig(pod, a)
	if err != nil {
		return "", failed(createContainerConfigError, a.Container, err)
	}
	id, err := r.runtime.CreateContainer(ctx, sandbox, config)
	if errors.Is(err, runtime.ErrNotFound) && config.ImageID != "" {
		config.ImageID = ""
		id, err = r.runtime.CreateContainer(ctx, sandbox, config)
	}
	return id, engineError(createContainerError, a.Container, err)
}

// runContainer starts a container that was created, and runs its postStart hook.
func (r *Reconciler) runContainer(ctx context.Context, sandbox string, pod *corev1.Pod, spec *corev1.Container, id string) error {
	if spec.Lifecycle == nil || spec.Lifecycle.PostStart == nil {
		return engineError(runContainerError, spec.Name, r.runtime.StartContainer(ctx, id))
	}
	observed, err := r.observedPod(ctx, sandbox)
	if err != nil {
		return err
	}
	// From before it runs, so that no round takes it for started meanwhile.
	hookCtx, hook := r.beginHook(ctx, sandbox, id, postStart)
	defer r.endHook(hook)
	if err := r.runtime.StartContainer(ctx, id); err != nil {
		return engineError(runContainerError, spec.Name, err)
	}
	r.watchHook(hook)
	return r.postStart(ctx, hookCtx, observed, spec, id)
}

// updateVolume writes what a volume shows by the commit.
func (r *Reconciler) updateVolume(ctx context.Context, set *manifests.Set, a plan.UpdateVolume) error {
	pod, err := r.observedPod(ctx, a.SandboxID)
	if err != nil {
		return err
	}
	spec := findVolume(pod.Manifest, a.Volume)
	if spec == nil {
		return fmt.Errorf("pod %s has no volume %s", a.PodRef, a.Volume)
	}
	o, err := r.origin(ctx, set, pod.IP)
	if err != nil {
		return err
	}
	volume, err := o.volume(pod.Manifest, spec)
	if err != nil {
		return failed(failedMount, "", err)
	}
	return r.writeVolume(ctx, a.SandboxID, volume, a.Hash)
}

// origin is where a configuration comes from now.
func (r *Reconciler) origin(ctx context.Context, set *manifests.Set, ip string) (origin, error) {
	state, err := r.state(ctx)
	return origin{set: set, state: state, services: r.services(), ip: ip}, err
}

// services are those of the last plan: they are as good as in force, and pods of the same commit see them.
func (r *Reconciler) services() []*corev1.Service {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.planned
}

func (r *Reconciler) observedPod(ctx context.Context, sandbox string) (*runtime.Pod, error) {
	state, err := r.state(ctx)
	if err != nil {
		return nil, err
	}
	if pod := findPod(state, sandbox); pod != nil {
		return pod, nil
	}
	return nil, fmt.Errorf("sandbox %s: %w", sandbox, runtime.ErrNotFound)
}

func findPod(state *runtime.State, sandbox string) *runtime.Pod {
	for i := range state.Pods {
		if state.Pods[i].ID == sandbox {
			return &state.Pods[i]
		}
	}
	return nil
}
