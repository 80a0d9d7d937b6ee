package reconcile

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

// failure is what is remembered of an action that failed: nothing else of an action is.
type failure struct {
	// pod is "namespace/name", or empty.
	pod     string
	message string
	count   int
	retryAt time.Time
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

// pull is the loop's memory of a pull; after a restart of the daemon it starts anew, which does no harm.
type pull struct {
	pulling  bool
	failures int
	err      string
	failedAt time.Time
}

// overlay adds to an observed state what is under way and what failed.
func (r *Reconciler) overlay(state *runtime.State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.markStopping(state)
	r.addUnborn(state)
	for ref, p := range r.pulls {
		image := state.Images[ref]
		image.Pulling, image.Failures, image.Error, image.FailedAt = p.pulling, p.failures, p.err, p.failedAt
		state.Images[ref] = image
	}
	state.Problems = map[string]string{}
	for _, f := range r.failures {
		if f.pod != "" {
			state.Problems[f.pod] = f.message
		}
	}
}

// markStopping keeps a pod on its way out once its removal has begun, also when a step of it failed: other pods may have
// taken its place. The caller holds mu.
func (r *Reconciler) markStopping(state *runtime.State) {
	present := map[string]bool{}
	for i := range state.Pods {
		pod := &state.Pods[i]
		present[pod.ID], pod.Stopping = true, r.stopping[pod.ID]
	}
	maps.DeleteFunc(r.stopping, func(id string, _ bool) bool { return !present[id] })
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

// lookUpImages asks the engine once for each image of the commit that it has not told of yet.
func (r *Reconciler) lookUpImages(ctx context.Context, desired *manifests.Set, state *runtime.State) error {
	if state.Images == nil {
		state.Images = map[string]runtime.Image{}
	}
	for _, ref := range imagesOf(desired) {
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

// imagesOf lists every image of the commit's pods once, sorted.
func imagesOf(set *manifests.Set) []string {
	var refs []string
	add := func(spec *corev1.PodSpec) {
		for _, c := range spec.Containers {
			refs = append(refs, c.Image)
		}
	}
	for _, pod := range manifests.All[*corev1.Pod](set) {
		add(&pod.Spec)
	}
	for _, d := range manifests.All[*appsv1.Deployment](set) {
		add(&d.Spec.Template.Spec)
	}
	slices.Sort(refs)
	return slices.Compact(refs)
}
