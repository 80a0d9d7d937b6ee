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

// options say what to measure.
type options struct {
	sizes  []int
	rounds int
	idle   time.Duration
	only   []string
}

func (o options) wants(section string) bool {
	return len(o.only) == 0 || slices.Contains(o.only, section)
}

func main() {
	var o options
	sizes := flag.String("pods", "1,20,50", "numbers of pods to measure")
	only := flag.String("only", "", "sections to measure, of start, update, cost, idle, nodeport, recovery (default: all)")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds of each; medians are printed")
	flag.DurationVar(&o.idle, "idle", time.Minute, "how long to watch the idle daemon")
	flag.Parse()
	o.sizes = parse(*sizes)
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
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

func run(ctx context.Context, o options) error {
	fmt.Printf("%d cores, load %s\n", cores(), load())
	if err := onTheMachinesEngine(ctx, o); err != nil {
		return err
	}
	if o.wants("recovery") {
		return recovery(ctx)
	}
	return nil
}

func onTheMachinesEngine(ctx context.Context, o options) error {
	if !o.wants("start") && !o.wants("update") && !o.wants("cost") && !o.wants("idle") && !o.wants("nodeport") {
		return nil
	}
	y, err := newYard(ctx)
	if err != nil {
		return err
	}
	defer y.clean()
	if o.wants("start") {
		if err := y.starts(ctx, o); err != nil {
			return err
		}
	}
	if o.wants("update") {
		if err := y.update(ctx, o.rounds); err != nil {
			return err
		}
	}
	if o.wants("cost") {
		if err := y.cost(ctx, 20, o.rounds); err != nil {
			return err
		}
	}
	if o.wants("idle") {
		if err := y.idle(ctx, 50, o.idle); err != nil {
			return err
		}
	}
	if o.wants("nodeport") {
		return y.nodePorts(ctx, 5*o.rounds)
	}
	return nil
}
