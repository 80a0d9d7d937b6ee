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
	if len(os.Args) > 2 && os.Args[1] == "peer" {
		if err := peer(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench peer:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	sizes := flag.String("pods", "1,20,50", "numbers of pods to measure")
	only := flag.String("only", "", "sections to measure, of start, update, cost, idle, nodeport, services, names, scale, recovery (default: all)")
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

// sections are what is measured on the machine's engine, in this order.
var sections = []struct {
	name    string
	measure func(*yard, context.Context, options) error
}{
	{"start", (*yard).starts},
	{"update", func(y *yard, ctx context.Context, o options) error { return y.update(ctx, o.rounds) }},
	{"cost", func(y *yard, ctx context.Context, o options) error { return y.cost(ctx, 20, o.rounds) }},
	{"idle", func(y *yard, ctx context.Context, o options) error { return y.idle(ctx, 50, o.idle) }},
	{"nodeport", func(y *yard, ctx context.Context, o options) error { return y.nodePorts(ctx, 5*o.rounds) }},
	{"services", func(y *yard, ctx context.Context, o options) error { return y.services(ctx, o.rounds) }},
	{"names", func(y *yard, ctx context.Context, o options) error { return y.names(ctx, o.rounds) }},
	{"scale", func(y *yard, ctx context.Context, o options) error { return y.scale(ctx, o.rounds) }},
}

func onTheMachinesEngine(ctx context.Context, o options) error {
	var y *yard
	for _, section := range sections {
		if !o.wants(section.name) {
			continue
		}
		if y == nil {
			var err error
			if y, err = newYard(ctx); err != nil {
				return err
			}
			defer y.clean()
		}
		if err := section.measure(y, ctx, o); err != nil {
			return fmt.Errorf("%s: %w", section.name, err)
		}
	}
	return nil
}
