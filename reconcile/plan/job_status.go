package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

// publicStatus is the whole status: what changes with every pod is not kept in the note.
func (r *jobRun) publicStatus() *batchv1.JobStatus {
	status := r.next.Status.DeepCopy()
	ready, terminating := int32(0), int32(len(r.terminating))
	for _, v := range r.active {
		ready += int32(order(v.ready))
	}
	status.Active, status.Ready, status.Terminating = int32(len(r.active)+r.planned), &ready, &terminating
	return status
}

// reportJob says how far a Job is, and of each of its pods.
func (p *planner) reportJob(r *jobRun) {
	status := ObjectStatus{Ref: r.ref(), Owner: r.owner, Summary: r.summary(), Conditions: jobConditions(r.status())}
	status.Health, status.Message = p.jobHealth(r)
	p.report(r.root, status)
	for _, v := range slices.Concat(r.pods, r.leftovers) {
		p.report(r.root, p.podStatus(v, r.ref()))
	}
	for _, pending := range r.pending {
		pending.Owner = r.ref()
		p.report(r.root, pending)
	}
}

func (p *planner) jobHealth(r *jobRun) (Health, string) {
	end := finishedCondition(r.status())
	switch {
	case r.replaced != "":
		return Reconciling, r.waiting
	case end != nil && end.Type == batchv1.JobFailed:
		return Stalled, fmt.Sprintf("%s: %s", end.Reason, end.Message)
	case end != nil:
		return Ready, ""
	case r.suspended() && r.ending() == nil:
		return Ready, "is suspended"
	}
	message := p.jobMessage(r)
	if at := p.jobStallsAt(r); !at.IsZero() && !p.now.Before(at) {
		return Stalled, noProgress(message)
	} else {
		p.checkAt(at)
	}
	return Reconciling, message
}

// jobMessage is one sentence on how far the Job is, and what it waits for.
func (p *planner) jobMessage(r *jobRun) string {
	message := r.progress()
	if r.waiting != "" {
		message += "; " + r.waiting
	}
	for _, pending := range r.pending {
		return fmt.Sprintf("%s; pod %s: %s", message, pending.Name, pending.Message)
	}
	for _, v := range r.active {
		if v.problem != "" {
			return fmt.Sprintf("%s; pod %s: %s", message, v.Manifest.Name, v.problem)
		}
	}
	if v := r.lastFailed(); v != nil {
		return fmt.Sprintf("%s; pod %s: %s", message, v.Manifest.Name, p.whyFailed(v))
	}
	return message
}

// progress is how far the Job is, in numbers.
func (r *jobRun) progress() string {
	parts := []string{r.completions() + " completions"}
	if n := len(r.active) + r.planned; n > 0 {
		parts = append(parts, fmt.Sprintf("%d active", n))
	}
	if n := r.status().Failed; n > 0 {
		parts = append(parts, fmt.Sprintf("%d failed", n))
	}
	return strings.Join(parts, ", ")
}

// completions are written as kubectl does (pkg/printers/internalversion/printers.go, printJob).
func (r *jobRun) completions() string {
	succeeded := r.status().Succeeded
	switch spec := &r.Job.Spec; {
	case spec.Completions != nil:
		return fmt.Sprintf("%d/%d", succeeded, *spec.Completions)
	case *spec.Parallelism > 1:
		return fmt.Sprintf("%d/1 of %d", succeeded, *spec.Parallelism)
	default:
		return fmt.Sprintf("%d/1", succeeded)
	}
}

// wants is why a pod is made.
func (r *jobRun) wants() string {
	return fmt.Sprintf("%s has %s and wants %d active pods, has %d", r.key, r.completions(), r.wantedPods(), len(r.active))
}

func (r *jobRun) summary() map[string]string {
	out := map[string]string{"completions": r.completions(), "images": images(&r.Job.Spec.Template.Spec)}
	if n := len(r.active) + r.planned; n > 0 {
		out["active"] = fmt.Sprint(n)
	}
	if n := r.status().Failed; n > 0 {
		out["failed"] = fmt.Sprint(n)
	}
	if start, end := r.status().StartTime, finishedCondition(r.status()); start != nil && end != nil {
		out["duration"] = duration.HumanDuration(end.LastTransitionTime.Sub(start.Time))
	}
	return out
}

// jobStallsAt is when a Job that can make no pod is called stalled; zero if it can, or has some. Upstream's Jobs wait for ever.
func (p *planner) jobStallsAt(r *jobRun) time.Time {
	if len(r.pending) == 0 || len(r.active) > 0 || p.desired.Since.IsZero() {
		return time.Time{}
	}
	last := p.desired.Since
	if start := r.status().StartTime; start != nil {
		last = later(last, start.Time)
	}
	for _, v := range r.ended {
		last = later(last, endedAt(v.Pod))
	}
	return last.Add(progressDeadline)
}

func jobConditions(status *batchv1.JobStatus) []metav1.Condition {
	var out []metav1.Condition
	for _, c := range status.Conditions {
		out = append(out, metav1.Condition{Type: string(c.Type), Status: metav1.ConditionStatus(c.Status), Reason: c.Reason,
			Message: c.Message, LastTransitionTime: c.LastTransitionTime})
	}
	return out
}
