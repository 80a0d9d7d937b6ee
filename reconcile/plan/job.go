package plan

import (
	"cmp"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podyard/podyard/manifests"
)

// job runs a Job that stands in the commit by itself, once for each change of it. The rules are upstream's
// pkg/controller/job: job_controller.go for the order of decisions, and what the files job_*.go here name.
func (p *planner) job(object *manifests.Object, j *batchv1.Job) {
	p.runJob(object.Ref, manifests.Ref{}, j, cmp.Or(object.Hash, manifests.JobHash(&j.Spec)))
}

// runJob plans one Job, reports it under root as owner's, and returns its status, what this plan decides included. A Job runs
// once for each identity: with another one it is replaced and runs again.
func (p *planner) runJob(root, owner manifests.Ref, j *batchv1.Job, identity string) *batchv1.JobStatus {
	r := p.jobRun(root, owner, j, identity)
	switch {
	case r.replaced != "":
		p.replaceJob(r)
	case finishedCondition(r.status()) != nil:
		p.tidyJob(r)
	default:
		p.syncJob(r)
	}
	p.writeRecord(r)
	p.reportJob(r)
	return r.publicStatus()
}

// jobRun is one Job on its way from its first pod to its end; upstream's syncJobCtx.
type jobRun struct {
	*batchv1.Job
	*record
	key         ownerKey
	root, owner manifests.Ref
	identity    string
	// pods are those of this run, stopping ones included; leftovers are those of one before.
	pods, leftovers []*podView
	// ended are those that ended by themselves, the last one last.
	ended []*podView
	// replaced says why the Job starts over, if it does.
	replaced string
	// completed and failed are indexes of an Indexed Job.
	completed, failed manifests.Indexes
	// active pods go on and count; terminating ones are on their way out.
	active, terminating []*podView
	// planned counts the pods that this plan creates, and would create if it could; pending are those that it cannot.
	planned int
	pending []ObjectStatus
	// waiting says what keeps new pods from being made, beside pods that cannot be.
	waiting string
}

// replaceJob clears away what the Job was before it changed: Kubernetes would refuse the change. An old one that still runs
// goes on until the new one could be started.
func (p *planner) replaceJob(r *jobRun) {
	for _, v := range r.leftovers {
		if !v.ended() && !v.deleted {
			if r.waiting, _ = p.hindrance(p.jobPod(r, 0, unindexed), r.key); r.waiting != "" {
				r.waiting = "still runs as it was before the commit: " + r.waiting
				return
			}
		}
	}
	for _, v := range r.leftovers {
		p.delete(v, r.replaced)
	}
	if len(r.leftovers) == 0 {
		p.beginRecord(r)
		return
	}
	r.waiting = "is being replaced"
}

// syncJob follows upstream's syncJob.
func (p *planner) syncJob(r *jobRun) {
	for _, v := range r.leftovers {
		p.delete(v, fmt.Sprintf("it is of an earlier run of %s", r.key))
	}
	p.countPods(r)
	p.startClock(r)
	target := p.jobTarget(r)
	if target == nil {
		p.manageJob(r)
		if target = completion(r, p.now); target == nil {
			r.markSuspended(p.now)
		}
	}
	if target != nil {
		p.endJob(r, *target)
	}
	p.deleteReleased(r)
	p.reapJob(r)
}

// startClock sets when the Job was started, or resumed: activeDeadlineSeconds counts from there.
func (p *planner) startClock(r *jobRun) {
	if r.suspended() {
		return
	}
	status := r.status()
	if resumed := r.markResumed(p.now); resumed || status.StartTime == nil {
		status.StartTime = &metav1.Time{Time: p.now.Truncate(time.Second)}
	}
}

func (r *jobRun) suspended() bool { return *r.Job.Spec.Suspend }

func (r *jobRun) indexed() bool { return *r.Job.Spec.CompletionMode == batchv1.IndexedCompletion }

// onlyFailed: a pod is replaced only once it has ended, not already while it stops. Upstream: onlyReplaceFailedPods.
func (r *jobRun) onlyFailed() bool {
	return *r.Job.Spec.PodReplacementPolicy == batchv1.Failed || r.Job.Spec.PodFailurePolicy != nil
}

// jobTarget is why the Job is about to end, in the order in which upstream asks; nil if it goes on.
func (p *planner) jobTarget(r *jobRun) *batchv1.JobCondition {
	for _, kind := range []batchv1.JobConditionType{batchv1.JobSuccessCriteriaMet, batchv1.JobFailureTarget} {
		if c := holding(r.status(), kind); c != nil {
			return c
		}
	}
	spec := &r.Job.Spec
	if message := p.failsJob(r); message != "" {
		return p.failure(r, batchv1.JobReasonPodFailurePolicy, message)
	}
	if r.status().Failed > *spec.BackoffLimit || pastBackoffLimit(r) {
		return p.failure(r, batchv1.JobReasonBackoffLimitExceeded, "Job has reached the specified backoff limit")
	}
	if seconds := spec.ActiveDeadlineSeconds; seconds != nil && r.status().StartTime != nil && !r.suspended() {
		deadline := r.status().StartTime.Add(time.Duration(*seconds) * time.Second)
		if !p.now.Before(deadline) {
			return p.failure(r, batchv1.JobReasonDeadlineExceeded, "Job was active longer than specified deadline")
		}
		p.checkAt(deadline)
	}
	if n := r.failed.Total(); spec.MaxFailedIndexes != nil && n > int(*spec.MaxFailedIndexes) {
		return p.failure(r, batchv1.JobReasonMaxFailedIndexesExceeded, "Job has exceeded the specified maximal number of failed indexes")
	} else if n > 0 && n+r.completed.Total() >= int(*spec.Completions) {
		return p.failure(r, batchv1.JobReasonFailedIndexes, "Job has failed indexes")
	}
	if message := meetsSuccessPolicy(spec, r.completed); message != "" {
		return newJobCondition(batchv1.JobSuccessCriteriaMet, batchv1.JobReasonSuccessPolicy, message, p.now)
	}
	return nil
}

// completion tells that nothing is left to do. Without completions, one success is enough, and what runs still may end.
func completion(r *jobRun, now time.Time) *batchv1.JobCondition {
	succeeded, wanted := r.status().Succeeded, int32(1)
	if r.Job.Spec.Completions != nil {
		wanted = *r.Job.Spec.Completions
	}
	if succeeded < wanted || len(r.active)+r.planned > 0 {
		return nil
	}
	return newJobCondition(batchv1.JobSuccessCriteriaMet, batchv1.JobReasonCompletionsReached, "Reached expected number of succeeded pods", now)
}

// failure is the end of a Job, with the words of the pod that failed last.
func (p *planner) failure(r *jobRun, reason, message string) *batchv1.JobCondition {
	if v := r.lastFailed(); v != nil && reason != batchv1.JobReasonDeadlineExceeded {
		message += fmt.Sprintf("; pod %s: %s", v.Manifest.Name, p.whyFailed(v))
	}
	return newJobCondition(batchv1.JobFailureTarget, reason, message, p.now)
}

// endJob deletes what still runs, which counts as failed unless the Job succeeded, and ends the Job once nothing does.
// Upstream: deleteActivePods, trackJobStatusAndRemoveFinalizers, enactJobFinished.
func (p *planner) endJob(r *jobRun, target batchv1.JobCondition) {
	status := r.status()
	setCondition(status, target)
	for _, v := range r.active {
		r.release(v)
		if target.Type == batchv1.JobFailureTarget {
			status.Failed++
		}
	}
	r.active = nil
	if len(r.terminating) > 0 {
		r.waiting = "its pods are being stopped"
		return
	}
	final := newJobCondition(batchv1.JobFailed, target.Reason, target.Message, p.now)
	if target.Type == batchv1.JobSuccessCriteriaMet {
		final.Type = batchv1.JobComplete
		status.CompletionTime = &final.LastTransitionTime
	}
	setCondition(status, *final)
}

// tidyJob is for a Job that has ended: nothing of it runs, and its pods go when its time to live is over. What is left of a pod
// of which somebody removed the containers would look as if it never ran.
func (p *planner) tidyJob(r *jobRun) {
	end := finishedCondition(r.status())
	expired := false
	if ttl := r.Job.Spec.TTLSecondsAfterFinished; ttl != nil {
		at := end.LastTransitionTime.Add(time.Duration(*ttl) * time.Second)
		if expired = !p.now.Before(at); !expired {
			p.checkAt(at)
		}
	}
	for _, v := range r.pods {
		switch {
		case expired:
			p.delete(v, fmt.Sprintf("%s has ended, and its ttlSecondsAfterFinished, %d s, are over", r.key, *r.Job.Spec.TTLSecondsAfterFinished))
		case !v.ended() || r.released[v.Manifest.UID]:
			p.delete(v, fmt.Sprintf("%s has ended", r.key))
		}
	}
	p.reapJob(r)
}

// ended: the pod's phase is final.
func (v *podView) ended() bool {
	return v.phase == corev1.PodSucceeded || v.phase == corev1.PodFailed
}
