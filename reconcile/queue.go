package reconcile

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"time"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
)

// beginStarts begins everything but stops. What needs the engine's CPU waits in the queue for a worker; every round
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
		case isStop(a) || r.held(a) || r.outdated(a, observed):
		case heavy(a):
			r.queue = append(r.queue, a)
		default:
			r.launch(ctx, set, a)
		}
	}
	r.fill(ctx, set)
}

// beginStops begins to stop pods. One whose start still waits for a postStart hook waits no more. If it is to be deleted, that
// has begun herewith: it must not pass for ready, now that nothing of it starts any more.
func (r *Reconciler) beginStops(ctx context.Context, set *manifests.Set, actions []plan.Action, observed time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range actions {
		if r.desired != set || !isStop(a) {
			continue
		}
		if ref, ok := refOf(a); ok && r.interruptStart(ref.SandboxID) {
			_, deletes := a.(plan.DeletePod)
			r.stopping[ref.SandboxID] = r.stopping[ref.SandboxID] || deletes
		}
		if !r.held(a) && !r.outdated(a, observed) {
			r.launch(ctx, set, a)
		}
	}
}

// isNote tells what nobody wants to hear of, unless it fails or says so.
func isNote(a plan.Action) bool {
	n, note := a.(plan.WriteNote)
	return note && n.Event == ""
}

// isStop tells the actions that stop a whole pod.
func isStop(a plan.Action) bool {
	switch a.(type) {
	case plan.KillPod, plan.DeletePod:
		return true
	default:
		return false
	}
}

// held tells that an action on the same thing is under way, or failed a moment ago. Actions on a pod and on one of its
// containers exclude each other: the keys of a pod's containers begin with the pod's.
func (r *Reconciler) held(a plan.Action) bool {
	key := a.Key()
	if r.flights[key] != nil || r.below[key] > 0 {
		return true
	}
	for above := range keysAbove(key) {
		if r.flights[above] != nil {
			return true
		}
	}
	f := r.failures[key]
	return f.stop == undoes(a) && time.Now().Before(f.retryAt) // a pod that would not start is stopped all the same
}

// undoes tells the actions that take away what another one has made, or could not make.
func undoes(a plan.Action) bool {
	_, unpublishes := a.(plan.UnpublishPorts)
	return unpublishes || isStop(a)
}

// keysAbove are the keys of what the thing with a key is part of: pod/default/web/uid of pod/default/web/uid/main.
func keysAbove(key string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range key {
			if key[i] == '/' && !yield(key[:i]) {
				return
			}
		}
	}
}

// outdated tells that an action on the same thing ended after the state was observed from which this one was planned.
func (r *Reconciler) outdated(a plan.Action, observed time.Time) bool {
	return !r.landed[a.Key()].Before(observed)
}

// heavy actions keep the engine's CPU busy; the others mostly wait.
func heavy(a plan.Action) bool {
	switch a.(type) {
	case plan.CreatePod, plan.StartSandbox, plan.StartContainer, plan.PublishPorts:
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
	for above := range keysAbove(a.Key()) {
		r.below[above]++
	}
	if d, ok := a.(plan.DeletePod); ok {
		r.stopping[d.SandboxID] = true
	}
	if heavy(a) {
		r.busy++
	}
	quiet := r.rewrites(a) || isNote(a)
	r.running.Go(func() {
		start := time.Now()
		err := r.apply(ctx, set, a)
		if errors.Is(err, errPodStops) {
			err, quiet = nil, true // what stops it says so
		}
		if !quiet || err != nil {
			r.note(ctx, a, err, time.Since(start))
		}
		r.land(ctx, a, err)
		r.lookAgain()
	})
}

// lendWorker gives an action's worker to the next in the queue while the action only waits.
func (r *Reconciler) lendWorker(ctx context.Context) (takeBack func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy--
	r.fill(ctx, r.desired)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.busy++
	}
}

// land ends an action and gives its worker to the next in the queue.
func (r *Reconciler) land(ctx context.Context, a plan.Action, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.flights, a.Key())
	for above := range keysAbove(a.Key()) {
		if r.below[above]--; r.below[above] == 0 {
			delete(r.below, above)
		}
	}
	r.landed[a.Key()] = time.Now()
	if heavy(a) {
		r.busy--
	}
	if _, isPull := a.(plan.PullImage); err == nil {
		r.forgive(a)
	} else if !isPull { // pulls keep their own back-off, upstream's
		r.failures[a.Key()] = r.failureOf(a, err)
	}
	r.fill(ctx, r.desired)
}

func (r *Reconciler) failureOf(a plan.Action, err error) failure {
	now, count := time.Now(), r.failures[a.Key()].count+1
	f := failure{problem: problemOf(a, err), stop: undoes(a), count: count, at: now, retryAt: now.Add(retryAfter(count))}
	if ref, ok := refOf(a); ok {
		f.pod, f.podKey = ref.String(), ref.Key()
	}
	f.pod = cmp.Or(f.pod, publicationOf(a))
	if _, past := a.(plan.RemoveContainer); past {
		f.pod = "" // that a past attempt stays is no problem of the pod's
	}
	var step *stepError
	f.port = errors.As(err, &step) && step.port
	return f
}

// refOf is the pod an action is about; images have none.
func refOf(a plan.Action) (ref plan.PodRef, ok bool) {
	switch a := a.(type) {
	case plan.CreatePod:
		return plan.PodRef{Namespace: a.Pod.Namespace, Name: a.Pod.Name, UID: string(a.Pod.UID)}, true
	case plan.StartSandbox:
		return a.PodRef, true
	case plan.StartContainer:
		return a.PodRef, true
	case plan.StopContainer:
		return a.PodRef, true
	case plan.RemoveContainer:
		return a.PodRef, true
	case plan.UpdateVolume:
		return a.PodRef, true
	case plan.KillPod:
		return a.PodRef, true
	case plan.DeletePod:
		return a.PodRef, true
	default:
		return plan.PodRef{}, false
	}
}

// publicationOf is whose ports an action is about, as runtime.State.Problems has it; empty for other actions.
func publicationOf(a plan.Action) string {
	switch a := a.(type) {
	case plan.PublishPorts:
		return plan.PublicationName(a.Namespace, a.Name)
	case plan.UnpublishPorts:
		return plan.PublicationName(a.Namespace, a.Name)
	default:
		return ""
	}
}

// containerOf is the container an action is about; empty if it is about the whole pod.
func containerOf(a plan.Action) string {
	switch a := a.(type) {
	case plan.StartContainer:
		return a.Container
	case plan.StopContainer:
		return a.Container
	case plan.RemoveContainer:
		return a.Container
	default:
		return ""
	}
}
