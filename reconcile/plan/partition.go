package plan

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// olderNote begins the name of the note of a pod as those below the partition of a StatefulSet stay. The last of them may be
// lost, and then nothing else tells of their template. Upstream has it as the current revision (newVersionedStatefulSetPod in
// pkg/controller/statefulset/stateful_set_utils.go).
const olderNote = "statefulset-below-partition/"

func olderNoteName(set ownerKey) string { return olderNote + set.namespace + "/" + set.name }

// findOlder prefers a pod below the partition to the one that was noted, and that to one which is about to be replaced. Without
// any replicas an update is complete (completeRollingUpdate).
func (s *stateful) findOlder(noted *corev1.Pod) *corev1.Pod {
	if !s.rolls || s.partition == 0 || s.replicas == 0 {
		return nil
	}
	candidates := []*corev1.Pod{noted}
	for i, v := range s.slots {
		switch {
		case v == nil:
		case i < s.partition:
			candidates = slices.Insert(candidates, 0, v.Manifest)
		default:
			candidates = append(candidates, v.Manifest)
		}
	}
	i := slices.IndexFunc(candidates, func(pod *corev1.Pod) bool {
		return pod != nil && pod.Labels[revisionLabel] != s.revision && s.hasClaimsOf(pod)
	})
	if i < 0 {
		return nil
	}
	return candidates[i]
}

// hasClaimsOf tells whether the claims that were made for a pod are still among the templates: without them, its template is
// of no use any more.
func (s *stateful) hasClaimsOf(pod *corev1.Pod) bool {
	for name := range ownClaims(s.Name, pod) {
		if !slices.ContainsFunc(s.Spec.VolumeClaimTemplates, func(c corev1.PersistentVolumeClaim) bool { return c.Name == name }) {
			return false
		}
	}
	return true
}

// noteOlder keeps one pod of a revision: they differ in what each gets anew.
func (p *planner) noteOlder(s *stateful) {
	name := olderNoteName(s.key)
	noted := readNote[corev1.Pod](p.observed.Notes[name])
	switch {
	case s.older != nil && (noted == nil || noted.Labels[revisionLabel] != s.older.Labels[revisionLabel]):
		p.do(WriteNote{Name: name, Text: noteText(s.older), Object: s.root, Reason: fmt.Sprintf(
			"pods of %s below the partition %d stay as %s is", s.key, s.partition, s.older.Name)})
	case s.older == nil && p.observed.Notes[name] != "":
		p.do(WriteNote{Name: name, Object: s.root, Reason: fmt.Sprintf("%s has one template for all its pods", s.key)})
	}
}
