package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/podyard/podyard/status"
)

func newStatus(g *global) *cobra.Command {
	var f format
	c := &cobra.Command{
		Use:   "status",
		Short: "Show what runs, whether it is what git says, and if not, why",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			snapshot, err := g.client().Snapshot(c.Context())
			if err != nil {
				return err
			}
			return f.write(c.OutOrStdout(), snapshot, func() error { return status.WriteStatus(c.OutOrStdout(), snapshot, time.Now()) })
		},
	}
	f.flag(c)
	return c
}
