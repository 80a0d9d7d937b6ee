package plan

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// beforeNotes begins the name of the note of a pod as those of a Deployment were before a rollout, until that is complete. The
// last of them may be lost while the new ones do not work, or in a pause, and then nothing else tells of their template. Upstream
// has it in the old ReplicaSet.
const beforeNotes = "deployment-before/"

func (r *rollout) beforeName() string { return beforeNotes + r.Namespace + "/" + r.Name }

// findBefore finds the pod that is noted, or is to be: of the newest old template.
func (r *rollout) findBefore(noted *corev1.Pod) {
	r.before = noted
	if noted != nil || len(r.old) == 0 {
		return
	}
	hash := r.old[len(r.old)-1].hash
	i := slices.IndexFunc(r.pods, func(v *podView) bool { return v.Manifest.Labels[templateHashLabel] == hash })
	r.before = r.pods[i].Manifest
}

// stable is the ReplicaSet from before the rollout, with or without pods; nil if there was none, or it is what the commit has
// again.
func (r *rollout) stable() *replicaSet {
	if r.before == nil || r.before.Labels[templateHashLabel] == r.current.hash {
		return nil
	}
	hash := r.before.Labels[templateHashLabel]
	if rs := r.oldSet(hash); rs != nil {
		return rs
	}
	rs := newReplicaSet(r.key, hash, templateOf(r.before))
	rs.youngest = r.current.youngest
	rs.revision = max(r.known.Old[hash], number(r.before.Annotations, revisionAnnotation, 0))
	r.old = append([]*replicaSet{rs}, r.old...)
	return rs
}

// noteBefore keeps the note until the rollout is complete. In a pause it is not, whatever the number of replicas.
func (p *planner) noteBefore(r *rollout) {
	name, noted := r.beforeName(), p.observed.Notes[r.beforeName()] != ""
	waits := r.Spec.Paused && !r.rolledOut()
	switch done := r.next.Complete && r.oldCount() == 0 && !waits; {
	case done && noted:
		p.do(WriteNote{Name: name, Object: r.root, Reason: fmt.Sprintf("%s is at revision %d with all its pods", r.key, r.next.Revision)})
	case !done && !noted && r.before != nil:
		p.do(WriteNote{Name: name, Text: noteText(r.before), Object: r.root, Reason: fmt.Sprintf("%s may need more pods as %s is", r.key, r.before.Name)})
	}
}
