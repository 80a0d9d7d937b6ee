package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/podyard/podyard/status"
)

func newRollback(g *global) *cobra.Command {
	var reason string
	var wait bool
	var f format
	c := &cobra.Command{
		Use:   "rollback REV",
		Short: "Return to a revision and hold there until the next commit, or resume",
		Long: `Return to a revision, named by its number (14, r14), the beginning of its commit's hash, a tag, HEAD~1, or @{yesterday}.
Polls do not undo it: it holds until the next commit, or until podyard resume.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			client := g.client()
			made, err := client.Rollback(c.Context(), args[0], reason)
			if err != nil {
				return err
			}
			if wait {
				if made, err = follow(c.Context(), client, made, c.ErrOrStderr()); err != nil {
					return err
				}
			}
			return f.write(c.OutOrStdout(), made, func() error {
				return writeApplied(c.OutOrStdout(), made, wait, "; podyard status says what holds there, and until when")
			})
		},
	}
	c.Flags().BoolVar(&wait, "wait", true, "wait until the revision is ready, and fail if it does not become so")
	c.Flags().StringVar(&reason, "reason", "", "why, for the history")
	f.flag(c)
	return c
}

func writeApplied(w io.Writer, made status.Revision, waited bool, more string) error {
	how := "applies"
	if waited {
		how = "runs"
	}
	_, err := fmt.Fprintf(w, "%s %s %s%s\n", made.Name(), how, made.Commit.Short(), more)
	return err
}
