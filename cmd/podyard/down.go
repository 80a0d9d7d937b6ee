package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/podyard/podyard/runtime/docker"
	"github.com/podyard/podyard/status"
)

func newDown(g *global) *cobra.Command {
	var volumes bool
	var instance string
	c := &cobra.Command{
		Use:   "down",
		Short: "Stop the daemon and remove exactly what Podyard made on the engine",
		Long: `Stop the daemon and remove every container, network and image that Podyard made on the engine. Volumes that hold
data stay unless --volumes is given. The data directory with the history stays: remove it by hand.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if instance == "" {
				instance = g.recordedInstance()
			}
			return down(c.Context(), g, instance, volumes, c.OutOrStdout())
		},
	}
	c.Flags().BoolVar(&volumes, "volumes", false, "remove the volumes as well, with the data in them")
	c.Flags().StringVar(&instance, "instance", "", "the --instance of the daemon (default: the one that the data directory was used with)")
	return c
}

func down(ctx context.Context, g *global, instance string, volumes bool, out io.Writer) error {
	if err := stopDaemon(ctx, g); err != nil {
		return err
	}
	engine, err := docker.New(ctx, docker.Options{Instance: instance, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer engine.Close()
	return engine.Teardown(ctx, volumes, func(line string) { fmt.Fprintln(out, line) })
}

// stopDaemon asks the daemon to end and waits until its socket is silent.
func stopDaemon(ctx context.Context, g *global) error {
	client := g.client()
	defer client.Close()
	if err := client.Shutdown(ctx); errors.Is(err, status.ErrNotRunning) {
		return nil
	} else if err != nil {
		return fmt.Errorf("stop the daemon: %w", err)
	}
	for range 300 {
		if _, err := status.Dial(ctx, g.socket()); errors.Is(err, status.ErrNotRunning) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return fmt.Errorf("the daemon still runs after 30 s: stop it by hand, then run podyard down again")
}
