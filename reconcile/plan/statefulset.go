package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
)

// stateful is one StatefulSet. The rules are upstream's pkg/controller/statefulset: stateful_set_control.go,
// stateful_set_utils.go.
type stateful struct {
	*workload
	*appsv1.StatefulSet
	start    int
	revision string
	// slots are the pods by ordinal, nil where there is none; condemned those of other ordinals, highest first.
	slots     []*podView
	condemned []*podView
	ordered   bool
	// rolls: a new template replaces old pods from this slot on; not so with OnDelete.
	rolls                  bool
	partition, unavailable int
	// before is a pod as those below the partition stay; nil if all are of one template.
	before *corev1.Pod
}

func (p *planner) statefulSet(object *manifests.Object, value *appsv1.StatefulSet) {
	s := p.stateful(object, value)
	p.reap(s.pods)
	p.runStateful(s)
	p.removeScaledClaims(s)
	p.noteRetention(s)
	p.notePartition(s)
	p.reportStateful(s)
	p.reportClaims(s)
}

func (p *planner) stateful(object *manifests.Object, value *appsv1.StatefulSet) *stateful {
	s := &stateful{workload: p.workload(object), StatefulSet: value, revision: revisionHash(object, value), unavailable: 1}
	s.start = startOrdinal(value)
	s.slots = make([]*podView, s.replicas)
	s.ordered = value.Spec.PodManagementPolicy != appsv1.ParallelPodManagement
	if s.rolls = value.Spec.UpdateStrategy.Type != appsv1.OnDeleteStatefulSetStrategyType; s.rolls {
		s.partition = int(*value.Spec.UpdateStrategy.RollingUpdate.Partition)
		// Rounded down, and never 0: upstream's getStatefulSetMaxUnavailable. The field's documentation says up.
		s.unavailable = max(1, scaled(value.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable, s.replicas, false))
	}
	for _, v := range s.pods {
		ordinal, ok := ordinalOf(value.Name, v.Manifest.Name)
		switch slot := ordinal - s.start; {
		case !ok:
			v.claimed, v.released = false, true
		case slot >= 0 && slot < s.replicas:
			s.slots[slot] = v
		default:
			s.condemned = append(s.condemned, v)
		}
	}
	slices.SortFunc(s.condemned, func(a, b *podView) int { return cmp.Compare(s.ordinal(b), s.ordinal(a)) })
	s.before = s.findBefore(readNote[corev1.Pod](p.observed.Notes[partitionNoteName(s.key)]))
	return s
}

func startOrdinal(s *appsv1.StatefulSet) int {
	if s.Spec.Ordinals == nil {
		return 0
	}
	return int(s.Spec.Ordinals.Start)
}

// ordinalOf reads back the ordinal of a StatefulSet's pod.
func ordinalOf(set, pod string) (int, bool) {
	text, ok := strings.CutPrefix(pod, set+"-")
	ordinal, err := strconv.Atoi(text)
	return ordinal, ok && err == nil && ordinal >= 0 && strconv.Itoa(ordinal) == text
}

func (s *stateful) ordinal(v *podView) int {
	ordinal, _ := ordinalOf(s.Name, v.Manifest.Name)
	return ordinal
}

// revisionOf is upstream's ControllerRevisionName. Besides the template it names what pods have of serviceName and
// volumeClaimTemplates: Kubernetes refuses to change these; here it replaces the pods, one after the other, and keeps their
// volumes.
func revisionOf(s *appsv1.StatefulSet) string {
	template := s.Spec.Template.DeepCopy()
	template.Spec.Hostname, template.Spec.Subdomain = "", s.Spec.ServiceName
	template.Spec.Volumes = claimVolumes(s, template.Spec.Volumes, 0)
	return s.Name + "-" + manifests.TemplateHash(template)
}

func revisionHash(object *manifests.Object, s *appsv1.StatefulSet) string {
	return object.Once(func() string { return revisionOf(s) })
}

// claimVolumes are the volumes of the pod with an ordinal: its claims take the place of volumes of the same name.
func claimVolumes(s *appsv1.StatefulSet, volumes []corev1.Volume, ordinal int) []corev1.Volume {
	var out []corev1.Volume
	claimed := map[string]bool{}
	for i := range s.Spec.VolumeClaimTemplates {
		name := s.Spec.VolumeClaimTemplates[i].Name
		claimed[name] = true
		out = append(out, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claimName(name, s.Name, ordinal)}}})
	}
	for _, v := range volumes {
		if !claimed[v.Name] {
			out = append(out, v)
		}
	}
	return out
}

func claimName(template, set string, ordinal int) string {
	return fmt.Sprintf("%s-%s-%d", template, set, ordinal)
}

// runStateful is upstream's updateStatefulSet: first the pods there should be, from the lowest ordinal; then those that there
// should not be, from the highest; then those of an old template, from the highest. In order, each step waits until all
// before it is available.
func (p *planner) runStateful(s *stateful) {
	if p.replaceBroken(s); p.fillSlots(s) && p.removeCondemned(s) {
		p.updateStateful(s)
	}
}

// fillSlots creates the missing pods. In order, it tells whether every pod is available.
func (p *planner) fillSlots(s *stateful) bool {
	for i, v := range s.slots {
		if v == nil {
			p.createOrdinal(s, i)
		}
		if s.ordered && (v == nil || !s.isAvailable(v)) {
			return false
		}
	}
	return true
}

// createOrdinal creates the pod of a slot, if its name is free.
func (p *planner) createOrdinal(s *stateful, slot int) {
	pod := p.ordinalPod(s, slot)
	switch holder := p.named(pod.Namespace, pod.Name); {
	case holder == nil:
	case holder.Phase == runtime.Missing:
		s.waiting = fmt.Sprintf("what is left of pod %s, after its sandbox was removed, is cleared away first", pod.Name)
		return
	default:
		s.waiting = fmt.Sprintf("pod %s of %s has the name of the next pod", pod.Name, holder.owner)
		return
	}
	status, pending := p.admit(pod, s.key, fmt.Sprintf("%s wants %s, has no %d", s.key, s.ordinals(), s.start+slot))
	if pending {
		s.pending = append(s.pending, status)
	}
}

func (s *stateful) ordinals() string {
	switch s.replicas {
	case 0:
		return "no pods"
	case 1:
		return fmt.Sprintf("ordinal %d", s.start)
	default:
		return fmt.Sprintf("ordinals %d to %d", s.start, s.start+s.replicas-1)
	}
}

// ordinalPod is the pod of a slot: the same name, names in DNS and claims whenever it is made anew. Upstream:
// newVersionedStatefulSetPod, initIdentity, updateStorage.
func (p *planner) ordinalPod(s *stateful, slot int) *corev1.Pod {
	ordinal := s.start + slot
	template, revision := s.template, s.revision
	if s.before != nil && slot < s.partition && s.before.Labels[revisionLabel] != revision {
		template, revision = templateOf(s.before), s.before.Labels[revisionLabel]
	}
	pod := podFrom(template, s.key, fmt.Sprintf("%s-%d", s.Name, ordinal))
	pod.Labels = withEntries(pod.Labels, revisionLabel, revision,
		appsv1.StatefulSetPodNameLabel, pod.Name, appsv1.PodIndexLabel, strconv.Itoa(ordinal))
	delete(pod.Annotations, whenDeletedAnnotation)
	if s.deletesClaims() {
		pod.Annotations[whenDeletedAnnotation] = string(appsv1.DeletePersistentVolumeClaimRetentionPolicyType)
	}
	pod.Spec.Hostname, pod.Spec.Subdomain = pod.Name, s.Spec.ServiceName
	pod.Spec.Volumes = claimVolumes(s.StatefulSet, pod.Spec.Volumes, ordinal)
	pod.UID = p.uid("Pod", s.Namespace, pod.Name, revision)
	pod.OwnerReferences = p.controlledBy(s.key)
	return pod
}

func (s *stateful) outdated(v *podView) bool { return v.Manifest.Labels[revisionLabel] != s.revision }

// due tells whether the pod of a slot is to be replaced: it is of an old template, or would take its volumes with it against
// the StatefulSet's will.
func (p *planner) due(s *stateful, slot int, v *podView) (reason string) {
	switch {
	case v == nil || v.deleted:
		return ""
	case s.rolls && slot >= s.partition && s.outdated(v):
		return p.newTemplate(s.key, v, p.ordinalPod(s, slot))
	case v.Manifest.Annotations[whenDeletedAnnotation] != "" && !s.deletesClaims():
		return fmt.Sprintf("%s keeps volumes when it is deleted, as it did not when the pod was made", s.key)
	default:
		return ""
	}
}

// replaceBroken deletes the pods of an old template that do not work: in order, the first
// pod that is not available holds up all else, and with Parallel it may be the one that may be unavailable. Upstream waits for
// a person there ("forced rollback").
func (p *planner) replaceBroken(s *stateful) {
	for i, v := range s.slots {
		if reason := p.due(s, i, v); reason != "" && p.broken(v) && p.couldReplace(s, i) {
			p.delete(v, reason+", and it is not ready")
		}
		if s.ordered && (v == nil || !s.isAvailable(v)) {
			return
		}
	}
}

// lapse is for how long a pod that was ready may be otherwise until it counts as broken.
const lapse = time.Minute

// broken tells that a container was not ready in its latest attempt, or has not been for a while.
func (p *planner) broken(v *podView) bool {
	if v.ready || v.end != nil {
		return false
	}
	if waitingInit(v.Pod) != nil {
		return true
	}
	for c := range serving(&v.Manifest.Spec) {
		latest := Latest(v.Pod, c.Name)
		if latest == nil || latest.State != runtime.Running {
			return true
		}
		if latest.Ready {
			continue
		}
		until := latest.UnreadySince.Add(lapse)
		if latest.UnreadySince.IsZero() || !p.now.Before(until) {
			return true
		}
		p.checkAt(until)
	}
	return false
}

// couldReplace tells whether the new pod of a slot could be made, were the old one gone.
func (p *planner) couldReplace(s *stateful, slot int) bool {
	why, _ := p.hindrance(p.ordinalPod(s, slot), s.key)
	s.waiting = cmp.Or(s.waiting, why)
	return why == ""
}

// removeCondemned scales down from the highest ordinal, in order one pod after the other. Upstream waits, in order, for a pod
// that is not ready if there is another such below it; a pod that nobody wants and that does not work is not waited for here.
func (p *planner) removeCondemned(s *stateful) bool {
	for _, v := range s.condemned {
		p.delete(v, fmt.Sprintf("%s wants %s", s.key, s.ordinals()))
		if s.ordered {
			return false
		}
	}
	return true
}

// updateStateful replaces pods of an old template from the highest ordinal down to the partition, as many at once as may be
// unavailable. Upstream: updateStatefulSetAfterInvariantEstablished.
func (p *planner) updateStateful(s *stateful) {
	spare := s.unavailable
	for _, v := range s.slots {
		spare -= order(v == nil || !s.isAvailable(v))
	}
	for i, v := range slices.Backward(s.slots) {
		if spare <= 0 {
			return
		}
		if reason := p.due(s, i, v); reason != "" {
			if !p.couldReplace(s, i) {
				return
			}
			p.delete(v, reason)
			spare--
		}
	}
}

func (p *planner) reportStateful(s *stateful) {
	at := progress{rolls: true, excess: len(s.condemned)}
	below := 0 // the partition
	for i, v := range s.slots {
		switch {
		case v == nil || !v.live():
		case !s.outdated(v):
			at.updated++
		default:
			at.old++
			below += order(i < s.partition)
		}
	}
	at.complete = s.available() == s.replicas && at.excess == 0 && (at.old == below || !s.rolls)
	switch {
	case at.old == 0:
	case !s.rolls:
		at.remark = fmt.Sprintf("%d pods have an older template, and updateStrategy is OnDelete: podyard replaces them when they are removed", at.old)
	case at.old == below:
		at.remark = fmt.Sprintf("%d pods below the partition %d have an older template", at.old, s.partition)
	}
	p.reportWorkload(s.workload, at)
}
