package reconcile

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

// The emptyDirs of a pod are measured this often at most. The kubelet's eviction manager looks every 10 s, from a cache
// that it fills once a minute (pkg/kubelet/server/stats).
const (
	measurePeriod  = time.Minute
	measureTimeout = time.Minute
	// surveyTimeout is how long the first plan of a daemon may wait for this.
	surveyTimeout = 30 * time.Second
)

// usage is what the limited emptyDirs of a pod held when they were measured last.
type usage struct {
	at    time.Time
	sizes map[string]int64
}

// measure begins, in the background, to measure the pods whose turn it is. It returns when the next turn is; zero if no
// pod has a limit.
func (r *Reconciler) measure(ctx context.Context, state *runtime.State) (next time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	var due []runtime.Pod
	for _, pod := range state.Pods {
		if pod.Phase != runtime.Running || pod.Stopping || len(limits(pod.Manifest)) == 0 {
			continue
		}
		at := r.usages[pod.ID].at.Add(measurePeriod)
		if !now.Before(at) {
			due, at = append(due, pod), now.Add(measurePeriod)
		}
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	if len(due) > 0 && !r.measuring {
		r.measuring = true
		r.running.Go(func() { r.measureAll(ctx, due) })
	}
	return next
}

// survey measures, before a new daemon plans for the first time, the pods in which nothing runs: one of them may have been
// evicted, and only its volume tells.
func (r *Reconciler) survey(ctx context.Context, state *runtime.State) {
	if r.surveyed {
		return
	}
	r.surveyed = true
	ctx, cancel := context.WithTimeout(ctx, surveyTimeout)
	defer cancel()
	for i := range state.Pods {
		pod := &state.Pods[i]
		running := slices.ContainsFunc(pod.Containers, func(c runtime.Container) bool { return c.State == runtime.Running })
		if pod.Phase == runtime.Running && !running && len(limits(pod.Manifest)) > 0 {
			pod.Usage = r.measureOne(ctx, *pod)
		}
	}
}

// measureAll measures one pod after the other: a large directory keeps the disk busy.
func (r *Reconciler) measureAll(ctx context.Context, pods []runtime.Pod) {
	for _, pod := range pods {
		r.measureOne(ctx, pod)
	}
	r.mu.Lock()
	r.measuring = false
	r.mu.Unlock()
}

// measureOne measures one pod. A pod that holds too much is looked at again at once.
func (r *Reconciler) measureOne(ctx context.Context, pod runtime.Pod) map[string]int64 {
	bounded, cancel := context.WithTimeout(ctx, measureTimeout)
	defer cancel()
	limits := limits(pod.Manifest)
	sizes, err := r.runtime.VolumeUsage(bounded, pod.ID, sortedKeys(limits))
	if err != nil && ctx.Err() == nil {
		r.log.Debug("volumes not measured", "pod", pod.Manifest.Namespace+"/"+pod.Manifest.Name, "err", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		sizes = r.usages[pod.ID].sizes
	}
	r.usages[pod.ID] = usage{at: time.Now(), sizes: sizes}
	for name, size := range sizes {
		if err == nil && size > limits[name] {
			r.lookAgain()
		}
	}
	return sizes
}

// limits are those of a pod's emptyDirs on disk, in bytes. One in memory is bounded by its file system.
func limits(pod *corev1.Pod) map[string]int64 {
	out := map[string]int64{}
	for _, v := range pod.Spec.Volumes {
		if e := v.EmptyDir; e != nil && e.Medium == corev1.StorageMediumDefault && e.SizeLimit != nil && e.SizeLimit.Sign() > 0 {
			out[v.Name] = e.SizeLimit.Value()
		}
	}
	return out
}
