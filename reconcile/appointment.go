package reconcile

import "time"

// appointment is when to look again: at an instant, or when clocks show a time, whichever comes first.
type appointment struct {
	// steady is an instant. wall is a time of day, and from what clocks showed when it was made; zero if there is none.
	steady, wall, from time.Time
}

// clockTick is how often clocks are looked at. A timer stands still while the machine sleeps, and does not hear of it when
// somebody sets the time; a schedule goes by what clocks show. Looking costs nothing: no engine is asked.
const clockTick = 10 * time.Second

// pause is how long to wait before asking whether the moment has come.
func (a appointment) pause(clock time.Time) time.Duration {
	wait := min(time.Until(a.steady), clockTick)
	if !a.wall.IsZero() {
		wait = min(wait, a.wall.Sub(clock))
	}
	return max(wait, 0)
}

// reached: a clock that was set back makes what was planned by it worth another look, too.
func (a appointment) reached(clock time.Time) bool {
	return !time.Now().Before(a.steady) || !a.wall.IsZero() && !clock.Before(a.wall) || clock.Before(a.from)
}

// wallClock is the time of day, which may jump.
func wallClock() time.Time { return time.Now().Round(0) }
