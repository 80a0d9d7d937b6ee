package ingress

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/podyard/podyard/wire"
)

// Main is the ingress agent, `podyard ingress …`: Run on standard input and output until SIGTERM, then draining.
//
//	--http ADDRESS           serve plain HTTP here (default :80)
//	--https ADDRESS          serve TLS here (default :443)
//	--state FILE             keep the configuration here
//	--storage DIR            keep automatic certificates here
//	--drain DURATION         how long open streams may go on after SIGTERM (default 4m)
//
// The exit code is 0 after SIGTERM, 2 for a wrong command line and 1 if the agent cannot serve.
func Main(args []string) int {
	opts, err := parse(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "podyard ingress:", err)
		return 2
	}
	opts.Version = wire.Version()
	opts.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	opts.AccessLog = slog.New(slog.NewJSONHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := Run(ctx, opts, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "podyard ingress:", err)
		return 1
	}
	return 0
}

// parse reads the command line.
func parse(args []string) (AgentOptions, error) {
	var opts AgentOptions
	flags := flag.NewFlagSet("ingress", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&opts.HTTP, "http", ":80", "address of plain HTTP")
	flags.StringVar(&opts.HTTPS, "https", ":443", "address of TLS")
	flags.StringVar(&opts.StateFile, "state", "", "file that keeps the configuration")
	flags.StringVar(&opts.Storage, "storage", "", "directory of automatic certificates")
	flags.DurationVar(&opts.Drain, "drain", defaultDrain, "how long open streams may go on")
	if err := flags.Parse(args); err != nil {
		return opts, err
	}
	if flags.NArg() > 0 {
		return opts, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if opts.Drain <= 0 {
		return opts, fmt.Errorf("--drain %s: want a duration above 0", opts.Drain)
	}
	return opts, nil
}
