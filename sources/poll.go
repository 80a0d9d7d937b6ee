package sources

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

const (
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
	// degradedInterval is how often a local source is looked at that cannot be watched: nothing new costs a millisecond.
	degradedInterval = 5 * time.Second
)

// PollOptions says when to fetch.
type PollOptions struct {
	// Interval is how often to fetch when nothing calls for it; zero means a minute.
	Interval time.Duration
	// Jitter is the share of the interval by which it varies, so that many hosts do not ask at once; zero means 0.1,
	// negative none.
	Jitter float64
	// Sync asks for a fetch now. It may be nil.
	Sync <-chan struct{}
	// Rand returns a number in [0, 1); nil means chance.
	Rand func() float64
}

// Event is the result of one fetch.
type Event struct {
	// Trigger is start, change, sync, poll or retry.
	Trigger string
	// Started and Duration tell when the fetch was made.
	Started  time.Time
	Duration time.Duration
	// Artifact is what was fetched, or nil after an error.
	Artifact *Artifact
	// Changed tells that the Artifact is not that of the Event before: another revision, or the same one in a mirror
	// that had to be made anew.
	Changed bool
	// Err is why the fetch failed, Failures how many did in a row, this one included.
	Err      error
	Failures int
	// Unwatched is why the source is only polled although it might be watched; nil if it is watched or remote.
	Unwatched error
	// Next is when the next fetch is made if nothing calls for one before.
	Next time.Time
}

// Poll fetches until ctx ends: now, when the source signals a change, when Sync asks, and at the interval. A failure is
// retried for ever, less and less often. Each result goes to handle, which must not block for long: nothing is fetched
// meanwhile. A source that cannot be watched yet (its directory is missing) is tried again with every fetch.
func Poll(ctx context.Context, src Source, opts PollOptions, handle func(Event)) {
	p := &poller{src: src, opts: opts.withDefaults()}
	trigger := "start"
	for ctx.Err() == nil {
		e := p.fetch(ctx, trigger)
		if ctx.Err() != nil {
			return
		}
		handle(e)
		trigger = p.wait(ctx, e)
	}
}

func (o PollOptions) withDefaults() PollOptions {
	if o.Interval <= 0 {
		o.Interval = time.Minute
	}
	if o.Jitter == 0 {
		o.Jitter = 0.1
	}
	o.Jitter = min(max(o.Jitter, 0), 1)
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	return o
}

type poller struct {
	src       Source
	opts      PollOptions
	changes   <-chan struct{}
	unwatched error
	last      *Artifact
	failures  int
}

// fetch subscribes before it looks, so that no change falls between.
func (p *poller) fetch(ctx context.Context, trigger string) Event {
	if p.changes == nil {
		p.changes, p.unwatched = p.src.Changes(ctx)
	}
	e := Event{Trigger: trigger, Started: time.Now(), Unwatched: p.unwatched}
	e.Artifact, e.Err = p.src.Fetch(ctx)
	now := time.Now()
	e.Duration = now.Sub(e.Started)
	if e.Err != nil {
		p.failures++
		e.Artifact = nil
	} else {
		p.failures = 0
		e.Changed = e.Artifact != p.last
		p.last = e.Artifact
	}
	e.Failures = p.failures
	interval := p.opts.Interval
	if errors.Is(p.unwatched, ErrWatchLimit) {
		interval = min(interval, degradedInterval)
	}
	e.Next = nextFetch(now, p.failures, interval, p.opts.Jitter, p.opts.Rand())
	return e
}

// wait returns the trigger of the next fetch.
func (p *poller) wait(ctx context.Context, e Event) string {
	timer := time.NewTimer(time.Until(e.Next))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case _, ok := <-p.changes:
		if !ok {
			// The watch has ended before ctx: subscribe anew, at the pace of the poll.
			p.changes = nil
			return p.wait(ctx, e)
		}
		return "change"
	case <-p.opts.Sync:
		return "sync"
	case <-timer.C:
	}
	if e.Err != nil {
		return "retry"
	}
	return "poll"
}

// nextFetch is when to fetch next. random is in [0, 1). After a success that is the interval, more or less the jitter:
// a minute and 0.1 give 54 s to 66 s. After the third failure in a row it is 4 s more or less the jitter, and never more
// than five minutes or the interval.
func nextFetch(now time.Time, failures int, interval time.Duration, jitter, random float64) time.Time {
	wait := interval
	if failures > 0 {
		wait = min(lastRetry, interval)
		// 1 s << 9 is above five minutes already.
		if failures < 10 {
			wait = min(wait, firstRetry<<(failures-1))
		}
	}
	return now.Add(time.Duration(float64(wait) * (1 + jitter*(2*random-1))))
}
