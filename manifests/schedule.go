package manifests

import (
	"errors"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // a daemon in a bare container must know the zones, too

	"github.com/robfig/cron/v3"
	batchv1 "k8s.io/api/batch/v1"
)

// Schedule tells when a CronJob is due.
type Schedule interface {
	// Next is the first time after t at which it is due; the zero Time if it never is again. Without a zone of its own, a
	// schedule is in that of t.
	Next(t time.Time) time.Time
}

// Latest is the last time in (after, until] at which a schedule is due that was due last at after; the zero Time if there is
// none.
func Latest(s Schedule, after, until time.Time) time.Time {
	if e, ok := s.(every); ok {
		return e.latest(after, until)
	}
	// Next never goes back, so what is sought is the Next of the last second of which the Next is not beyond the end.
	if first := s.Next(after); first.IsZero() || first.After(until) {
		return time.Time{}
	}
	low, high := after, until
	for high.Sub(low) > time.Second {
		middle := low.Add(high.Sub(low) / 2)
		if next := s.Next(middle); next.IsZero() || next.After(until) {
			high = middle
		} else {
			low = middle
		}
	}
	return s.Next(low)
}

// ScheduleOf reads the schedule of a CronJob, in its zone. Upstream: formatSchedule (pkg/controller/cronjob).
func ScheduleOf(spec *batchv1.CronJobSpec) (Schedule, error) {
	if strings.Contains(spec.Schedule, "TZ") {
		return nil, errors.New("must not hold TZ or CRON_TZ: set timeZone instead")
	}
	parsed, err := cron.ParseStandard(spec.Schedule)
	if err != nil {
		text, _, _ := strings.Cut(err.Error(), ": strconv.")
		return nil, errors.New(text)
	}
	if e, ok := parsed.(cron.ConstantDelaySchedule); ok {
		return every{e}, nil
	}
	fields := parsed.(*cron.SpecSchedule)
	if fields.Minute == 0 || fields.Hour == 0 || fields.Dom == 0 || fields.Month == 0 || fields.Dow == 0 {
		return nil, errors.New("a field holds no value")
	}
	var zone *time.Location
	if spec.TimeZone != nil {
		if zone, err = loadZone(*spec.TimeZone); err != nil {
			return nil, err
		}
	}
	if fields.Hour&everyHour == everyHour {
		if zone != nil {
			fields.Location = zone
		}
		return fields, nil
	}
	fields.Location = time.UTC
	return &wallClock{fields, zone}, nil
}

// every is due so long after it was due last.
type every struct{ cron.ConstantDelaySchedule }

func (e every) latest(after, until time.Time) time.Time {
	first := e.Next(after)
	if first.After(until) {
		return time.Time{}
	}
	return first.Add(until.Sub(first) / e.Delay * e.Delay)
}

// ZoneOf is the zone of a CronJob, or UTC if it names none.
func ZoneOf(spec *batchv1.CronJobSpec) *time.Location {
	if spec.TimeZone != nil {
		if zone, err := loadZone(*spec.TimeZone); err == nil {
			return zone
		}
	}
	return time.UTC
}

// everyHour are the bits of the hours 0 to 23.
const everyHour = 1<<24 - 1

// zones that were loaded; there are no more than some hundred names.
var zones sync.Map

func loadZone(name string) (*time.Location, error) {
	if zone, ok := zones.Load(name); ok {
		return zone.(*time.Location), nil
	}
	zone, err := time.LoadLocation(name)
	if err == nil {
		zones.Store(name, zone)
	}
	return zone, err
}

// wallClock is due at certain hours of the day. Each of its points is due once, also where a zone changes to or from
// daylight saving time: those in the hour that is skipped at the end of the gap, those in the hour that comes twice the first
// time. So does cron(8); the parser by itself, and with it upstream, leaves out the former and runs the latter twice. A
// schedule for every hour needs none of this: it goes by the time that passes.
type wallClock struct {
	// fields are read as if the zone were UTC, which has no gaps.
	fields *cron.SpecSchedule
	zone   *time.Location
}

// Next implements Schedule.
func (w *wallClock) Next(t time.Time) time.Time {
	zone := w.zone
	if zone == nil {
		zone = t.Location()
	}
	for wall := wallOf(t.In(zone)); ; {
		if wall = w.fields.Next(wall); wall.IsZero() {
			return wall
		}
		if at := instant(wall, zone); at.After(t) {
			return at.In(t.Location())
		}
	}
}

// wallOf is what clocks show at t, as a time in UTC.
func wallOf(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}

// instant is when clocks in a zone first show a time, or, if they skip it, when they do.
func instant(wall time.Time, zone *time.Location) time.Time {
	at := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), 0, zone)
	begin, end := at.ZoneBounds()
	switch shown := wallOf(at); {
	case shown.After(wall):
		return begin
	case shown.Before(wall):
		return end
	case begin.IsZero():
		return at
	}
	_, offset := at.Zone()
	_, before := begin.Add(-time.Second).Zone()
	if first := at.Add(time.Duration(offset-before) * time.Second); first.Before(begin) {
		return first
	}
	return at
}
