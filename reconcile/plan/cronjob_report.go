package plan

import (
	"fmt"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// startMissed is the condition of a CronJob of which a start was not made, or not in time. Upstream has events only, with the
// same reasons.
const startMissed = "StartMissed"

// reportCron says when a CronJob runs next and how it ran last. It is ready whatever becomes of its Jobs: a backup that fails at
// night is no failure of the commit.
func (p *planner) reportCron(c *cron) {
	status := ObjectStatus{Ref: c.root, Health: Ready, Summary: map[string]string{
		"schedule": c.spec.Schedule, "active": fmt.Sprint(len(c.active())), "suspended": fmt.Sprint(c.suspended()),
		"images": images(&c.spec.JobTemplate.Spec.Template.Spec)}}
	if zone := zoneName(c.spec); zone != "" {
		status.Summary["timeZone"] = zone
	}
	if !c.last.IsZero() {
		status.Summary["lastSchedule"] = clockText(c.last)
	}
	parts := []string{p.nextText(c)}
	if condition := c.missed(p); condition != nil {
		status.Conditions = append(status.Conditions, *condition)
		parts = append(parts, condition.Message)
	}
	status.Message = strings.Join(append(parts, c.lastText()...), "; ")
	p.statuses[c.root] = slices.Insert(p.statuses[c.root], 0, status)
}

func (p *planner) nextText(c *cron) string {
	next := c.due.next
	if !c.known {
		next = scheduleOf(c.spec).Next(p.now)
	}
	behind := later(c.begun(), c.last)
	switch {
	case c.suspended():
		return "is suspended"
	case next.IsZero():
		return "its schedule never comes"
	case c.known && behind.After(p.now):
		return fmt.Sprintf("the clock shows an earlier time than at the last start, %s: the next run is at %s; to have it earlier, "+
			"take the CronJob out of git and put it back", clockText(behind), clockText(next))
	}
	return "next run at " + clockText(next)
}

// missed is what is in the way of a start that is due, or was.
func (c *cron) missed(p *planner) *metav1.Condition {
	out := func(reason, format string, args ...any) *metav1.Condition {
		return &metav1.Condition{Type: startMissed, Status: metav1.ConditionTrue, Reason: reason, Message: fmt.Sprintf(format, args...)}
	}
	at := clockText(c.due.at)
	switch {
	case c.due.at.IsZero() || c.next != nil:
		return nil
	case c.due.late:
		return out("MissSchedule", "the run due at %s was missed: it could not begin within startingDeadlineSeconds (%d)", at, *c.spec.StartingDeadlineSeconds)
	case c.taken(p) != "":
		return out("FailedCreate", "the run due at %s cannot begin: %s", at, c.taken(p))
	case c.forbidden() != "":
		return out("JobAlreadyActive", "the run due at %s waits: %s", at, c.forbidden())
	case c.due.many:
		return out("TooManyMissedTimes", "more than %d runs were missed, and only that due at %s is made up for: "+
			"set or decrease startingDeadlineSeconds, or check the clock", manyMissed, at)
	}
	return nil
}

// lastText is which Jobs run and how the last that has ended did.
func (c *cron) lastText() (parts []string) {
	for _, r := range c.active() {
		if outcomeOf(r.now) == "" {
			parts = append(parts, r.Name+" runs")
		}
	}
	for _, r := range slices.Backward(c.runs) {
		switch end := finishedCondition(r.now); {
		case end == nil:
		case end.Type == batchv1.JobComplete:
			return append(parts, fmt.Sprintf("last run %s succeeded", r.Name))
		default:
			return append(parts, fmt.Sprintf("last run %s failed: %s: %s", r.Name, end.Reason, end.Message))
		}
	}
	if c.note != nil && c.note.Status.LastSuccessfulTime != nil {
		return append(parts, "last success at "+clockText(c.note.Status.LastSuccessfulTime.Time))
	}
	return parts
}
