package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newResume(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "resume",
		Short: "End a hold: apply the newest commit again",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := g.client().Resume(c.Context()); err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), "resumed: the newest commit is applied")
			return nil
		},
	}
}
