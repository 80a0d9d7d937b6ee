package main

import (
	"github.com/spf13/cobra"

	"github.com/podyard/podyard/status"
)

func newDiff(g *global) *cobra.Command {
	var f format
	c := &cobra.Command{
		Use:   "diff REV [REV]",
		Short: "Compare the objects of two revisions, or of one with what is applied",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			to := ""
			if len(args) == 2 {
				to = args[1]
			}
			diffs, err := g.client().Diff(c.Context(), args[0], to)
			if err != nil {
				return err
			}
			return f.write(c.OutOrStdout(), diffs, func() error { return status.WriteDiff(c.OutOrStdout(), diffs) })
		},
	}
	f.flag(c)
	return c
}
