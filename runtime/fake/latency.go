package fake

import (
	"context"
	"hash/fnv"
	"strconv"
	"time"
)

// defaultLatency is what verbs take at least, in the proportions measured on Docker. Verbs not named take no time.
var defaultLatency = map[string]time.Duration{
	"Ensure":          200 * time.Millisecond,
	"Teardown":        200 * time.Millisecond,
	"PullImage":       250 * time.Millisecond,
	"CreateSandbox":   50 * time.Millisecond,
	"StartSandbox":    150 * time.Millisecond,
	"StopSandbox":     20 * time.Millisecond,
	"RemoveSandbox":   80 * time.Millisecond,
	"WriteVolume":     20 * time.Millisecond,
	"VolumeUsage":     60 * time.Millisecond,
	"CreateContainer": 50 * time.Millisecond,
	"StartContainer":  80 * time.Millisecond,
	"StopContainer":   20 * time.Millisecond,
	"RemoveContainer": 50 * time.Millisecond,
	"ContainerStats":  5 * time.Millisecond,
	"Exec":            30 * time.Millisecond,
	"Probe":           2 * time.Millisecond,
	"Route":           10 * time.Millisecond,
	"Publish":         300 * time.Millisecond,
	"Unpublish":       80 * time.Millisecond,
}

// spread lengthens a latency by up to a quarter, by a hash of what is asked. So two verbs that begin at one instant of a
// synctest bubble do not end at one instant too, and the order of their effects does not depend on the scheduler.
func spread(latency time.Duration, verb, object string, nth int) time.Duration {
	if latency < 4 {
		return latency
	}
	h := fnv.New64a()
	text := append(append(append([]byte(verb), ' '), object...), ' ')
	h.Write(strconv.AppendInt(text, int64(nth), 10))
	return latency + time.Duration(h.Sum64()%uint64(latency/4))
}

// sleep waits for d or for the end of ctx, whichever comes first.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 || ctx.Err() != nil {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
