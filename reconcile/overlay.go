package reconcile

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

// failure is what is remembered of an action that failed: nothing else of an action is.
type failure struct {
	// pod is the one it is about, and its key; or the publication, which has no key. Empty for what is about neither.
	pod, podKey string
	problem     runtime.Problem
	// port: it waits for a port of the host. stop: it was to stop the pod, or to close ports.
	port, stop  bool
	count       int
	at, retryAt time.Time
}

// Actions that failed are tried again after 1 s, 2 s, 4 s, … 30 s, for ever.
const (
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
)

func retryAfter(count int) time.Duration {
	wait := firstRetry
	for ; count > 1 && wait < lastRetry; count-- {
		wait *= 2
	}
	return min(wait, lastRetry)
}

// overlay adds to an observed state what is under way and what failed. look is the number of the observation.
func (r *Reconciler) overlay(state *runtime.State, look uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.markPods(state)
	r.markHooks(state, look)
	r.addUnborn(state)
	r.markPublications(state)
	for ref, p := range r.pulls {
		image := state.Images[ref]
		image.Pulling, image.Failures, image.Error = p.pulling, p.failures, p.err
		if p.failures > 0 { // a back-off does not last longer because the clock was set back
			image.FailedAt = r.clock().Add(-time.Since(p.failedAt))
		}
		state.Images[ref] = image
	}
	state.Problems = r.problems()
}

// problems has the last failure of each pod and publication. The caller holds mu.
func (r *Reconciler) problems() map[string]runtime.Problem {
	out, last := map[string]runtime.Problem{}, map[string]time.Time{}
	for _, key := range sortedKeys(r.failures) {
		f := r.failures[key]
		if f.pod != "" && !f.at.Before(last[f.pod]) {
			out[f.pod], last[f.pod] = f.problem, f.at
		}
	}
	return out
}

// markPods fills in what only the loop knows of a pod, and forgets what it knew of pods and containers that are gone. A
// pod stays on its way out once its removal has begun, also when a step of it failed: other pods may have taken its
// place. The caller holds mu.
func (r *Reconciler) markPods(state *runtime.State) {
	present := map[string]bool{}
	state.Sampled = r.sampler.sampled
	for i := range state.Pods {
		pod := &state.Pods[i]
		present[pod.ID], pod.Stopping = true, r.stopping[pod.ID]
		pod.Usage, pod.Metrics = r.usages[pod.ID].sizes, r.sampler.metrics[pod.ID]
		r.noteStart(pod)
		for name, w := range r.written[pod.ID] {
			if w.hash != "" {
				pod.Written = withEntry(pod.Written, name, w.hash)
			}
		}
		for _, c := range pod.Containers {
			present[c.ID] = true
		}
	}
	gone := func(id string) bool { return !present[id] }
	maps.DeleteFunc(r.stopping, func(id string, _ bool) bool { return gone(id) })
	maps.DeleteFunc(r.preStopped, func(id string, _ bool) bool { return gone(id) })
	maps.DeleteFunc(r.usages, func(id string, _ usage) bool { return gone(id) })
	maps.DeleteFunc(r.began, func(id string, _ time.Time) bool { return gone(id) })
	maps.DeleteFunc(r.written, func(id string, _ map[string]*writes) bool { return gone(id) && !r.anyFlight(id) })
}

func withEntry(m map[string]string, key, value string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	m[key] = value
	return m
}

// markPublications: a publication is there when Publish says so. Before, its container may run and lead nowhere yet. The caller
// holds mu.
func (r *Reconciler) markPublications(state *runtime.State) {
	state.Publications = slices.Clone(state.Publications)
	for i := range state.Publications {
		p := &state.Publications[i]
		if _, opens := r.flights[plan.PublishPorts{Publication: p.Publication}.Key()].(plan.PublishPorts); opens {
			p.Running, p.Error = false, ""
		}
	}
}

// addUnborn counts in the pods whose creation is under way but not to be seen yet. Without them, a commit that comes just
// then would be planned as if they did not exist, and the two versions together would go beyond the surge. The caller
// holds mu.
func (r *Reconciler) addUnborn(state *runtime.State) {
	seen := map[types.UID]bool{}
	for i := range state.Pods {
		seen[state.Pods[i].Manifest.UID] = true
	}
	n := len(state.Pods)
	for _, a := range r.flights {
		if create, ok := a.(plan.CreatePod); ok && !seen[create.Pod.UID] {
			state.Pods = append(state.Pods, runtime.Pod{Manifest: create.Pod, Phase: runtime.Created})
		}
	}
	if len(state.Pods) > n {
		slices.SortFunc(state.Pods, func(a, b runtime.Pod) int {
			return cmp.Or(cmp.Compare(a.Manifest.Namespace, b.Manifest.Namespace), cmp.Compare(a.Manifest.Name, b.Manifest.Name),
				cmp.Compare(a.Manifest.UID, b.Manifest.UID))
		})
	}
}

// forgetFailures drops those of pods that are neither there nor wanted any more.
func (r *Reconciler) forgetFailures(state *runtime.State, wanted []plan.Action) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := map[string]bool{"": true}
	for i := range state.Pods {
		m := state.Pods[i].Manifest
		known[plan.PodRef{Namespace: m.Namespace, Name: m.Name, UID: string(m.UID)}.Key()] = true
	}
	for _, a := range wanted {
		if ref, ok := refOf(a); ok {
			known[ref.Key()] = true
		}
	}
	maps.DeleteFunc(r.failures, func(_ string, f failure) bool { return !known[f.podKey] })
}

// forgive forgets what an action that succeeded disproves: its own failures, and those of the pod's creation that were
// about the container it started. A pod that could be stopped keeps why it would not start. The caller holds mu.
func (r *Reconciler) forgive(a plan.Action) {
	if f := r.failures[a.Key()]; f.stop || !undoes(a) {
		delete(r.failures, a.Key())
	}
	start, isStart := a.(plan.StartContainer)
	for key, f := range r.failures {
		about := f.problem.Container == "" || f.problem.Container == start.Container
		if isStart && about && strings.HasPrefix(a.Key(), key+"/") {
			delete(r.failures, key)
		}
		if undoes(a) && f.port {
			f.retryAt = time.Time{} // the port may be free by now
			r.failures[key] = f
		}
	}
}

// lookUpImages asks the engine once for each image of the commit that it has not told of yet, and of Jobs that go on as they
// were made for an earlier commit.
func (r *Reconciler) lookUpImages(ctx context.Context, desired *manifests.Set, state *runtime.State) error {
	if state.Images == nil {
		state.Images = map[string]runtime.Image{}
	}
	for _, ref := range slices.Concat(imagesOf(desired), r.notedImages(state.Notes)) {
		if _, known := state.Images[ref]; known {
			continue
		}
		image, err := r.runtime.ImageStatus(ctx, ref)
		if err != nil && !errors.Is(err, runtime.ErrNotFound) {
			return err
		}
		state.Images[ref] = image
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
