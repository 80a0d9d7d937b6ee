package plan

import (
	"cmp"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
)

// Plan decides what to do next so that what is observed becomes what is desired.
func Plan(desired *manifests.Set, observed *runtime.State, now time.Time) Result {
	scalers := autoscalers(desired, observed)
	p := newPlanner(autoscaled(desired, scalers), observed, now)
	p.autoscalers = scalers
	p.readPolicies()
	p.dropGarbage()
	p.findPolicies()
	p.claimPods()
	p.autoscale()
	p.beginSync()
	p.findIngresses()
	for _, object := range p.sync.begun {
		switch value := object.Value.(type) {
		case *appsv1.Deployment:
			p.deployment(object, value)
		case *appsv1.ReplicaSet, *corev1.ReplicationController:
			p.replicas(object)
		case *appsv1.StatefulSet:
			p.statefulSet(object, value)
		case *appsv1.DaemonSet:
			p.daemonSet(object, value)
		case *batchv1.Job:
			p.job(object, value)
		case *batchv1.CronJob:
			p.cronJob(object, value)
		case *corev1.Pod:
			p.barePod(object, value)
		case *corev1.PersistentVolumeClaim:
			p.claim(object, value)
		case *corev1.PersistentVolume:
			p.persistentVolume(object, value)
		case *nodev1.RuntimeClass:
			p.runtimeClass(object, value)
		case *autoscalingv2.HorizontalPodAutoscaler:
			// Before the workloads: it says how many pods they have.
		case *policyv1.PodDisruptionBudget:
			p.disruptionBudget(object, value)
		case *corev1.Service, *networkingv1.Ingress, *corev1.ResourceQuota:
			// After the workloads: endpoints follow from which pods stay, and so does what counts in a quota.
		default:
			p.accept(object)
		}
	}
	p.runHooks()
	p.holdLater()
	p.pruneCronJobs()
	p.prune()
	p.forgetStateful()
	p.forgetJobs()
	p.keptVolumes()
	p.containers()
	p.services()
	p.routeIngresses()
	p.reportQuotas()
	p.finishStep()
	p.notePolicies()
	return p.finish()
}

// Result is everything Plan decided.
type Result struct {
	// Actions, in the order in which they should be begun.
	Actions []Action
	// Routes that should be in force before any DeletePod or KillPod is begun.
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
	// Pod is the status as the kubelet would report it, for pods; also for those that are wanted and cannot be created.
	Pod *corev1.PodStatus
}

// planner is the scratch paper of one Plan call.
type planner struct {
	desired  *manifests.Set
	observed *runtime.State
	now      time.Time

	// pods are the observed pods with what can be said of each; owned tells which of them each owner has, former which it
	// has released.
	pods          []*podView
	owned, former map[ownerKey][]*podView

	// autoscalers decide how many pods their targets have: desired is the commit with that.
	autoscalers []*autoscaler

	// ports of the host that pods hold, users of each claim: those there are, and those that this plan creates.
	ports map[int32][]hostPort
	users map[types.NamespacedName][]*podView
	// allotted are the node ports, worked out when they are first asked for. publications are what is to be open on the host, by
	// name; awaited are the pods that wait for a port of one, asked the objects whose pods have a hostPort.
	allotted     map[servicePort]int32
	publications map[string]*publication
	awaited      map[hostKey]string
	asked        map[hostKey]*manifests.Object
	// jobs are those that were run, whose notes stay.
	jobs map[ownerKey]bool
	// remains are the pods of which only containers are left.
	remains map[types.UID]bool
	// sync is how far the sync of the commit is.
	sync syncing
	// ingresses are those of the commit and those that stay.
	ingresses []ingress
	// policies are what becomes of objects that have left the commit; leaving are the pods that go with them.
	// garbage is what the commit holds and none of its owners, with these.
	policies policies
	leaving  []*podView
	garbage  map[ownerKey][]ownerKey
	// names, labelled, slices, claimants, volumes, bound and contents are worked out when they are first asked for.
	names    map[types.NamespacedName]*podView
	labelled map[podLabel][]*podView
	slices   map[string][]*discoveryv1.EndpointSlice
	// claimants of a claim are the pods that use it, and nil for a template that does.
	claimants map[types.NamespacedName][]*podView
	volumes   map[types.NamespacedName][]*runtime.PersistentVolume
	bound     *bindings
	contents  map[manifests.Ref][]byte
	// quotas by namespace and classes are, too.
	quotas  map[string][]*quota
	classes *manifests.Priorities
	// cronRuns are the Jobs of CronJobs.
	cronRuns map[ownerKey][]*cronRun

	actions []Action
	// pulls tells where in actions each image's pull is.
	pulls    map[string]int
	routes   runtime.Routes
	statuses map[manifests.Ref][]ObjectStatus
	pruned   []ObjectStatus
	next     time.Time
}

func newPlanner(desired *manifests.Set, observed *runtime.State, now time.Time) *planner {
	p := &planner{
		desired: desired, observed: observed, now: now,
		owned:    map[ownerKey][]*podView{},
		former:   map[ownerKey][]*podView{},
		ports:    map[int32][]hostPort{},
		users:    map[types.NamespacedName][]*podView{},
		awaited:  map[hostKey]string{},
		jobs:     map[ownerKey]bool{},
		garbage:  map[ownerKey][]ownerKey{},
		remains:  map[types.UID]bool{},
		contents: map[manifests.Ref][]byte{},
		pulls:    map[string]int{},
		statuses: map[manifests.Ref][]ObjectStatus{},
	}
	for i := range observed.Pods {
		view := p.view(&observed.Pods[i])
		p.pods = append(p.pods, view)
		p.owned[view.owner] = append(p.owned[view.owner], view)
		p.occupy(view, view.owner)
		if view.Phase == runtime.Missing {
			p.remains[view.Manifest.UID] = true
		}
	}
	for _, view := range p.pods {
		if view.Stopping {
			p.delete(view, "its removal has begun")
		}
	}
	return p
}

// accept is for what needs no pod: it holds as soon as the commit does.
func (p *planner) accept(object *manifests.Object) {
	status := ObjectStatus{Ref: object.Ref, Health: Ready, Message: manifests.NoEffect(object.Ref)}
	if object.Unsupported != "" {
		status.Health, status.Message = Unsupported, object.Unsupported
	}
	p.report(object.Ref, status)
}

// find returns an object of the commit, or nil.
func (p *planner) find(kind, namespace, name string) any {
	if o := p.desired.Find(kind, namespace, name); o != nil {
		return o.Value
	}
	return nil
}

// named is the pod on the engine that has a name, on its way out or not; nil if there is none.
func (p *planner) named(namespace, name string) *podView {
	if p.names == nil {
		p.names = make(map[types.NamespacedName]*podView, len(p.pods))
		for _, v := range p.pods {
			p.names[nameOf(v.Manifest)] = v
		}
	}
	return p.names[types.NamespacedName{Namespace: namespace, Name: name}]
}

// report appends to what is said of a desired object and what it owns.
func (p *planner) report(root manifests.Ref, status ObjectStatus) {
	p.statuses[root] = append(p.statuses[root], status)
}

// do adds an action. A pull that several pods need is one action, with the secrets of all of them.
func (p *planner) do(action Action) {
	if pull, ok := action.(PullImage); ok {
		if i, twice := p.pulls[pull.Image]; twice {
			first := p.actions[i].(PullImage)
			first.Secrets = sortedNames(append(first.Secrets, pull.Secrets...))
			p.actions[i] = first
			return
		}
		p.pulls[pull.Image] = len(p.actions)
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
	slices.SortStableFunc(p.actions, func(a, b Action) int {
		return cmp.Or(cmp.Compare(urgency(a), urgency(b)), cmp.Compare(priorityOf(b), priorityOf(a)))
	})
	result := Result{Actions: p.actions, Routes: p.routes, NextCheck: p.next}
	n := len(p.pruned)
	for _, told := range p.statuses {
		n += len(told)
	}
	result.Objects = make([]ObjectStatus, 0, n)
	for _, object := range p.desired.Objects {
		result.Objects = append(result.Objects, p.statuses[object.Ref]...)
	}
	result.Objects = append(result.Objects, p.pruned...)
	return result
}

// urgency orders actions: what serves already is mended first, then images, new pods, and only then what goes.
func urgency(a Action) int {
	switch a.(type) {
	case StartSandbox, StartContainer, StopContainer, UnpublishPorts, WriteNote:
		return 0
	case PullImage:
		return 1
	case CreatePod, PublishPorts:
		return 2
	case UpdateVolume:
		return 3
	case KillPod, DeletePod:
		return 4
	default:
		return 5
	}
}
