package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

// minimumGrace is what is left for the program itself, whatever its hook has used up. Upstream:
// minimumGracePeriodInSeconds (pkg/kubelet/kuberuntime).
const minimumGrace = 2 * time.Second

// settling is how long a pod that has left its Services is let alone before it is told to stop. A client may have connected at
// the last moment, and the program not have accepted it yet: many would close that connection when they are told to stop.
// In Kubernetes people write a preStop hook that sleeps.
const settling = 200 * time.Millisecond

// stopContainer stops one container of a pod that stays.
func (r *Reconciler) stopContainer(ctx context.Context, a plan.StopContainer) error {
	pod, err := r.observedPod(ctx, a.SandboxID)
	if err != nil {
		return err
	}
	for i := range pod.Containers {
		if c := &pod.Containers[i]; c.ID == a.ContainerID && c.State == runtime.Running {
			return failed(killContainerError, c.Name, r.stopOne(ctx, pod, c, a.Grace, nil))
		}
	}
	return nil
}

// killPod stops a pod that has come to its end, and keeps it.
func (r *Reconciler) killPod(ctx context.Context, a plan.KillPod) error {
	pod, err := r.observedPod(ctx, a.SandboxID)
	if err != nil {
		return err
	}
	if err := r.stopAll(ctx, pod, a.Grace); err != nil || a.KeepSandbox {
		return err
	}
	return r.runtime.StopSandbox(ctx, a.SandboxID)
}

// deletePod stops the containers within the grace period, then removes everything of the pod. The round that planned it
// has taken the pod out of its Services. Volumes that go with it are kept if another commit has come: it may want them.
func (r *Reconciler) deletePod(ctx context.Context, set *manifests.Set, a plan.DeletePod) error {
	pod, err := r.observedPod(ctx, a.SandboxID)
	if err == nil {
		err = r.stopAll(ctx, pod, a.Grace)
	}
	if err != nil && !errors.Is(err, runtime.ErrNotFound) {
		return err
	}
	if err := r.runtime.RemoveSandbox(ctx, a.SandboxID); err != nil {
		return err
	}
	for _, volume := range a.Volumes {
		if r.current() != set {
			return nil
		}
		if err := r.runtime.RemoveVolume(ctx, volume); err != nil {
			return err
		}
	}
	return nil
}

// stopAll stops everything that runs in a pod, side by side, except that sidecars wait for those that need them.
func (r *Reconciler) stopAll(ctx context.Context, pod *runtime.Pod, grace time.Duration) error {
	turns := newTurns(pod)
	errs := make([]error, len(pod.Containers))
	var stops sync.WaitGroup
	for i := range pod.Containers {
		if c := &pod.Containers[i]; c.State == runtime.Running {
			stops.Go(func() {
				defer close(turns.ended[c.ID])
				errs[i] = failed(killContainerError, c.Name, r.stopOne(ctx, pod, c, grace, turns.before[c.ID]))
			})
		}
	}
	stops.Wait()
	return errors.Join(errs...)
}

// turns say who waits for whom when a pod stops: a sidecar for all app containers and for the sidecars after it.
// Upstream: newTerminationOrdering (pkg/kubelet/kuberuntime/termination_order.go). The keys are container IDs.
type turns struct {
	before map[string][]<-chan struct{}
	ended  map[string]chan struct{}
}

func newTurns(pod *runtime.Pod) turns {
	t := turns{before: map[string][]<-chan struct{}{}, ended: map[string]chan struct{}{}}
	ids := map[string]string{}
	for _, c := range pod.Containers {
		if c.State == runtime.Running {
			t.ended[c.ID], ids[c.Name] = make(chan struct{}), c.ID
		}
	}
	var earlier []<-chan struct{}
	for _, spec := range pod.Manifest.Spec.Containers {
		if id, runs := ids[spec.Name]; runs {
			earlier = append(earlier, t.ended[id])
		}
	}
	for _, spec := range slices.Backward(pod.Manifest.Spec.InitContainers) {
		if id, runs := ids[spec.Name]; runs && isSidecar(&spec) {
			t.before[id] = slices.Clone(earlier)
			earlier = append(earlier, t.ended[id])
		}
	}
	return t
}

// stopOne stops a container: its preStop hook, its turn, the stop signal, and SIGKILL when the grace period is over.
// Without a grace period it is killed at once. Upstream: killContainer (pkg/kubelet/kuberuntime/kuberuntime_container.go).
func (r *Reconciler) stopOne(ctx context.Context, pod *runtime.Pod, c *runtime.Container, grace time.Duration, before []<-chan struct{}) error {
	if grace > 0 {
		begin := time.Now()
		r.preStop(ctx, pod, c, grace)
		await(ctx, before, grace-time.Since(begin))
		sleep(ctx, min(time.Until(r.leftAt(pod.IP).Add(settling)), grace-time.Since(begin)))
		grace = max(grace-time.Since(begin), minimumGrace)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	err := r.runtime.StopContainer(ctx, c.ID, grace)
	if errors.Is(err, runtime.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stop container %s/%s/%s: %w", pod.Manifest.Namespace, pod.Manifest.Name, c.Name, err)
	}
	return nil
}

// await waits for all of the channels to be closed, for at most d.
func await(ctx context.Context, channels []<-chan struct{}, d time.Duration) {
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	for _, channel := range channels {
		select {
		case <-channel:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}
