package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/podyard/podyard/status"
)

func newShow(g *global) *cobra.Command {
	var f format
	c := &cobra.Command{
		Use:   "show REV",
		Short: "Show one revision: commit, outcome, changes, images, objects",
		Long:  "Show one revision, named by its number (14, r14) or the beginning of its commit's hash.",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			detail, err := g.client().Revision(c.Context(), args[0])
			if err != nil {
				return err
			}
			return f.write(c.OutOrStdout(), detail, func() error { return status.WriteRevision(c.OutOrStdout(), detail, time.Now()) })
		},
	}
	f.flag(c)
	return c
}
