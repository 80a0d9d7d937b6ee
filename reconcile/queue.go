package reconcile

import (
	"context"
	"strings"
	"time"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
)

// beginStarts begins everything but deletions. What needs the engine's CPU waits in the queue for a worker; every round
// makes the queue anew, so that what is no longer wanted is never begun.
func (r *Reconciler) beginStarts(ctx context.Context, set *manifests.Set, actions []plan.Action, observed time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.desired != set {
		return // a newer commit came in the meantime; its round decides
	}
	r.queue = nil
	for _, a := range actions {
		switch {
		case isDelete(a) || r.held(a) || r.outdated(a, observed):
		case heavy(a):
			r.queue = append(r.queue, a)
		default:
			r.launch(ctx, set, a)
		}
	}
	r.fill(ctx, set)
}

// beginStops begins the deletions.
func (r *Reconciler) beginStops(ctx context.Context, set *manifests.Set, actions []plan.Action, observed time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range actions {
		if r.desired == set && isDelete(a) && !r.held(a) && !r.outdated(a, observed) {
			r.launch(ctx, set, a)
		}
	}
}

func isDelete(a plan.Action) bool {
	_, ok := a.(plan.DeletePod)
	return ok
}

// held tells that an action on the same thing is under way, or failed a moment ago. Actions on a pod and on one of its
// containers exclude each other: the keys of a pod's containers begin with the pod's.
func (r *Reconciler) held(a plan.Action) bool {
	key := a.Key()
	for other := range r.flights {
		if key == other || strings.HasPrefix(key, other+"/") || strings.HasPrefix(other, key+"/") {
			return true
		}
	}
	return time.Now().Before(r.failures[key].retryAt)
}

// outdated tells that an action on the same thing ended after the state was observed from which this one was planned.
func (r *Reconciler) outdated(a plan.Action, observed time.Time) bool {
	return !r.landed[a.Key()].Before(observed)
}

// heavy actions keep the engine's CPU busy; the others mostly wait.
func heavy(a plan.Action) bool {
	switch a.(type) {
	case plan.CreatePod, plan.StartSandbox, plan.StartContainer:
		return true
	default:
		return false
	}
}

// fill starts queued actions while there are workers. The caller holds mu.
func (r *Reconciler) fill(ctx context.Context, set *manifests.Set) {
	for r.busy < r.options.Workers && len(r.queue) > 0 && ctx.Err() == nil {
		next := r.queue[0]
		r.queue = r.queue[1:]
		if !r.held(next) {
			r.launch(ctx, set, next)
		}
	}
}

// launch runs an action in the background. The caller holds mu.
func (r *Reconciler) launch(ctx context.Context, set *manifests.Set, a plan.Action) {
	r.flights[a.Key()] = a
	if d, ok := a.(plan.DeletePod); ok {
		r.stopping[d.SandboxID] = true
	}
	if heavy(a) {
		r.busy++
	}
	r.running.Go(func() {
		start := time.Now()
		err := r.apply(ctx, set, a)
		r.note(ctx, a, err, time.Since(start))
		r.land(ctx, a, err)
		r.lookAgain()
	})
}

// land ends an action and gives its worker to the next in the queue.
func (r *Reconciler) land(ctx context.Context, a plan.Action, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.flights, a.Key())
	r.landed[a.Key()] = time.Now()
	if heavy(a) {
		r.busy--
	}
	if _, isPull := a.(plan.PullImage); err != nil && !isPull { // pulls keep their own back-off, upstream's
		count := r.failures[a.Key()].count + 1
		r.failures[a.Key()] = failure{
			pod: podOf(a), message: err.Error(), count: count, retryAt: time.Now().Add(retryAfter(count)),
		}
	} else if err == nil {
		delete(r.failures, a.Key())
	}
	r.fill(ctx, r.desired)
}

// podOf is the pod an action is about, as "namespace/name"; empty for images.
func podOf(a plan.Action) string {
	switch a := a.(type) {
	case plan.CreatePod:
		return a.Pod.Namespace + "/" + a.Pod.Name
	case plan.StartSandbox:
		return a.PodRef.String()
	case plan.StartContainer:
		return a.PodRef.String()
	case plan.StopContainer:
		return a.PodRef.String()
	case plan.DeletePod:
		return a.PodRef.String()
	default:
		return ""
	}
}
