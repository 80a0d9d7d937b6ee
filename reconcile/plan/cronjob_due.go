package plan

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/podyard/podyard/manifests"
)

// due is what a schedule asks for at a moment.
type due struct {
	// at is the start to be made up for: the most recent one since the last, however many there were; zero if there is none.
	at time.Time
	// late: it has been too long for startingDeadlineSeconds. many: so many were missed that the clock may be wrong.
	late, many bool
	// next is the first start after now; zero if there is never one.
	next time.Time
}

// manyMissed is the number of missed starts beyond which upstream warns.
const manyMissed = 100

// dueAt follows upstream's mostRecentScheduleTime, nextScheduleTime and nextScheduleTimeDuration (pkg/controller/cronjob/utils.go).
// begun is when the schedule was first seen, last the start made last, or zero. If the clock was set back behind either,
// nothing is due until it has passed it again. Jobs are named after the minute, so only one is started in each.
func dueAt(s manifests.Schedule, deadline *int64, begun, last, now time.Time) due {
	since := later(begun, last)
	d := due{at: manifests.Latest(s, since, now)}
	if sameMinute(d.at, last) {
		d.at = time.Time{}
	}
	d.next = s.Next(later(since, d.at))
	for !d.next.IsZero() && (sameMinute(d.next, last) || sameMinute(d.next, d.at)) {
		d.next = s.Next(d.next)
	}
	if d.at.IsZero() {
		return d
	}
	earliest := since
	if deadline != nil {
		window := now.Add(-time.Duration(*deadline) * time.Second)
		d.late, earliest = d.at.Before(window), later(since, window)
	}
	d.many = !d.late && moreThan(manyMissed, s, earliest, now)
	return d
}

// moreThan tells whether a schedule is due more than n times in (after, until].
func moreThan(n int, s manifests.Schedule, after, until time.Time) bool {
	for t := s.Next(after); !t.IsZero() && !t.After(until); t = s.Next(t) {
		if n--; n < 0 {
			return true
		}
	}
	return false
}

// sameMinute tells whether two starts would have Jobs of the same name.
func sameMinute(a, b time.Time) bool {
	return !a.IsZero() && !b.IsZero() && minuteOf(a) == minuteOf(b)
}

// minuteOf is upstream's getTimeHashInMinutes.
func minuteOf(t time.Time) int64 { return t.Unix() / 60 }

// scheduleOf is validated, so it can be read.
func scheduleOf(spec *batchv1.CronJobSpec) manifests.Schedule {
	s, err := manifests.ScheduleOf(spec)
	if err != nil {
		return never{}
	}
	return s
}

// never is a schedule that is never due.
type never struct{}

func (never) Next(time.Time) time.Time { return time.Time{} }
