package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/podyard/podyard/status"
)

// updated is how many pods a rolling update replaces.
const updated = 20

// update measures a rolling update with the default surge and without a readiness delay, from before git commit until every
// new pod is ready and the last old one is gone from the engine; against creating and starting the same containers by hand
// and then removing them. The programs ignore SIGTERM and have no grace period: both sides kill them.
func (y *yard) update(ctx context.Context, rounds int) error {
	if err := y.rollOut(ctx, "0"); err != nil {
		return err
	}
	t, err := y.readTemplates(ctx)
	if err != nil {
		return err
	}
	var ours []time.Duration
	created, removed := make([][]time.Duration, len(workers)), make([][]time.Duration, len(workers))
	for round := range rounds {
		start := time.Now()
		if err := y.rollOut(ctx, strconv.Itoa(round+1)); err != nil {
			return err
		}
		ours = append(ours, time.Since(start))
		time.Sleep(time.Second) // let the engine come to rest
		for i, w := range workers {
			took, err := y.byHand(ctx, t, updated, w)
			if err != nil {
				return err
			}
			created[i], removed[i] = append(created[i], took.start), append(removed[i], took.remove)
		}
	}
	create, remove := best(created), best(removed)
	fmt.Printf("\nrolling update of %d pods with the default surge, %d rounds, load %s\n", updated, rounds, load())
	fmt.Printf("%12s %16s %10s %10s %7s\n", "podyard", "raw engine", "creation", "removal", "ratio")
	fmt.Printf("%11.2fs %15.2fs %9.2fs %9.2fs %7.2f   %v\n", median(ours).Seconds(), (create + remove).Seconds(),
		create.Seconds(), remove.Seconds(), median(ours).Seconds()/(create+remove).Seconds(), ours)
	return y.empty(ctx)
}

// best is the smallest of the medians.
func best(byWorkers [][]time.Duration) time.Duration {
	medians := make([]time.Duration, len(byWorkers))
	for i, list := range byWorkers {
		medians[i] = median(list)
	}
	return slices.Min(medians)
}

// rollOut commits a new template and waits until nothing of the old one is left.
func (y *yard) rollOut(ctx context.Context, run string) error {
	text := strings.Replace(fmt.Sprintf(manifest, updated, run, image), "  strategy: {type: Recreate}\n", "", 1)
	if err := y.commitText(ctx, text); err != nil {
		return err
	}
	if err := y.awaitReady(ctx); err != nil {
		return err
	}
	return y.awaitPods(ctx, updated)
}

// awaitPods waits until the engine has exactly n pods.
func (y *yard) awaitPods(ctx context.Context, n int) error {
	for ctx.Err() == nil {
		s, err := y.status.Snapshot(ctx)
		if err != nil {
			return err
		}
		if len(s.Pods) == n && !slices.ContainsFunc(s.Pods, func(p status.Pod) bool { return p.Health != status.Ready }) {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return ctx.Err()
}
