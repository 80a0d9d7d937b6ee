package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/podyard/podyard/status"
)

func newHistory(g *global) *cobra.Command {
	var f format
	limit := 20
	c := &cobra.Command{
		Use:   "history",
		Short: "List the revisions, newest first",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			revisions, err := g.client().Revisions(c.Context(), 0, limit)
			if err != nil {
				return err
			}
			return f.write(c.OutOrStdout(), revisions, func() error { return status.WriteHistory(c.OutOrStdout(), revisions, time.Now()) })
		},
	}
	c.Flags().IntVarP(&limit, "limit", "n", limit, "number of revisions")
	f.flag(c)
	return c
}
