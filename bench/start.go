package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
)

func cores() int { return runtime.NumCPU() }

var workers = []int{2, 4, 8}

// starts compares each number of pods, and times the way to the first call.
func (y *yard) starts(ctx context.Context, o options) error {
	fmt.Printf("\n%5s %12s %12s %9s %7s   raw by workers (2, 4, 8)\n", "pods", "podyard", "raw engine", "at once", "ratio")
	for _, n := range o.sizes {
		if err := y.compare(ctx, n, o.rounds); err != nil {
			return err
		}
	}
	first, err := y.firstCall(ctx, 10)
	if err != nil {
		return err
	}
	fmt.Printf("\ncommit to first engine call: p50 %v of %d (rendering included)\n", median(first).Round(time.Millisecond), len(first))
	return nil
}

// compare starts n pods by commit and by hand, in turn.
func (y *yard) compare(ctx context.Context, n, rounds int) error {
	var ours []time.Duration
	raw := make([][]time.Duration, len(workers))
	for round := range rounds {
		took, templates, err := y.byCommit(ctx, n, fmt.Sprintf("%d-%d", n, round))
		if err != nil {
			return err
		}
		ours = append(ours, took)
		for i, w := range workers {
			took, err := y.byHand(ctx, templates, n, w)
			if err != nil {
				return err
			}
			raw[i] = append(raw[i], took.start)
		}
	}
	medians := make([]time.Duration, len(workers))
	for i := range raw {
		medians[i] = median(raw[i])
	}
	best := slices.Min(medians)
	fmt.Printf("%5d %11.2fs %11.2fs %9s %7.2f   %v\n", n, median(ours).Seconds(), best.Seconds(),
		strconv.Itoa(workers[slices.Index(medians, best)]), median(ours).Seconds()/best.Seconds(), medians)
	return nil
}

// byCommit measures from before git commit until every pod is Ready, and reads off what one pod is made of.
func (y *yard) byCommit(ctx context.Context, n int, run string) (time.Duration, *templates, error) {
	start := time.Now()
	if err := y.commit(ctx, n, run); err != nil {
		return 0, nil, err
	}
	if err := y.awaitReady(ctx); err != nil {
		return 0, nil, err
	}
	took := time.Since(start)
	templates, err := y.readTemplates(ctx)
	if err != nil {
		return 0, nil, err
	}
	return took, templates, y.empty(ctx)
}

// firstCall measures from the end of git commit to the engine's first event about a container of ours.
func (y *yard) firstCall(ctx context.Context, times int) ([]time.Duration, error) {
	var out []time.Duration
	for i := range times {
		watch, stop := context.WithCancel(ctx)
		messages, errs := y.docker.Events(watch, events.ListOptions{Filters: filters.NewArgs(
			filters.Arg("label", "podyard.dev/instance="+instance), filters.Arg("event", "create"))})
		time.Sleep(200 * time.Millisecond) // the stream is open by now
		if err := y.commit(ctx, 1, fmt.Sprint("first", i)); err != nil {
			stop()
			return nil, err
		}
		start := time.Now()
		select {
		case m := <-messages:
			out = append(out, max(time.Unix(0, m.TimeNano).Sub(start), 0))
		case err := <-errs:
			stop()
			return nil, err
		}
		stop()
		if err := y.awaitReady(ctx); err != nil {
			return nil, err
		}
		if err := y.empty(ctx); err != nil {
			return nil, err
		}
	}
	return out, nil
}
