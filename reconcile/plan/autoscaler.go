package plan

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
)

// SamplePeriod is how often metrics are read, and so how often an autoscaler decides: upstream's
// --horizontal-pod-autoscaler-sync-period.
const SamplePeriod = 15 * time.Second

// autoscaler is one HorizontalPodAutoscaler. The rules are upstream's pkg/controller/podautoscaler: horizontal.go here, in
// autoscaler_former.go and in autoscaler_limit.go, replica_calculator.go in autoscaler_metric.go.
//
// It decides once for each sample of the metrics, as if at the time of the sample: planned again from the same sample, it
// decides the same. What it decides is in force when its note is observed.
type autoscaler struct {
	*autoscalingv2.HorizontalPodAutoscaler
	root manifests.Ref
	// target is what it scales. failure says why it cannot; the health of the autoscaler is unhealthy then.
	target    *manifests.Object
	failure   string
	unhealthy Health
	// former is what an autoscaler without a target scaled last, and leaves alone. released says why the note is to go.
	former   *manifests.Object
	released string
	// written is the number of replicas in git, current the one in force, at the time of the sample that is judged.
	written, current int32
	at               time.Time
	note             autoscalerNote
	noted            bool
	// pods are those that the target's selector matches. ambiguous names another autoscaler that looks at one of them.
	pods      []*podView
	ambiguous string
	status    autoscalingv2.HorizontalPodAutoscalerStatus
}

// autoscalerNote is what an autoscaler remembers. It is written when any of it changes, not for each sample: recommendations
// are steps.
type autoscalerNote struct {
	// Target as "Deployment/web"; Written was the number of replicas in git when it took over.
	Target  string `json:"target"`
	Written int32  `json:"written"`
	// Replicas are in force. No sample up to Decided is judged again.
	Replicas int32     `json:"replicas"`
	Decided  time.Time `json:"decided"`
	// Recommendations of the stabilisation windows, ScaleEvents of the periods of policies.
	Recommendations []recommendation `json:"recommendations,omitempty"`
	ScaleEvents     []scaleEvent     `json:"scaleEvents,omitempty"`
	// Rescale is upstream's event of the last change.
	Rescale string `json:"rescale,omitempty"`
	// Status as it was when the note was written.
	Status autoscalingv2.HorizontalPodAutoscalerStatus `json:"status"`
}

const autoscalerKind = "HorizontalPodAutoscaler"

func autoscalerNoteName(namespace, name string) string {
	return autoscalerKind + "/" + namespace + "/" + name
}

// autoscalers are those of a commit, in apply order. Of several with one target the first scales it.
func autoscalers(desired *manifests.Set, observed *runtime.State) []*autoscaler {
	var out []*autoscaler
	for _, object := range desired.Objects {
		if hpa, ok := object.Value.(*autoscalingv2.HorizontalPodAutoscaler); ok {
			a := &autoscaler{HorizontalPodAutoscaler: hpa, root: object.Ref, at: observed.Sampled}
			if a.findTarget(desired); a.target != nil {
				a.remember(observed)
			}
			out = append(out, a)
		}
	}
	holdFormers(out, desired, observed)
	return out
}

// scalable are the kinds that have a number of replicas, with their API groups.
var scalable = map[string]string{"Deployment": "apps", "ReplicaSet": "apps", "StatefulSet": "apps", "ReplicationController": ""}

func (a *autoscaler) findTarget(desired *manifests.Set) {
	ref := a.Spec.ScaleTargetRef
	group, _, versioned := strings.Cut(ref.APIVersion, "/")
	if !versioned {
		group = ""
	}
	object := desired.Find(ref.Kind, a.Namespace, ref.Name)
	want, can := scalable[ref.Kind]
	a.unhealthy = Stalled
	switch {
	case object != nil && object.Value == nil:
		a.unhealthy, a.failure = Unsupported, fmt.Sprintf("%s is not supported", object.Ref)
	case !can:
		a.failure = fmt.Sprintf("a %s has no number of replicas that could be changed", ref.Kind)
	case group != want:
		a.failure = fmt.Sprintf("there is no %s in apiVersion %q", ref.Kind, ref.APIVersion)
	case object == nil:
		a.failure = fmt.Sprintf("%s %s/%s is not in the commit", ref.Kind, a.Namespace, ref.Name)
	default:
		a.target = object
		a.written = *a.workload().Replicas
	}
}

func (a *autoscaler) workload() manifests.Workload {
	w, _ := manifests.WorkloadOf(a.target.Value)
	return w
}

// remember finds the number of replicas in force: what is remembered, or, in the beginning, what git says. Pods that are there
// already are not deleted for that: the memory may have been lost.
func (a *autoscaler) remember(observed *runtime.State) {
	key := keyOf(a.target)
	if note := a.remembered(observed); note.Target == key.annotation() {
		a.note, a.noted, a.current = note, true, note.Replicas
	} else {
		a.current = max(a.written, countPods(observed, key))
	}
	a.current = min(max(a.current, *a.Spec.MinReplicas), a.Spec.MaxReplicas)
	if a.written == 0 {
		a.current, a.released = 0, notScaled(a.target)
	}
}

func countPods(observed *runtime.State, key ownerKey) (n int32) {
	for i := range observed.Pods {
		if pod := &observed.Pods[i]; ownerOf(pod.Manifest) == key && !pod.Stopping {
			n++
		}
	}
	return n
}

// autoscaled is a commit in which the targets of autoscalers, and the former ones of those without a target, have the number of
// replicas in force. This is the only place where replicas come from elsewhere than git.
func autoscaled(desired *manifests.Set, scalers []*autoscaler) *manifests.Set {
	current := map[*manifests.Object]int32{}
	for _, a := range scalers {
		scaled := cmp.Or(a.target, a.former)
		if _, twice := current[scaled]; scaled != nil && !twice {
			current[scaled] = a.current
		}
	}
	if len(current) == 0 {
		return desired
	}
	out := desired.With(slices.Clone(desired.Objects))
	for i, object := range out.Objects {
		if n, ok := current[object]; ok {
			out.Objects[i] = withReplicas(object, n)
		}
	}
	return out
}

// withReplicas keeps the hash, in which replicas do not count.
func withReplicas(object *manifests.Object, n int32) *manifests.Object {
	switch v := object.Value.(type) {
	case *appsv1.Deployment:
		out := *v
		out.Spec.Replicas = &n
		scaled := object.With(&out)
		scaled.Once(func() string { return templateHash(object, v) })
		return scaled
	case *appsv1.ReplicaSet:
		out := *v
		out.Spec.Replicas = &n
		return object.With(&out)
	case *appsv1.StatefulSet:
		out := *v
		out.Spec.Replicas = &n
		scaled := object.With(&out)
		scaled.Once(func() string { return revisionHash(object, v) })
		return scaled
	case *corev1.ReplicationController:
		out := *v
		out.Spec.Replicas = &n
		return object.With(&out)
	}
	return object
}

// autoscale lets every autoscaler decide, and forgets those that left the commit.
func (p *planner) autoscale() {
	p.findScaledPods()
	for _, a := range p.autoscalers {
		next := p.runAutoscaler(a)
		p.keepAutoscaler(a, next)
		p.reportAutoscaler(a)
	}
	for _, name := range slices.Sorted(maps.Keys(p.observed.Notes)) {
		kind, rest, _ := strings.Cut(name, "/")
		namespace, own, _ := strings.Cut(rest, "/")
		if kind == autoscalerKind && p.find(kind, namespace, own) == nil {
			ref := manifests.Ref{Kind: kind, Namespace: namespace, Name: own}
			p.do(WriteNote{Name: name, Object: ref, Reason: ref.String() + " is not in the commit"})
		}
	}
}

// runAutoscaler returns what is to be remembered from now on. Upstream: reconcileAutoscaler.
func (p *planner) runAutoscaler(a *autoscaler) autoscalerNote {
	a.status = a.note.Status
	a.status.CurrentReplicas, a.status.DesiredReplicas = a.current, a.current
	next := a.note
	switch {
	case a.target == nil:
		return a.withoutTarget(next, p.now)
	case a.written == 0:
		a.gotScale()
		a.set(autoscalingv2.ScalingActive, false, "ScalingDisabled", "scaling is disabled since the replica count of the target is zero")
		return autoscalerNote{}
	case !a.noted:
		a.at = p.now
		a.gotScale()
		next = autoscalerNote{Target: keyOf(a.target).annotation(), Written: a.written, Replicas: a.current, Decided: p.now,
			Recommendations: []recommendation{{p.now, a.current}}}
	case a.current != a.note.Replicas:
		a.at = p.now
		a.gotScale()
		bound := "below Spec.MinReplicas"
		if a.current < a.note.Replicas {
			bound = "above Spec.MaxReplicas"
		}
		next = a.rescale(next, a.note.Replicas, a.current, "Current number of replicas "+bound)
	case a.note.lost():
		a.at = p.now
		a.gotScale()
	case a.at.After(a.note.Decided):
		return a.judge(next)
	}
	return next
}

func (a *autoscaler) gotScale() {
	a.set(autoscalingv2.AbleToScale, true, "SucceededGetScale", "the HPA controller was able to get the target's current scale")
}

// judge decides by a sample of the metrics.
func (a *autoscaler) judge(next autoscalerNote) autoscalerNote {
	a.gotScale()
	proposed, metric, ok := a.proposal()
	if !ok {
		return next
	}
	reason := ""
	switch {
	case proposed > a.current:
		reason = metric + " above target"
	case proposed < a.current:
		reason = "All metrics below target"
	}
	stable := a.stabilise(proposed)
	next.Recommendations = a.recommended(proposed)
	desired, limited := a.limit(stable)
	a.set(autoscalingv2.ScalingLimited, desired != stable, limited.reason, limited.message)
	if desired != a.current {
		next = a.rescale(next, a.current, desired, reason)
	}
	return next
}

// rescale takes a new number of replicas into force.
func (a *autoscaler) rescale(next autoscalerNote, from, to int32, reason string) autoscalerNote {
	a.set(autoscalingv2.AbleToScale, true, "SucceededRescale",
		fmt.Sprintf("the HPA controller was able to update the target scale to %d", to))
	a.status.DesiredReplicas, a.status.LastScaleTime = to, &metav1.Time{Time: a.at}
	next.Replicas, next.Decided, next.Rescale = to, a.at, fmt.Sprintf("New size: %d; reason: %s", to, reason)
	return a.withEvent(next, to-from)
}

// keepAutoscaler writes the note, if it holds anything new.
func (p *planner) keepAutoscaler(a *autoscaler, next autoscalerNote) {
	name := autoscalerNoteName(a.Namespace, a.Name)
	write := WriteNote{Name: name, Object: a.root}
	switch {
	case next.Target == "":
		if _, there := p.observed.Notes[name]; !there || a.released == "" {
			return
		}
		write.Reason = a.released
	case !a.noted:
		write.Reason = fmt.Sprintf("scales %s from now on, which wants %d pods", a.target.Ref, next.Replicas)
	case next.Replicas != a.note.Replicas:
		write.Event, write.Reason = "SuccessfulRescale", next.Rescale
	case !slices.Equal(next.Recommendations, a.note.Recommendations):
		last := next.Recommendations[len(next.Recommendations)-1]
		write.Reason = fmt.Sprintf("its recommendation for %s is %d pods now", a.target.Ref, last.Replicas)
	case a.changedConditions() != "":
		write.Reason = "condition " + a.changedConditions() + " has changed"
	default:
		return
	}
	if next.Target != "" {
		next.Status = a.status
		text, err := json.Marshal(next)
		if err != nil {
			return // there is nothing in it that has no JSON
		}
		write.Text = string(text)
	}
	p.do(write)
}

// set is upstream's setCondition. The time of the last change is remembered.
func (a *autoscaler) set(kind autoscalingv2.HorizontalPodAutoscalerConditionType, holds bool, reason, message string) {
	c := autoscalingv2.HorizontalPodAutoscalerCondition{Type: kind, Status: corev1.ConditionFalse, Reason: reason, Message: message}
	if holds {
		c.Status = corev1.ConditionTrue
	}
	c.LastTransitionTime = metav1.NewTime(a.at)
	if before := hpaCondition(a.note.Status.Conditions, kind); before != nil && before.Status == c.Status {
		c.LastTransitionTime = before.LastTransitionTime
	}
	a.status.Conditions = slices.Clone(a.status.Conditions)
	if at := hpaCondition(a.status.Conditions, kind); at != nil {
		*at = c
		return
	}
	a.status.Conditions = append(a.status.Conditions, c)
}

func hpaCondition(list []autoscalingv2.HorizontalPodAutoscalerCondition, kind autoscalingv2.HorizontalPodAutoscalerConditionType) *autoscalingv2.HorizontalPodAutoscalerCondition {
	i := slices.IndexFunc(list, func(c autoscalingv2.HorizontalPodAutoscalerCondition) bool { return c.Type == kind })
	if i < 0 {
		return nil
	}
	return &list[i]
}

// changedConditions names the first condition of which the note says something else.
func (a *autoscaler) changedConditions() string {
	for _, c := range a.status.Conditions {
		if before := hpaCondition(a.note.Status.Conditions, c.Type); before == nil || before.Status != c.Status {
			return string(c.Type)
		}
	}
	return ""
}

// since is from when on a workload is expected to make progress: the commit, or when it was scaled last.
func (p *planner) since(key ownerKey) time.Time {
	since := p.desired.Since
	for _, a := range p.autoscalers {
		if last := a.note.Status.LastScaleTime; a.target != nil && keyOf(a.target) == key && last != nil && !since.IsZero() {
			since = later(since, last.Time)
		}
	}
	return since
}
