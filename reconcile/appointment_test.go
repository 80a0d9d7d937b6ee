package reconcile

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestAppointments(t *testing.T) {
	for _, c := range []struct {
		name                string
		steady, wall, clock time.Duration // from when it was made; no wall is 0, the clock is what it shows then
		after               time.Duration // how much time has really passed
		reached             bool
		pause               time.Duration
	}{
		{"at once", time.Minute, time.Hour, 0, 0, false, clockTick},
		{"the instant", time.Minute, time.Hour, time.Minute, time.Minute, true, 0},
		{"shortly before the instant", time.Minute, time.Hour, 59 * time.Second, 59 * time.Second, false, time.Second},
		{"the time of day", time.Minute, 30 * time.Second, 30 * time.Second, 30 * time.Second, true, 0},
		{"shortly before the time of day", time.Minute, 30 * time.Second, 28 * time.Second, 28 * time.Second, false, 2 * time.Second},
		{"no time of day", time.Minute, 0, 30 * time.Second, 30 * time.Second, false, clockTick},
		{"the machine slept", 5 * time.Minute, time.Hour, 2 * time.Hour, time.Second, true, 0},
		{"the clock was set forward, though not far enough", 5 * time.Minute, time.Hour, time.Hour - 3*time.Second, time.Second, false, 3 * time.Second},
		{"the clock was set back", 5 * time.Minute, time.Hour, -time.Second, time.Second, true, clockTick},
		{"the clock was set back, and the instant is there", 5 * time.Minute, time.Hour, time.Second, 5 * time.Minute, true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				made := time.Now()
				a := appointment{steady: made.Add(c.steady), from: wallClock()}
				if c.wall != 0 {
					a.wall = a.from.Add(c.wall)
				}
				time.Sleep(c.after)
				clock := a.from.Add(c.clock)
				if got := a.reached(clock); got != c.reached {
					t.Errorf("reached %v, want %v", got, c.reached)
				}
				if got := a.pause(clock); got != c.pause {
					t.Errorf("pause %s, want %s", got, c.pause)
				}
			})
		})
	}
}
