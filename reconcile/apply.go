package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

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
		return r.pullImage(ctx, a)
	case plan.CreatePod:
		return r.createPod(ctx, set, a)
	case plan.StartSandbox:
		return r.startSandbox(ctx, set, a)
	case plan.StartContainer:
		return r.startContainer(ctx, set, a)
	case plan.StopContainer:
		return r.runtime.StopContainer(ctx, a.ContainerID, a.Grace)
	case plan.RemoveContainer:
		return r.runtime.RemoveContainer(ctx, a.ContainerID)
	case plan.DeletePod:
		return r.deletePod(ctx, a)
	default:
		return fmt.Errorf("unknown action %T", action)
	}
}

// createPod creates the sandbox, creates the containers while it starts, and starts them. Interrupted anywhere, it
// leaves what the next plan recognises and finishes.
func (r *Reconciler) createPod(ctx context.Context, set *manifests.Set, a plan.CreatePod) error {
	config, err := sandboxConfig(set, a.Pod)
	if err != nil {
		return err
	}
	sandbox, err := r.runtime.CreateSandbox(ctx, config)
	if err != nil {
		return err
	}
	ids := make([]string, len(a.Containers))
	steps, stepCtx := errgroup.WithContext(ctx)
	steps.Go(func() error { return r.openSandbox(stepCtx, sandbox, config.Volumes) })
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
	for _, id := range ids {
		if err := r.runtime.StartContainer(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// openSandbox starts a sandbox and fills its volumes.
func (r *Reconciler) openSandbox(ctx context.Context, id string, volumes []runtime.Volume) error {
	if err := r.runtime.StartSandbox(ctx, id); err != nil {
		return err
	}
	for _, v := range volumes {
		if v.Kind != runtime.Files {
			continue
		}
		if err := r.runtime.WriteVolume(ctx, id, v); err != nil {
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
	config, err := sandboxConfig(set, pod.Manifest)
	if err != nil {
		return err
	}
	return r.openSandbox(ctx, a.SandboxID, config.Volumes)
}

// startContainer starts one attempt. The first one after the sandbox started writes the volumes again: those in memory
// are empty after a restart of the engine.
func (r *Reconciler) startContainer(ctx context.Context, set *manifests.Set, a plan.StartContainer) error {
	pod, err := r.observedPod(ctx, a.SandboxID)
	if err != nil {
		return err
	}
	if !anyStartedSince(pod, pod.StartedAt) {
		config, err := sandboxConfig(set, pod.Manifest)
		if err != nil {
			return err
		}
		if err := r.openSandbox(ctx, pod.ID, config.Volumes); err != nil {
			return err
		}
	}
	id, err := r.createContainer(ctx, set, pod.ID, pod.Manifest, a)
	if err != nil {
		return err
	}
	return r.runtime.StartContainer(ctx, id)
}

func anyStartedSince(pod *runtime.Pod, t time.Time) bool {
	for _, c := range pod.Containers {
		if !c.StartedAt.IsZero() && !c.StartedAt.Before(t) {
			return true
		}
	}
	return false
}

// createContainer creates an attempt from the bytes it is pinned to, or from what the reference names if those are gone.
func (r *Reconciler) createContainer(ctx context.Context, set *manifests.Set, sandbox string, pod *corev1.Pod, a plan.StartContainer) (string, error) {
	state, err := r.runtime.State(ctx)
	if err != nil {
		return "", err
	}
	at := location{hostIP: state.HostIP, node: state.Host[corev1.LabelHostname]}
	if observed := findPod(state, sandbox); observed != nil {
		at.ip = observed.IP
	}
	config, err := containerConfig(set, pod, at, a)
	if err != nil {
		return "", err
	}
	id, err := r.runtime.CreateContainer(ctx, sandbox, config)
	if errors.Is(err, runtime.ErrNotFound) && config.ImageID != "" {
		config.ImageID = ""
		id, err = r.runtime.CreateContainer(ctx, sandbox, config)
	}
	return id, err
}

// deletePod stops the containers within the grace period, then removes everything of the pod. The round that planned it
// has taken the pod out of its Services.
func (r *Reconciler) deletePod(ctx context.Context, a plan.DeletePod) error {
	pod, err := r.observedPod(ctx, a.SandboxID)
	if err == nil {
		stops, stopCtx := errgroup.WithContext(ctx)
		for _, c := range pod.Containers {
			if c.State == runtime.Running {
				stops.Go(func() error { return r.runtime.StopContainer(stopCtx, c.ID, a.Grace) })
			}
		}
		if err := stops.Wait(); err != nil {
			return err
		}
	}
	return r.runtime.RemoveSandbox(ctx, a.SandboxID)
}

func (r *Reconciler) pullImage(ctx context.Context, a plan.PullImage) error {
	r.notePull(a.Image, func(p *pull) { p.pulling = true })
	_, err := r.runtime.PullImage(ctx, a.Image)
	r.notePull(a.Image, func(p *pull) {
		if err == nil || ctx.Err() != nil {
			*p = pull{}
			return
		}
		p.pulling, p.err, p.failedAt = false, err.Error(), time.Now()
		p.failures++
	})
	return err
}

func (r *Reconciler) notePull(image string, change func(*pull)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pulls[image]
	change(&p)
	r.pulls[image] = p
}

func (r *Reconciler) observedPod(ctx context.Context, sandbox string) (*runtime.Pod, error) {
	state, err := r.runtime.State(ctx)
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
