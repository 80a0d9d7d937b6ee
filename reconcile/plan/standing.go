package plan

import (
	"cmp"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
)

// standing is what a workload was before the commit for which it waits. Argo CD applies an object when its wave comes
// (gitops-engine/pkg/sync/sync_context.go); until then its controller goes on with the one before, of which git does not tell any
// more. Of Deployments the numbers are in their own note.
type standing struct {
	Replicas int `json:"replicas"`
	// Start is the first ordinal of a StatefulSet.
	Start int `json:"start,omitempty"`
	// Template is the hash of the newest one; empty if pods do not tell.
	Template string `json:"template,omitempty"`
	// Pod is one of that template, where the commit has another: the last of them may be lost.
	Pod *corev1.Pod `json:"pod,omitempty"`
}

// noteStanding remembers what a workload is, or was.
func (s *syncing) noteStanding(o *manifests.Object, is standing) {
	if o.Kind == "Deployment" && is.Pod == nil {
		return
	}
	if s.found.Standing == nil {
		s.found.Standing = map[string]standing{}
	}
	s.found.Standing[o.Ref.String()] = is
}

// noteStandings remembers workloads whose turn has come, for when the next commit makes them wait.
func (p *planner) noteStandings() {
	for _, o := range p.sync.begun {
		w, is := manifests.WorkloadOf(o.Value)
		if !is || o.Kind == "Job" {
			continue
		}
		now := standing{Replicas: 1, Template: nameOfTemplate(o)}
		if w.Replicas != nil {
			now.Replicas = int(*w.Replicas)
		}
		if set, is := o.Value.(*appsv1.StatefulSet); is {
			now.Start = startOrdinal(set)
		}
		p.sync.noteStanding(o, now)
	}
}

// nameOfTemplate is how pods of a workload name the template of the commit.
func nameOfTemplate(o *manifests.Object) string {
	switch v := o.Value.(type) {
	case *appsv1.Deployment:
		return templateHash(o, v)
	case *appsv1.StatefulSet:
		return revisionHash(o, v)
	default:
		return plainHash(o)
	}
}

// plainHash is that of a ReplicaSet, ReplicationController or DaemonSet.
func plainHash(o *manifests.Object) string {
	w, _ := manifests.WorkloadOf(o.Value)
	return o.Once(func() string { return manifests.TemplateHash(w.Template) })
}

// templateNamed is the name that a pod carries of its template.
func templateNamed(pod *corev1.Pod) string {
	return cmp.Or(pod.Labels[templateHashLabel], pod.Labels[revisionLabel], pod.Annotations[hashAnnotation])
}

// goOn lets a workload that waits for its turn go on as before the commit: by its controller, with the number of pods that it
// has been wanting and the template that it had. It tells whether it does; a workload that is new does not.
func (p *planner) goOn(o *manifests.Object) bool {
	was, known := p.standingOf(o)
	if !known {
		return false
	}
	template, name := p.templateBefore(o, &was)
	p.sync.noteStanding(o, was)
	if template == nil {
		return false
	}
	was.Replicas = max(was.Replicas-len(p.former[keyOf(o)]), 0) // what is not selected any more stays until removal is due
	before := asBefore(o, was, template)
	before.Once(func() string { return name })
	switch v := before.Value.(type) {
	case *appsv1.Deployment:
		// A rollout stands still: the commit may be there to end it. If nothing tells how its newest pods were, the others are
		// all there is.
		v.Spec.Paused = name == was.Template
		keepSurge(v, p.madeBy(o))
		p.deployment(before, v)
	case *appsv1.StatefulSet:
		p.keepOrdinals(before, v)
	case *appsv1.DaemonSet:
		p.keepDaemon(before, v)
	default:
		p.replicas(before)
	}
	p.reportHeld(o, p.sync.patience())
	return true
}

// standingOf is what is known of a workload as it was; ok is false if it is new.
func (p *planner) standingOf(o *manifests.Object) (was standing, ok bool) {
	pods := p.madeBy(o)
	if _, is := o.Value.(*appsv1.Deployment); is {
		was, ok = p.standingRollout(o, pods)
	} else if was, ok = p.sync.note.Standing[o.Ref.String()]; !ok && len(pods) > 0 {
		was, ok = standingOfPods(o, pods), true
	}
	if n, scaled := p.scaledTo(o); ok && scaled {
		was.Replicas = n
	}
	return was, ok
}

// standingRollout is that of a Deployment, by what is remembered of it, or by its youngest pod.
func (p *planner) standingRollout(o *manifests.Object, pods []*podView) (was standing, ok bool) {
	if note := readNote[rolloutNote](p.observed.Notes[rolloutNotes+o.Namespace+"/"+o.Name]); note != nil && note.Template != "" {
		return standing{Replicas: note.Replicas, Template: note.Template, Pod: p.sync.note.Standing[o.Ref.String()].Pod}, true
	}
	if len(pods) == 0 {
		return standing{}, false
	}
	return standing{Replicas: number(pods[0].Manifest.Annotations, desiredAnnotation, len(pods)), Template: templateNamed(pods[0].Manifest)}, true
}

// standingOfPods is what pods tell, where nothing else does: as many as stay were wanted.
func standingOfPods(o *manifests.Object, pods []*podView) standing {
	template := templateNamed(pods[0].Manifest)
	pods = slices.DeleteFunc(slices.Clone(pods), func(v *podView) bool { return v.deleted })
	was := standing{Replicas: len(pods), Template: template}
	if o.Kind == "StatefulSet" && len(pods) > 0 {
		highest, _ := ordinalOf(o.Name, pods[0].Manifest.Name)
		was.Start, _ = ordinalOf(o.Name, pods[len(pods)-1].Manifest.Name)
		was.Replicas = highest - was.Start + 1
	}
	return was
}

// madeBy are the pods that a workload itself has made, those of the newest template first: the youngest, and of a StatefulSet
// those with the highest ordinals, which it updates first.
func (p *planner) madeBy(o *manifests.Object) []*podView {
	key := keyOf(o)
	pods := slices.DeleteFunc(slices.Clone(p.owned[key]), func(v *podView) bool {
		_, numbered := ordinalOf(o.Name, v.Manifest.Name)
		return v.owner != key || v.Phase == runtime.Missing || key.kind == "StatefulSet" && !numbered
	})
	slices.SortStableFunc(pods, func(a, b *podView) int {
		_, ofA := splitOrdinal(a.Manifest.Name)
		_, ofB := splitOrdinal(b.Manifest.Name)
		return cmp.Or(order(key.kind == "StatefulSet")*cmp.Compare(ofB, ofA),
			b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.Manifest.Name, b.Manifest.Name))
	})
	return pods
}

// scaledTo is the number of pods that an autoscaler has decided on: it waits for nothing.
func (p *planner) scaledTo(o *manifests.Object) (n int, scaled bool) {
	for _, a := range p.autoscalers {
		if a.target != nil && a.noted && a.written > 0 && keyOf(a.target) == keyOf(o) {
			return int(a.current), true
		}
	}
	return 0, false
}

// templateBefore is the template that a workload had, with its name: that of the commit if it is the same, and else that of one
// of its pods, which is noted; nil if nothing tells.
func (p *planner) templateBefore(o *manifests.Object, was *standing) (template *corev1.PodTemplateSpec, name string) {
	w, _ := manifests.WorkloadOf(o.Value)
	noted := was.Pod
	was.Pod = nil
	if name := nameOfTemplate(o); name == was.Template {
		return w.Template, name
	}
	var candidates []*corev1.Pod
	if noted != nil {
		candidates = append(candidates, noted)
	}
	for _, v := range p.madeBy(o) {
		candidates = append(candidates, v.Manifest)
	}
	if len(candidates) == 0 {
		return nil, ""
	}
	i := slices.IndexFunc(candidates, func(pod *corev1.Pod) bool { return templateNamed(pod) == was.Template })
	was.Pod = candidates[max(i, 0)]
	return templateOf(was.Pod), templateNamed(was.Pod)
}

// asBefore is a workload with the number of pods and the template that it had. What else the commit changes of it decides
// nothing as long as no template is new.
func asBefore(o *manifests.Object, was standing, template *corev1.PodTemplateSpec) *manifests.Object {
	n, start := int32(was.Replicas), int32(was.Start)
	switch v := o.Value.(type) {
	case *appsv1.Deployment:
		before := *v
		before.Spec.Replicas, before.Spec.Template = &n, *template
		return o.With(&before)
	case *appsv1.ReplicaSet:
		before := *v
		before.Spec.Replicas, before.Spec.Template = &n, *template
		return o.With(&before)
	case *corev1.ReplicationController:
		before := *v
		before.Spec.Replicas, before.Spec.Template = &n, template
		return o.With(&before)
	case *appsv1.StatefulSet:
		before := *v
		before.Spec.Replicas, before.Spec.Template = &n, *template
		before.Spec.Ordinals = &appsv1.StatefulSetOrdinals{Start: start}
		if template != &v.Spec.Template { // it is read from a pod
			before.Spec.ServiceName, before.Spec.VolumeClaimTemplates = template.Spec.Subdomain, claimTemplatesOf(v.Name, &template.Spec)
		}
		return o.With(&before)
	case *appsv1.DaemonSet:
		before := *v
		before.Spec.Template = *template
		return o.With(&before)
	}
	return o
}

// claimTemplatesOf are the names of a StatefulSet's volumeClaimTemplates, as one of its pods tells them.
func claimTemplatesOf(set string, spec *corev1.PodSpec) (out []corev1.PersistentVolumeClaim) {
	for i := range spec.Volumes {
		v := &spec.Volumes[i]
		if v.PersistentVolumeClaim == nil {
			continue
		}
		if _, own := ordinalOf(v.Name+"-"+set, v.PersistentVolumeClaim.ClaimName); own {
			out = append(out, corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: v.Name}})
		}
	}
	return out
}

// keepSurge lets pods of several templates be as many as they are, if these are enough: what the commit says of the surge is for
// its own rollout.
func keepSurge(d *appsv1.Deployment, pods []*podView) {
	total, templates := 0, map[string]bool{}
	for _, v := range pods {
		if v.live() {
			total++
			templates[templateNamed(v.Manifest)] = true
		}
	}
	if d.Spec.Strategy.RollingUpdate == nil || len(templates) < 2 {
		return
	}
	surge := intstr.FromInt(max(total-int(*d.Spec.Replicas), 0))
	rolling := *d.Spec.Strategy.RollingUpdate
	rolling.MaxSurge = &surge
	d.Spec.Strategy.RollingUpdate = &rolling
}

// keepOrdinals keeps the pods of a StatefulSet that waits: none is replaced by another template.
func (p *planner) keepOrdinals(o *manifests.Object, value *appsv1.StatefulSet) {
	s := p.stateful(o, value)
	p.reap(s.pods)
	if p.fillSlots(s) {
		p.removeCondemned(s) // an autoscaler wants fewer
	}
	p.reportStateful(s)
}

// keepDaemon does so for a DaemonSet.
func (p *planner) keepDaemon(o *manifests.Object, value *appsv1.DaemonSet) {
	d := p.daemon(o, value)
	p.reap(d.pods)
	d.split()
	if p.notForThisHost(d) != "" {
		d.replicas = 0
	} else if len(d.updated)+len(d.old) == 0 {
		p.onePod(d)
	}
	p.reportDaemon(d)
}

// reportHeld puts why a workload waits before what its controller says, and how many of its pods are ready meanwhile.
func (p *planner) reportHeld(o *manifests.Object, patience string) {
	i := p.rootStatus(o)
	status := &p.statuses[o.Ref][i]
	message := fmt.Sprintf("goes on as before, %s pods ready", status.Summary["ready"])
	for _, pod := range p.statuses[o.Ref][i+1:] {
		if pod.Kind == "Pod" && pod.Message != "" && pod.Health != Ready {
			message += fmt.Sprintf(" (pod %s: %s)", pod.Name, pod.Message)
			break
		}
	}
	status.Health, status.Message = Reconciling, message+"; "+patience
}
