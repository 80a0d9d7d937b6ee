package main

import (
	"github.com/spf13/cobra"
)

func newApprove(g *global) *cobra.Command {
	var reason string
	var wait bool
	var f format
	c := &cobra.Command{
		Use:   "approve REV",
		Short: "Apply a commit that waits for approval, since it would delete much",
		Long: `Apply the commit that waits for approval, named by its number (14, r14) or the beginning of its hash. A commit waits if it
holds no objects, would delete more of them than --max-deletions allows, or a volume. The line "Podyard-Approve: delete"
in the message of a commit approves it beforehand.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			client := g.client()
			made, err := client.Approve(c.Context(), args[0], reason)
			if err != nil {
				return err
			}
			if wait {
				if made, err = follow(c.Context(), client, made, c.ErrOrStderr()); err != nil {
					return err
				}
			}
			return f.write(c.OutOrStdout(), made, func() error { return writeApplied(c.OutOrStdout(), made, wait, "") })
		},
	}
	c.Flags().BoolVar(&wait, "wait", true, "wait until the revision is ready, and fail if it does not become so")
	c.Flags().StringVar(&reason, "reason", "", "why, for the history")
	f.flag(c)
	return c
}
