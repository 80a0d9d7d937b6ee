package plan

import (
	"fmt"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
)

// TestWhatIsDue tells times as hours and minutes of one day; 1d- is the day before.
func TestWhatIsDue(t *testing.T) {
	for _, c := range []struct {
		name, schedule, begun, last, now string
		deadline                         int64 // -1 for none
		want                             string
	}{
		{"nothing yet", "0 * * * *", "12:05", "", "12:59", -1, "next 13:00"},
		{"the first start", "0 * * * *", "12:05", "", "13:00", -1, "13:00, next 14:00"},
		{"a start that is made", "0 * * * *", "12:05", "13:00", "13:00", -1, "next 14:00"},
		{"a start that comes a little late", "0 * * * *", "12:05", "13:00", "14:03", -1, "14:00, next 15:00"},
		{"of several missed starts the most recent", "0 * * * *", "01:05", "02:00", "14:03", -1, "14:00, next 15:00"},
		{"missed, and beyond the deadline", "0 * * * *", "01:05", "02:00", "14:03", 60, "14:00 late, next 15:00"},
		{"missed, and within the deadline", "0 * * * *", "01:05", "02:00", "14:03", 180, "14:00, next 15:00"},
		{"a hundred missed", "*/5 * * * *", "1d-12:00", "1d-12:00", "1d-20:20", -1, "1d-20:20, next 1d-20:25"},
		{"more than a hundred missed", "*/5 * * * *", "1d-12:00", "1d-12:00", "1d-20:25", -1, "1d-20:25 many, next 1d-20:30"},
		{"more than a hundred missed, few within the deadline", "*/5 * * * *", "1d-12:00", "1d-12:00", "1d-20:26", 600, "1d-20:25, next 1d-20:30"},
		{"a clock set back", "0 * * * *", "01:05", "14:00", "09:30", -1, "next 15:00"},
		{"a clock set back before the CronJob was first seen", "0 * * * *", "12:05", "", "09:30", -1, "next 13:00"},
		{"a clock set back and gone forward again", "0 * * * *", "01:05", "14:00", "14:59", -1, "next 15:00"},
		{"a clock that jumps forward", "0 * * * *", "01:05", "09:00", "23:30", -1, "23:00, next 1d+00:00"},
		{"a schedule that was changed since", "0 6 * * *", "10:00", "1d-12:00", "11:00", -1, "next 1d+06:00"},
		{"every so often, counted from the last", "@every 90m", "01:05", "02:07", "03:40", -1, "03:37, next 05:07"},
		{"every so often, with a deadline", "@every 90m", "01:05", "02:07", "06:40", 60, "06:37 late, next 08:07"},
		{"every so often, within the deadline", "@every 90m", "01:05", "02:07", "06:40", 600, "06:37, next 08:07"},
		{"never", "0 0 31 2 *", "01:05", "", "12:00", -1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := scheduleOf(&batchv1.CronJobSpec{Schedule: c.schedule})
			var deadline *int64
			if c.deadline >= 0 {
				deadline = &c.deadline
			}
			got := dueAt(s, deadline, clock(t, c.begun), clock(t, c.last), clock(t, c.now))
			if text := got.String(); text != c.want {
				t.Errorf("due %q, want %q", text, c.want)
			}
		})
	}
}

var today = time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC)

func clock(t *testing.T, text string) time.Time {
	t.Helper()
	if text == "" {
		return time.Time{}
	}
	clock, yesterday := strings.CutPrefix(text, "1d-")
	of, err := time.Parse("15:04", clock)
	if err != nil {
		t.Fatal(err)
	}
	out := today.Add(time.Duration(of.Hour())*time.Hour + time.Duration(of.Minute())*time.Minute)
	if yesterday {
		return out.AddDate(0, 0, -1)
	}
	return out
}

func (d due) String() string {
	tell := func(at time.Time) string {
		switch days := at.YearDay() - today.YearDay(); {
		case days < 0:
			return fmt.Sprintf("%dd-%s", -days, at.Format("15:04"))
		case days > 0:
			return fmt.Sprintf("%dd+%s", days, at.Format("15:04"))
		}
		return at.Format("15:04")
	}
	var words []string
	if !d.at.IsZero() {
		text := tell(d.at)
		if d.late {
			text += " late"
		}
		if d.many {
			text += " many"
		}
		words = append(words, text)
	}
	if !d.next.IsZero() {
		words = append(words, "next "+tell(d.next))
	}
	return strings.Join(words, ", ")
}

// TestAMinuteHasOneStart also where a schedule is due more often.
func TestAMinuteHasOneStart(t *testing.T) {
	s := scheduleOf(&batchv1.CronJobSpec{Schedule: "@every 5s"})
	begun := today.Add(2 * time.Second)
	d := dueAt(s, nil, begun, time.Time{}, begun)
	if want := today.Add(7 * time.Second); !d.at.IsZero() || !d.next.Equal(want) {
		t.Fatalf("at first: %v, want the next at %v", d, want)
	}
	last := d.next
	for now := last; now.Before(today.Add(time.Minute)); now = now.Add(time.Second) {
		if d = dueAt(s, nil, begun, last, now); !d.at.IsZero() || !d.next.Equal(today.Add(62*time.Second)) {
			t.Fatalf("at %v, after the start at %v: %+v", now, last, d)
		}
	}
	if d = dueAt(s, nil, begun, last, d.next); !d.at.Equal(today.Add(62*time.Second)) || !d.next.Equal(today.Add(122*time.Second)) {
		t.Fatalf("a minute later: %+v", d)
	}
}

// TestEveryStartIsMadeOnce lets a clock go on unevenly, also backwards, and counts what is started.
func TestEveryStartIsMadeOnce(t *testing.T) {
	s := scheduleOf(&batchv1.CronJobSpec{Schedule: "*/10 * * * *"})
	made := map[time.Time]int{}
	now, last := today.Add(time.Minute), time.Time{}
	for _, step := range []time.Duration{9, 1, 10, -15, 10, 10, -600, 599, 3, 10, 45, -1, 1, 10} {
		now = now.Add(step * time.Minute)
		if d := dueAt(s, nil, today, last, now); !d.at.IsZero() {
			made[d.at]++
			last = d.at
		}
	}
	for at, n := range made {
		if n != 1 {
			t.Errorf("the start at %v is made %d times", at, n)
		}
	}
	if want := now.Truncate(10 * time.Minute); !last.Equal(want) {
		t.Errorf("the last start is %v, want %v", last, want)
	}
}
