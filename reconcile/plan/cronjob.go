package plan

import (
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podyard/podyard/manifests"
)

// cron is a CronJob with its Jobs. The rules are upstream's pkg/controller/cronjob: cronjob_controllerv2.go, utils.go.
//
// A start takes three plans: the Job is noted, complete; when that is observed, the CronJob's last start; and when that is, the
// Job runs. Interrupted anywhere it goes on from there, and what is noted is never made again. So a Job lasts as it was made,
// whatever becomes of the template.
type cron struct {
	key  ownerKey
	root manifests.Ref
	spec *batchv1.CronJobSpec
	// note is what is remembered; nil if the CronJob was never seen. known: of the schedule as it is now.
	note  *batchv1.CronJob
	known bool
	// runs are its Jobs, oldest first. next is the one that is noted and has not begun, if there is one. last is the last
	// start, that of next included.
	runs []*cronRun
	next *cronRun
	last time.Time
	due  due
}

func (p *planner) cronJob(object *manifests.Object, value *batchv1.CronJob) {
	c := p.cron(object, value)
	if c.spec.ConcurrencyPolicy == batchv1.ReplaceConcurrent && c.next != nil {
		for _, r := range c.active() {
			p.dismiss(r, fmt.Sprintf("%s replaces it with %s", c.key, c.next.Name))
		}
	}
	p.trimHistory(c)
	p.dismissExpired(c.runs)
	for _, r := range c.runs {
		p.continueRun(c, r)
	}
	if c.known && !c.suspended() {
		c.due = dueAt(scheduleOf(c.spec), c.spec.StartingDeadlineSeconds, c.begun().In(p.now.Location()), c.last.In(p.now.Location()), p.now)
		p.checkAt(c.due.next)
		p.startRun(c)
	}
	p.noteCron(c)
	p.reportCron(c)
}

func (p *planner) cron(object *manifests.Object, value *batchv1.CronJob) *cron {
	c := &cron{key: keyOf(object), root: object.Ref, spec: &value.Spec}
	c.note = readNote[batchv1.CronJob](p.observed.Notes[cronNote(c.key)])
	c.known = c.note != nil && c.note.Spec.Schedule == c.spec.Schedule && zoneName(&c.note.Spec) == zoneName(c.spec)
	c.runs, c.last = p.runsOf(c.key), c.lastNoted()
	if n := len(c.runs); n > 0 && c.runs[n-1].at.After(c.last) {
		newest := c.runs[n-1]
		c.last = newest.at
		if newest.UID == "" { // else it has begun, and what was noted of the CronJob is lost
			c.next = newest
		}
	}
	return c
}

func (c *cron) suspended() bool { return c.spec.Suspend != nil && *c.spec.Suspend }

// begun is when the schedule was first seen. A new schedule counts from there: what it would have started before it was there was
// not missed. Upstream: updateCronJob.
func (c *cron) begun() time.Time {
	if c.note == nil {
		return time.Time{}
	}
	return c.note.CreationTimestamp.Time
}

func (c *cron) lastNoted() time.Time {
	if c.note == nil || c.note.Status.LastScheduleTime == nil {
		return time.Time{}
	}
	return c.note.Status.LastScheduleTime.Time
}

// active are the Jobs that have begun and go on; upstream's Status.Active.
func (c *cron) active() []*cronRun {
	return slices.DeleteFunc(slices.Clone(c.runs), func(r *cronRun) bool { return r == c.next || r.going() || r.outcome() != "" })
}

// continueRun lets a Job go on, unless it is leaving or has not begun.
func (p *planner) continueRun(c *cron, r *cronRun) {
	p.jobs[r.key] = true
	switch {
	case r.going():
		p.takeAway(c.root, r)
	case r == c.next:
		p.report(c.root, ObjectStatus{Ref: r.ref(), Owner: c.root, Health: Reconciling, Message: "is about to begin"})
	default:
		r.now = p.runJob(c.root, c.root, r.Job, clockText(r.at))
	}
}

// startRun notes the Job of a start that is due, unless the one before has not begun or the concurrency policy forbids it.
func (p *planner) startRun(c *cron) {
	if c.due.at.IsZero() || c.due.late || c.next != nil || c.forbidden() != "" || c.taken(p) != "" {
		return
	}
	key := ownerKey{"Job", c.key.namespace, c.jobName(c.due.at)}
	p.do(WriteNote{Name: jobNoteName(key), Text: noteText(p.newRun(c)), Object: jobRef(key),
		Reason: fmt.Sprintf("%s is due at %s", c.key, clockText(c.due.at))})
}

// forbidden is why a start that is due has to wait; also for what is on its way out.
func (c *cron) forbidden() string {
	if c.spec.ConcurrencyPolicy != batchv1.ForbidConcurrent {
		return ""
	}
	for _, r := range c.runs {
		if r.outcome() == "" {
			return fmt.Sprintf("%s has not ended, and concurrencyPolicy is Forbid", r.Name)
		}
	}
	return ""
}

// taken is why a start cannot have its name: the commit has a Job that is called so.
func (c *cron) taken(p *planner) string {
	name := c.jobName(c.due.at)
	if p.find("Job", c.key.namespace, name) == nil {
		return ""
	}
	return fmt.Sprintf("the commit has a Job %s of its own", name)
}

// jobName is upstream's getJobName.
func (c *cron) jobName(at time.Time) string { return fmt.Sprintf("%s-%d", c.key.name, minuteOf(at)) }

// newRun is the Job of a start; upstream's getJobFromTemplate2. It gets its UID when it begins.
func (p *planner) newRun(c *cron) *batchv1.Job {
	template := c.spec.JobTemplate.DeepCopy()
	at := c.due.at.In(manifests.ZoneOf(c.spec)).Format(time.RFC3339)
	if len(template.Labels) == 0 { // SetDefaults_Job
		template.Labels = template.Spec.Template.Labels
	}
	return &batchv1.Job{
		TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: c.key.namespace, Name: c.jobName(c.due.at), CreationTimestamp: metav1.NewTime(p.now),
			Labels:          template.Labels,
			Annotations:     withEntries(template.Annotations, batchv1.CronJobScheduledTimestampAnnotation, at),
			OwnerReferences: p.controlledBy(c.key),
		},
		Spec: template.Spec,
	}
}

// trimHistory deletes the oldest Jobs that have ended. Upstream: cleanupFinishedJobs.
func (p *planner) trimHistory(c *cron) {
	for _, limit := range []struct {
		outcome batchv1.JobConditionType
		keep    *int32
		what    string
	}{
		{batchv1.JobComplete, c.spec.SuccessfulJobsHistoryLimit, "succeeded (successfulJobsHistoryLimit)"},
		{batchv1.JobFailed, c.spec.FailedJobsHistoryLimit, "failed (failedJobsHistoryLimit)"},
	} {
		ended := slices.DeleteFunc(slices.Clone(c.runs), func(r *cronRun) bool { return r.going() || r.outcome() != limit.outcome })
		if limit.keep == nil || len(ended) <= int(*limit.keep) {
			continue
		}
		for _, r := range ended[:len(ended)-int(*limit.keep)] {
			p.dismiss(r, fmt.Sprintf("%s keeps at most %d of the Jobs that %s", c.key, *limit.keep, limit.what))
		}
	}
}

// dismissExpired deletes the Jobs of which the time to live is over. Upstream: pkg/controller/ttlafterfinished.
func (p *planner) dismissExpired(runs []*cronRun) {
	for _, r := range runs {
		if end, ttl := finishedCondition(&r.Status), r.Spec.TTLSecondsAfterFinished; end != nil && ttl != nil &&
			!p.now.Before(end.LastTransitionTime.Add(time.Duration(*ttl)*time.Second)) {
			p.dismiss(r, fmt.Sprintf("it has ended, and its ttlSecondsAfterFinished, %d s, are over", *ttl))
		}
	}
}

// noteCron keeps what no pod and no Job tells for long. A start is noted once all is ready for its Job to begin.
func (p *planner) noteCron(c *cron) {
	note := &batchv1.CronJob{
		TypeMeta:   metav1.TypeMeta{APIVersion: "batch/v1", Kind: "CronJob"},
		ObjectMeta: metav1.ObjectMeta{Namespace: c.key.namespace, Name: c.key.name, CreationTimestamp: metav1.NewTime(p.now)},
		Spec:       batchv1.CronJobSpec{Schedule: c.spec.Schedule, TimeZone: c.spec.TimeZone},
	}
	why := fmt.Sprintf("%s was never seen before", c.key)
	if c.note != nil {
		note.Status, why = c.note.Status, fmt.Sprintf("the schedule of %s has changed", c.key)
	}
	if c.known {
		note.CreationTimestamp, why = c.note.CreationTimestamp, fmt.Sprintf("a Job of %s has ended", c.key)
	}
	for _, r := range c.runs {
		if at := r.now.CompletionTime; at != nil && (note.Status.LastSuccessfulTime == nil || at.After(note.Status.LastSuccessfulTime.Time)) {
			note.Status.LastSuccessfulTime = at
		}
	}
	if c.last.After(c.lastNoted()) && !c.replacing() {
		at := metav1.NewTime(c.last)
		note.Status.LastScheduleTime, why = &at, fmt.Sprintf("%s begins", c.jobName(c.last))
	}
	if name, text := cronNote(c.key), noteText(note); text != p.observed.Notes[name] {
		p.do(WriteNote{Name: name, Text: text, Object: c.root, Reason: why})
	}
}

// replacing: Jobs that are to go for the next one are not noted as such yet.
func (c *cron) replacing() bool {
	return c.spec.ConcurrencyPolicy == batchv1.ReplaceConcurrent &&
		slices.ContainsFunc(c.runs, func(r *cronRun) bool { return r.dismissed && r.outcome() == "" })
}

// zoneName is empty for that of the daemon.
func zoneName(spec *batchv1.CronJobSpec) string {
	if spec.TimeZone == nil {
		return ""
	}
	return *spec.TimeZone
}

func cronNote(key ownerKey) string { return "CronJob/" + key.namespace + "/" + key.name }

// clockText is a time of day as Kubernetes writes it.
func clockText(t time.Time) string { return t.UTC().Format(time.RFC3339) }
