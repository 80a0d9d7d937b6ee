package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newSync(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "sync",
		Short: "Fetch now instead of at the next poll",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := g.client().Sync(c.Context()); err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), "fetching now")
			return nil
		},
	}
}
