package manifests

import (
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
)

func schedule(t *testing.T, text, zone string) Schedule {
	t.Helper()
	spec := &batchv1.CronJobSpec{Schedule: text}
	if zone != "" {
		spec.TimeZone = &zone
	}
	s, err := ScheduleOf(spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	out, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWhenASchedule(t *testing.T) {
	const berlin = "Europe/Berlin"
	for _, c := range []struct {
		name, schedule, zone, after string
		want                        []string
	}{
		{"is every minute", "* * * * *", "", "2026-01-01T00:00:30Z", []string{"2026-01-01T00:01:00Z", "2026-01-01T00:02:00Z"}},
		{"has names", "30 6 * JAN MON-FRI", "", "2026-01-01T12:00:00Z", []string{"2026-01-02T06:30:00Z", "2026-01-05T06:30:00Z"}},
		{"has a day of the month or of the week", "0 0 13 * FRI", "", "2026-01-01T12:00:00Z", []string{"2026-01-02T00:00:00Z", "2026-01-09T00:00:00Z", "2026-01-13T00:00:00Z"}},
		{"is @hourly", "@hourly", "", "2026-01-01T12:00:00Z", []string{"2026-01-01T13:00:00Z"}},
		{"is @daily in a zone", "@daily", berlin, "2026-01-01T12:00:00Z", []string{"2026-01-01T23:00:00Z"}},
		{"is @yearly", "@yearly", "", "2026-01-01T12:00:00Z", []string{"2027-01-01T00:00:00Z"}},
		{"is @every so often, whatever the zone", "@every 1h30m", berlin, "2026-01-01T12:00:07Z", []string{"2026-01-01T13:30:07Z", "2026-01-01T15:00:07Z"}},
		{"is on the day that is in leap years only", "0 0 29 2 *", "", "2026-01-01T12:00:00Z", []string{"2028-02-29T00:00:00Z"}},
		{"is never", "0 0 31 2 *", "", "2026-01-01T12:00:00Z", []string{"0001-01-01T00:00:00Z"}},

		// 2026-03-29 in Berlin: 2:00 becomes 3:00. 2026-10-25: 3:00 becomes 2:00.
		{"is in the hour that is skipped", "30 2 * * *", berlin, "2026-03-28T12:00:00+01:00",
			[]string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"}},
		{"has several times in the hour that is skipped", "0,30 2,3 * * *", berlin, "2026-03-29T01:59:59+01:00",
			[]string{"2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00"}},
		{"is in the hour that comes twice", "30 2 * * *", berlin, "2026-10-24T12:00:00+02:00",
			[]string{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"}},
		{"is asked in the hour that comes twice, the second time", "45 2 * * *", berlin, "2026-10-25T02:10:00+01:00", []string{"2026-10-26T02:45:00+01:00"}},
		{"is before and after the hour that comes twice", "30 1,3 * * *", berlin, "2026-10-25T01:00:00+02:00",
			[]string{"2026-10-25T01:30:00+02:00", "2026-10-25T03:30:00+01:00"}},
		{"is every half hour when one is skipped", "*/30 * * * *", berlin, "2026-03-29T01:30:00+01:00",
			[]string{"2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00"}},
		{"is every half hour when one comes twice", "*/30 * * * *", berlin, "2026-10-25T02:00:00+02:00",
			[]string{"2026-10-25T02:30:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T02:30:00+01:00", "2026-10-25T03:00:00+01:00"}},
		// 2018-11-04 in São Paulo: 0:00 becomes 1:00. 2026-04-05 on Lord Howe Island: 2:00 becomes 1:30.
		{"is at the midnight that is skipped", "@daily", "America/Sao_Paulo", "2018-11-03T12:00:00-03:00",
			[]string{"2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"}},
		{"is in the half hour that comes twice", "45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00:00+11:00",
			[]string{"2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"}},
		// 2011-12-30 was no day in Samoa.
		{"is on the day that is skipped", "0 12 30 12 *", "Pacific/Apia", "2011-12-29T12:00:00-10:00",
			[]string{"2011-12-31T00:00:00+14:00", "2012-12-30T12:00:00+14:00"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, now := schedule(t, c.schedule, c.zone), at(t, c.after)
			for _, want := range c.want {
				if now = s.Next(now); !now.Equal(at(t, want)) {
					t.Fatalf("%s after %s is due at %s, want %s", c.schedule, c.after, now.Format(time.RFC3339), want)
				}
			}
		})
	}
}

// TestAScheduleWithoutAZone is in the zone of the daemon's clock.
func TestAScheduleWithoutAZone(t *testing.T) {
	zone, err := loadZone("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{"0 6 * * *": "2026-01-01T11:00:00Z", "0 * 2 * *": "2026-01-02T05:00:00Z"} {
		if got := schedule(t, text, "").Next(at(t, "2026-01-01T02:00:00Z").In(zone)); !got.Equal(at(t, want)) {
			t.Errorf("%s is due at %s, want %s", text, got, want)
		}
	}
}

// TestEveryPointOfAScheduleIsDueOnce: over the years and in zones of all sorts, there is a point for each day, in order.
func TestEveryPointOfAScheduleIsDueOnce(t *testing.T) {
	for _, zone := range []string{"Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Tehran", "UTC"} {
		for _, text := range []string{"0 0 * * *", "30 0 * * *", "30 1 * * *", "15 2 * * *", "59 23 * * *"} {
			s := schedule(t, text, zone)
			n, now, end := 0, at(t, "2008-01-01T12:00:00Z"), at(t, "2026-01-01T12:00:00Z")
			for next := s.Next(now); next.Before(end); next = s.Next(now) {
				if !next.After(now) {
					t.Fatalf("%s in %s: %s comes after %s", text, zone, next, now)
				}
				n, now = n+1, next
			}
			if days := int(end.Sub(at(t, "2008-01-01T12:00:00Z")).Hours() / 24); n != days {
				t.Errorf("%s in %s is due %d times in %d days", text, zone, n, days)
			}
		}
	}
}

func TestTheLatestTimeOfASchedule(t *testing.T) {
	for _, c := range []struct{ name, schedule, after, until, want string }{
		{"none yet", "@hourly", "2026-01-01T12:00:00Z", "2026-01-01T12:59:59Z", ""},
		{"just now", "@hourly", "2026-01-01T12:00:00Z", "2026-01-01T13:00:00Z", "2026-01-01T13:00:00Z"},
		{"several", "*/5 * * * *", "2026-01-01T12:00:00Z", "2026-01-01T12:17:42Z", "2026-01-01T12:15:00Z"},
		{"not regular", "30 6-16/4 * * 1-5", "2026-01-01T12:00:00Z", "2026-01-05T05:00:00Z", "2026-01-02T14:30:00Z"},
		{"long ago", "0 0 1 2 *", "2020-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2025-02-01T00:00:00Z"},
		{"very many", "* * * * *", "1970-01-01T00:00:00Z", "2026-01-01T12:00:59Z", "2026-01-01T12:00:00Z"},
		{"never", "0 0 31 2 *", "1970-01-01T00:00:00Z", "2026-01-01T12:00:59Z", ""},
		{"every so often keeps step", "@every 7m", "2026-01-01T12:00:03Z", "2026-01-01T12:20:00Z", "2026-01-01T12:14:03Z"},
		{"every so often, very often", "@every 1s", "1970-01-01T00:00:00Z", "2026-01-01T12:00:59Z", "2026-01-01T12:00:59Z"},
		{"every so often, not yet", "@every 7m", "2026-01-01T12:00:03Z", "2026-01-01T12:07:02Z", ""},
		{"the clock was set back", "@hourly", "2026-01-01T12:00:00Z", "2026-01-01T09:00:00Z", ""},
		{"the clock was set back, every so often", "@every 7m", "2026-01-01T12:00:00Z", "2026-01-01T09:00:00Z", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Latest(schedule(t, c.schedule, ""), at(t, c.after), at(t, c.until))
			if text := got.Format(time.RFC3339); got.IsZero() && c.want != "" || !got.IsZero() && text != c.want {
				t.Errorf("%s after %s is due at %s, want %q", c.schedule, c.after, text, c.want)
			}
		})
	}
}
