package plan

import (
	"cmp"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
)

// Plan decides what to do next so that what is observed becomes what is desired.
func Plan(desired *manifests.Set, observed *runtime.State, now time.Time) Result {
	p := newPlanner(desired, observed, now)
	for _, object := range desired.Objects {
		switch value := object.Value.(type) {
		case *appsv1.Deployment:
			p.deployment(object, value)
		case *corev1.Pod:
			p.barePod(object, value)
		case *corev1.Service:
			// After the workloads: endpoints follow from which pods stay.
		default:
			p.accept(object)
		}
	}
	p.prune()
	p.containers()
	p.services()
	return p.finish()
}

// Result is everything Plan decided.
type Result struct {
	// Actions, in the order in which they should be begun.
	Actions []Action
	// Routes that should be in force before any DeletePod is begun.
	Routes runtime.Routes
	// Objects has the status of every desired object, in apply order, each followed by what it owns (ReplicaSets,
	// pods), and then of what is being pruned.
	Objects []ObjectStatus
	// NextCheck is the earliest instant at which time alone would change the plan; zero if none would. It is after now.
	NextCheck time.Time
}

// Health is the state of an object in one word, as Flux and kstatus use them.
type Health string

// The values of Health.
const (
	Ready       Health = "Ready"
	Reconciling Health = "Reconciling"
	Stalled     Health = "Stalled"
	Terminating Health = "Terminating"
	Unsupported Health = "Unsupported"
)

// ObjectStatus is what Podyard knows of one object.
type ObjectStatus struct {
	manifests.Ref
	// Owner is the zero Ref for what the commit holds itself.
	Owner  manifests.Ref
	Health Health
	// Message says why, in a sentence: "2 of 3 pods ready; container main of web-…: CrashLoopBackOff".
	Message string
	// Conditions, standard types and reasons of the kind (Available, Progressing, ContainersReady, …).
	Conditions []metav1.Condition
	// Summary holds what a table shows of the kind: "ready" → "2/3", "restarts" → "4", "ip", "image", "clusterIP".
	Summary map[string]string
}

// planner is the scratch paper of one Plan call.
type planner struct {
	desired  *manifests.Set
	observed *runtime.State
	now      time.Time

	// pods are the observed pods with what can be said of each; owned tells which of them each owner has.
	pods  []*podView
	owned map[ownerKey][]*podView

	actions  []Action
	pulls    map[string]bool
	routes   runtime.Routes
	statuses map[manifests.Ref][]ObjectStatus
	pruned   []ObjectStatus
	next     time.Time
}

func newPlanner(desired *manifests.Set, observed *runtime.State, now time.Time) *planner {
	p := &planner{
		desired: desired, observed: observed, now: now,
		owned:    map[ownerKey][]*podView{},
		pulls:    map[string]bool{},
		statuses: map[manifests.Ref][]ObjectStatus{},
	}
	for i := range observed.Pods {
		view := p.view(&observed.Pods[i])
		p.pods = append(p.pods, view)
		p.owned[view.owner] = append(p.owned[view.owner], view)
		if view.Stopping {
			p.delete(view, "its removal has begun")
		}
	}
	return p
}

// accept is for what needs no pod: it holds as soon as the commit does.
func (p *planner) accept(object *manifests.Object) {
	status := ObjectStatus{Ref: object.Ref, Health: Ready}
	if object.Unsupported != "" {
		status.Health, status.Message = Unsupported, object.Unsupported
	}
	p.report(object.Ref, status)
}

// report appends to what is said of a desired object and what it owns.
func (p *planner) report(root manifests.Ref, status ObjectStatus) {
	p.statuses[root] = append(p.statuses[root], status)
}

// do adds an action. A pull that several pods need is one action.
func (p *planner) do(action Action) {
	if pull, ok := action.(PullImage); ok {
		if p.pulls[pull.Image] {
			return
		}
		p.pulls[pull.Image] = true
	}
	p.actions = append(p.actions, action)
}

// checkAt asks to be called again at t, if that is in the future.
func (p *planner) checkAt(t time.Time) {
	if t.After(p.now) && (p.next.IsZero() || t.Before(p.next)) {
		p.next = t
	}
}

func (p *planner) finish() Result {
	slices.SortStableFunc(p.actions, func(a, b Action) int { return cmp.Compare(urgency(a), urgency(b)) })
	result := Result{Actions: p.actions, Routes: p.routes, NextCheck: p.next}
	for _, object := range p.desired.Objects {
		result.Objects = append(result.Objects, p.statuses[object.Ref]...)
	}
	result.Objects = append(result.Objects, p.pruned...)
	return result
}

// urgency orders actions: what serves already is mended first, then images, new pods, and only then what goes.
func urgency(a Action) int {
	switch a.(type) {
	case StartSandbox, StartContainer, StopContainer:
		return 0
	case PullImage:
		return 1
	case CreatePod:
		return 2
	case DeletePod:
		return 3
	default:
		return 4
	}
}
