package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	sizes := flag.String("pods", "1,20,50", "numbers of pods to measure")
	rounds := flag.Int("rounds", 3, "rounds of each; medians are printed")
	idle := flag.Duration("idle", time.Minute, "how long to watch the idle daemon; 0 to leave it out")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, parse(*sizes), *rounds, *idle); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func parse(sizes string) []int {
	var out []int
	for s := range strings.SplitSeq(sizes, ",") {
		if n, err := strconv.Atoi(s); err == nil && n > 0 {
			out = append(out, n)
		}
	}
	return out
}

func run(ctx context.Context, sizes []int, rounds int, idle time.Duration) (err error) {
	y, err := newYard(ctx)
	if err != nil {
		return err
	}
	defer y.clean()
	fmt.Printf("%d cores, load %s\n\n", cores(), load())
	fmt.Printf("%5s %12s %12s %9s %7s   raw by workers (2, 4, 8)\n", "pods", "podyard", "raw engine", "at once", "ratio")
	for _, n := range sizes {
		if err := y.compare(ctx, n, rounds); err != nil {
			return err
		}
	}
	first, err := y.firstCall(ctx, 10)
	if err != nil {
		return err
	}
	fmt.Printf("\ncommit to first engine call: p50 %v of %d (rendering included)\n", median(first).Round(time.Millisecond), len(first))
	if idle > 0 {
		return y.idle(ctx, 50, idle)
	}
	return nil
}

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2]
}
