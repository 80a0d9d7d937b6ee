package plan

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
)

const (
	// setLabel of a volume of the engine names the StatefulSet for whose volumeClaimTemplates it was made. No other volume is
	// ever removed by a plan.
	setLabel = "podyard.dev/statefulset"
	// whenDeletedAnnotation is on the pods of a StatefulSet whose persistentVolumeClaimRetentionPolicy.whenDeleted is Delete:
	// when it has left the commit, they are what tells.
	whenDeletedAnnotation = "podyard.dev/claims-when-deleted"
)

// madeClaims are the claims that StatefulSets make: those of the ordinals that they want, and those of others for which
// there is a volume already. One that stands in the commit by itself takes its place.
func madeClaims(set *manifests.Set, observed []runtime.PersistentVolume) []*binding {
	var out []*binding
	bySet := map[types.NamespacedName][]*runtime.PersistentVolume{}
	for i := range observed {
		if name := observed[i].Labels[setLabel]; name != "" {
			claim, _ := claimOf(&observed[i])
			at := types.NamespacedName{Namespace: claim.Namespace, Name: name}
			bySet[at] = append(bySet[at], &observed[i])
		}
	}
	for _, s := range manifests.All[*appsv1.StatefulSet](set) {
		start := startOrdinal(s)
		for i := range s.Spec.VolumeClaimTemplates {
			template := &s.Spec.VolumeClaimTemplates[i]
			for ordinal := start; ordinal < start+int(*s.Spec.Replicas); ordinal++ {
				out = append(out, madeClaim(s, template, ordinal))
			}
			for _, v := range bySet[nameOf(s)] {
				if ordinal, ok := madeFor(v, s, template.Name); ok && (ordinal < start || ordinal >= start+int(*s.Spec.Replicas)) {
					out = append(out, madeClaim(s, template, ordinal))
				}
			}
		}
	}
	return out
}

// madeClaim is upstream's getPersistentVolumeClaims (pkg/controller/statefulset/stateful_set_utils.go).
func madeClaim(s *appsv1.StatefulSet, template *corev1.PersistentVolumeClaim, ordinal int) *binding {
	meta := metav1.ObjectMeta{Namespace: s.Namespace, Name: claimName(template.Name, s.Name, ordinal),
		Labels: withEntries(template.Labels), Annotations: template.Annotations}
	for key, value := range s.Spec.Selector.MatchLabels {
		meta.Labels[key] = value
	}
	return &binding{claim: &corev1.PersistentVolumeClaim{ObjectMeta: meta, Spec: template.Spec}, set: s.Name}
}

// madeFor reads back for which ordinal of a claim template a volume of the StatefulSet was made.
func madeFor(v *runtime.PersistentVolume, s *appsv1.StatefulSet, template string) (ordinal int, ok bool) {
	claim, _ := claimOf(v)
	return ordinalOf(template+"-"+s.Name, claim.Name)
}

// ownClaims are the claims of a pod that were made for it, by the name of the template.
func ownClaims(set string, pod *corev1.Pod) iter.Seq2[string, types.NamespacedName] {
	return func(yield func(string, types.NamespacedName) bool) {
		ordinal, _ := ordinalOf(set, pod.Name)
		for i := range pod.Spec.Volumes {
			v := &pod.Spec.Volumes[i]
			if c := v.PersistentVolumeClaim; c == nil || c.ClaimName != claimName(v.Name, set, ordinal) {
				continue
			}
			if !yield(v.Name, types.NamespacedName{Namespace: pod.Namespace, Name: v.PersistentVolumeClaim.ClaimName}) {
				return
			}
		}
	}
}

func (s *stateful) deletesClaims() bool {
	return len(s.Spec.VolumeClaimTemplates) > 0 &&
		s.Spec.PersistentVolumeClaimRetentionPolicy.WhenDeleted == appsv1.DeletePersistentVolumeClaimRetentionPolicyType
}

func (s *stateful) deletesScaledClaims() bool {
	return s.Spec.PersistentVolumeClaimRetentionPolicy.WhenScaled == appsv1.DeletePersistentVolumeClaimRetentionPolicyType
}

// keepNote begins the name of the note that a StatefulSet keeps its volumes when it is deleted, although pods of it say
// otherwise: they were made before, and it may take long until they are replaced.
const keepNote = "statefulset-keeps-claims/"

func keepNoteName(set ownerKey) string { return keepNote + set.namespace + "/" + set.name }

func (p *planner) noteRetention(s *stateful) {
	keeps := !s.deletesClaims() && slices.ContainsFunc(s.pods, func(v *podView) bool { return v.Manifest.Annotations[whenDeletedAnnotation] != "" })
	note := WriteNote{Name: keepNoteName(s.key), Object: s.root, Reason: fmt.Sprintf("%s keeps volumes when it is deleted, as not all its pods say", s.key)}
	switch noted := p.observed.Notes[note.Name] != ""; {
	case keeps && !noted:
		note.Text = string(appsv1.RetainPersistentVolumeClaimRetentionPolicyType)
		p.do(note)
	case !keeps && noted:
		note.Reason = fmt.Sprintf("the pods of %s say what becomes of its volumes", s.key)
		p.do(note)
	}
}

// forgetStateful deletes the notes of StatefulSets that have left the commit, once their pods are gone.
func (p *planner) forgetStateful() {
	gone := func(set ownerKey) bool { return len(p.owned[set]) == 0 && !p.has(set) }
	p.forget("StatefulSet", gone, "is not in the commit, and its pods are gone", keepNote, partitionNote)
}

// removeScaledClaims removes the volumes of ordinals that the StatefulSet does not want, if it says so, once no pod has them.
func (p *planner) removeScaledClaims(s *stateful) {
	if !s.deletesScaledClaims() || p.desired.Fallback {
		return
	}
	for _, b := range p.claimsMadeFor(s) {
		if claim := nameOf(b.claim); b.existing != nil && !s.wants(b.claim.Name) && !p.wanted(claim, nil) {
			p.do(RemoveVolume{Volume: b.existing.Name, Claim: claim, Reason: fmt.Sprintf(
				"%s wants %s, and its persistentVolumeClaimRetentionPolicy.whenScaled is Delete", s.key, s.ordinals())})
		}
	}
}

// claimsMadeFor are those of a StatefulSet, by template and ordinal.
func (p *planner) claimsMadeFor(s *stateful) []*binding {
	out := slices.Clone(p.bindings().made[nameOf(s.StatefulSet)])
	slices.SortFunc(out, func(a, b *binding) int {
		templateA, ordinalA := splitOrdinal(a.claim.Name)
		templateB, ordinalB := splitOrdinal(b.claim.Name)
		return cmp.Or(cmp.Compare(templateA, templateB), cmp.Compare(ordinalA, ordinalB))
	})
	return out
}

func splitOrdinal(name string) (string, int) {
	i := strings.LastIndexByte(name, '-')
	ordinal, _ := strconv.Atoi(name[i+1:])
	return name[:max(i, 0)], ordinal
}

// wants tells whether a claim is of an ordinal that there should be.
func (s *stateful) wants(claim string) bool {
	_, ordinal := splitOrdinal(claim)
	return ordinal >= s.start && ordinal < s.start+s.replicas
}

// wanted tells whether a pod has a claim, ended or on its way out as it may be, but for one; or whether the commit says that
// one shall have it.
func (p *planner) wanted(claim types.NamespacedName, but *podView) bool {
	if p.claimants == nil {
		p.claimants = map[types.NamespacedName][]*podView{}
		for _, v := range p.pods {
			for used := range claimsOf(v.Manifest.Namespace, &v.Manifest.Spec) {
				p.claimants[used] = append(p.claimants[used], v)
			}
		}
		for _, t := range manifests.Templates(p.desired) {
			for used := range claimsOf(t.Object.Namespace, t.Spec) {
				p.claimants[used] = append(p.claimants[used], nil)
			}
		}
	}
	return p.find("PersistentVolumeClaim", claim.Namespace, claim.Name) != nil ||
		slices.ContainsFunc(p.claimants[claim], func(v *podView) bool { return v == nil || v != but })
}

// goesWith are the volumes that are removed with a pod: those made for it by a StatefulSet that has left the commit and whose
// persistentVolumeClaimRetentionPolicy.whenDeleted was Delete when the pod was made, and to the last.
func (p *planner) goesWith(v *podView) []string {
	if p.desired.Fallback || v.owner.kind != "StatefulSet" || v.Manifest.Annotations[whenDeletedAnnotation] == "" || p.observed.Notes[keepNoteName(v.owner)] != "" ||
		p.find(v.owner.kind, v.owner.namespace, v.owner.name) != nil {
		return nil
	}
	var out []string
	for _, claim := range ownClaims(v.owner.name, v.Manifest) {
		for _, volume := range p.volumesOf(claim) {
			if volume.Labels[setLabel] == v.owner.name && !p.wanted(claim, v) {
				out = append(out, volume.Name)
			}
		}
	}
	return out
}

// reportClaims tells of the claims that the StatefulSet makes, and of the volumes that are kept for ordinals without a pod.
func (p *planner) reportClaims(s *stateful) {
	for _, b := range p.claimsMadeFor(s) {
		ref := manifests.Ref{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: b.claim.Namespace, Name: b.claim.Name}
		status := p.claimStatus(ref, b)
		status.Owner = s.root
		switch {
		case s.wants(b.claim.Name):
		case s.deletesScaledClaims():
			status.Message = fmt.Sprintf("%s wants no pod of this ordinal; its volume is being removed", s.key)
		default:
			status.Message = fmt.Sprintf("%s wants no pod of this ordinal; its volume is kept for when it does: docker volume rm %s removes it", s.key, b.existing.Name)
		}
		p.report(s.root, status)
	}
}
