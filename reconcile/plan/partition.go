package plan

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// partitionNote begins the name of the note of a pod as those below the partition of a StatefulSet stay. The last of them may be
// lost, and then nothing else tells of their template. Upstream has it as the current revision (newVersionedStatefulSetPod in
// pkg/controller/statefulset/stateful_set_utils.go).
const partitionNote = "statefulset-below-partition/"

func partitionNoteName(set ownerKey) string { return partitionNote + set.namespace + "/" + set.name }

// findBefore is a pod as all were before the update that stops at the partition: the one that was noted, until the update is
// complete, also if the commit returns to its template meanwhile. With nothing noted it is one below the partition, or one that is
// about to be replaced. Without any replicas an update is complete (completeRollingUpdate).
func (s *stateful) findBefore(noted *corev1.Pod) *corev1.Pod {
	if !s.rolls || s.partition == 0 || s.replicas == 0 || s.isUpdated() {
		return nil
	}
	if noted != nil && s.hasClaimsOf(noted) {
		return noted
	}
	var found *corev1.Pod
	for i, v := range s.slots {
		below := i < s.partition // of these the highest, else the lowest of all
		if v != nil && s.outdated(v) && s.hasClaimsOf(v.Manifest) && (found == nil || below) {
			found = v.Manifest
		}
	}
	return found
}

func (s *stateful) isUpdated() bool {
	return !slices.ContainsFunc(s.slots, func(v *podView) bool { return v == nil || s.outdated(v) })
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

// notePartition keeps one pod of a revision: they differ in what each gets anew.
func (p *planner) notePartition(s *stateful) {
	name := partitionNoteName(s.key)
	noted := readNote[corev1.Pod](p.observed.Notes[name])
	switch {
	case s.before != nil && (noted == nil || noted.Labels[revisionLabel] != s.before.Labels[revisionLabel]):
		p.do(WriteNote{Name: name, Text: noteText(s.before), Object: s.root, Reason: fmt.Sprintf(
			"pods of %s below the partition %d stay as %s is", s.key, s.partition, s.before.Name)})
	case s.before == nil && p.observed.Notes[name] != "":
		p.do(WriteNote{Name: name, Object: s.root, Reason: fmt.Sprintf("%s has one template for all its pods", s.key)})
	}
}
