package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newRollback(g *global) *cobra.Command {
	var reason string
	var f format
	c := &cobra.Command{
		Use:   "rollback REV",
		Short: "Return to a revision and hold there until the next commit, or resume",
		Long: `Return to a revision, named by its number (14, r14), the beginning of its commit's hash, a tag, or HEAD~1.
Polls do not undo it: it holds until the next commit, or until podyard resume.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			made, err := g.client().Rollback(c.Context(), args[0], reason)
			if err != nil {
				return err
			}
			return f.write(c.OutOrStdout(), made, func() error {
				_, err := fmt.Fprintf(c.OutOrStdout(), "%s applies %s; podyard status shows how it fares\n", made.Name(), made.Commit.Short())
				return err
			})
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for the history")
	f.flag(c)
	return c
}
