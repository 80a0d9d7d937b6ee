package plan

import (
	"fmt"
	"math"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// reportDeployment says how far the rollout is, as upstream's syncRolloutStatus.
func (p *planner) reportDeployment(r *rollout) {
	updated, availableUpdated := len(r.current.pods), r.availableIn(r.current)
	status := ObjectStatus{Ref: r.root, Summary: map[string]string{
		"ready": fmt.Sprintf("%d/%d", r.readyCount(), r.replicas), "updated": fmt.Sprint(updated),
		"available": fmt.Sprint(r.availableCount()), "images": images(&r.Spec.Template.Spec),
		"revision": fmt.Sprint(r.next.Revision),
	}}
	complete := updated == r.replicas && availableUpdated == r.replicas && r.oldCount() == 0
	r.next.Complete = complete || r.hasCompleted()
	r.cleanUp()
	deadline := p.progressDeadline(r)
	switch {
	case complete:
		status.Health = Ready
	case r.Spec.Paused:
		status.Health, status.Message = Reconciling, "is paused"
		if n := r.availableCount(); n < r.replicas {
			status.Message = fmt.Sprintf("is paused; %d of %d pods available", n, r.replicas)
		}
	case !deadline.IsZero() && !p.now.Before(deadline):
		status.Health = Stalled
		status.Message = fmt.Sprintf("made no progress for %d s: %s", *r.Spec.ProgressDeadlineSeconds, p.rolloutMessage(r))
	default:
		status.Health, status.Message = Reconciling, p.rolloutMessage(r)
		p.checkAt(deadline)
	}
	status.Conditions = deploymentConditions(r, status.Health, status.Message)
	p.report(r.root, status)
	p.checkMinReady(r)
	for _, rs := range slices.Backward(append(slices.Clone(r.old), r.current)) {
		wanted := rs.size()
		if rs == r.current {
			wanted = r.replicas
		}
		p.reportReplicaSet(r.root, rs, wanted, r.pods)
	}
	p.reportFormer(r)
}

// reportFormer lists the ReplicaSets without pods, the newest first.
func (p *planner) reportFormer(r *rollout) {
	for _, hash := range slices.Backward(byRevision(r.next.Old)) {
		if r.oldSet(hash) == nil {
			rs := newReplicaSet(r.key, hash, nil)
			rs.revision = r.next.Old[hash]
			p.reportReplicaSet(r.root, rs, 0, nil)
		}
	}
}

// rolloutMessage is one sentence on what the rollout waits for.
func (p *planner) rolloutMessage(r *rollout) string {
	message := fmt.Sprintf("%d of %d pods updated and available", r.availableIn(r.current), r.replicas)
	if n := r.oldCount(); n > 0 {
		message += fmt.Sprintf(", %d old", n)
	}
	if r.waiting != "" {
		return message + "; " + r.waiting
	}
	for _, pending := range r.current.pending {
		return fmt.Sprintf("%s; pod %s: %s", message, pending.Name, pending.Message)
	}
	for _, v := range r.current.pods {
		if v.problem != "" {
			return fmt.Sprintf("%s; pod %s: %s", message, v.Manifest.Name, v.problem)
		}
	}
	return message
}

// progressDeadline is when a rollout that makes no progress is called stalled; zero for never, as once it is complete. Progress
// is a new revision, a new number of replicas by an autoscaler, a pod that was created, or one of any revision that became ready or
// available. Upstream:
// DeploymentProgressing, DeploymentTimedOut and HasProgressDeadline (pkg/controller/deployment/util).
func (p *planner) progressDeadline(r *rollout) time.Time {
	seconds := r.Spec.ProgressDeadlineSeconds
	if seconds == nil || *seconds == math.MaxInt32 || p.desired.Since.IsZero() || r.next.Complete {
		return time.Time{}
	}
	progress := p.since(r.key)
	for _, v := range r.current.pods {
		progress = later(progress, v.CreatedAt)
	}
	for _, v := range r.pods {
		if v.ready {
			progress = later(progress, v.readySince)
		}
		if v.available(r.minReady, p.now) {
			progress = later(progress, v.readySince.Add(r.minReady))
		}
	}
	return progress.Add(time.Duration(*seconds) * time.Second)
}

// checkMinReady asks to look again when a ready pod becomes available.
func (p *planner) checkMinReady(r *rollout) {
	for _, v := range r.pods {
		if v.ready && !v.deleted {
			p.checkAt(v.readySince.Add(r.minReady))
		}
	}
}

func deploymentConditions(r *rollout, health Health, message string) []metav1.Condition {
	_, unavailable := fencepostsOf(r)
	availableStatus := condition("Available", r.availableCount() >= r.replicas-unavailable,
		"MinimumReplicasAvailable", "MinimumReplicasUnavailable", message)
	progressing := metav1.Condition{Type: "Progressing", Status: metav1.ConditionTrue, Reason: "ReplicaSetUpdated", Message: message}
	switch {
	case r.next.Complete:
		progressing.Reason = "NewReplicaSetAvailable"
	case health == Stalled:
		progressing.Status, progressing.Reason = metav1.ConditionFalse, "ProgressDeadlineExceeded"
	case r.Spec.Paused:
		progressing.Status, progressing.Reason = metav1.ConditionUnknown, "DeploymentPaused"
	}
	return append([]metav1.Condition{availableStatus, progressing}, replicaFailure(r.pending())...)
}

// pending are the pods that are wanted and cannot be made, of the newest template first.
func (r *rollout) pending() []ObjectStatus {
	pending := r.current.pending
	for _, rs := range r.old {
		pending = slices.Concat(pending, rs.pending)
	}
	return pending
}

func condition(kind string, holds bool, yes, no, message string) metav1.Condition {
	if holds {
		return metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: yes}
	}
	return metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: no, Message: message}
}

// fencepostsOf also knows Recreate, under which a Deployment counts as available with all its pods only.
func fencepostsOf(r *rollout) (surge, unavailable int) {
	if r.Spec.Strategy.RollingUpdate == nil {
		return 0, 0
	}
	return fenceposts(r.Spec.Strategy.RollingUpdate, r.replicas)
}
