package main

import (
	"github.com/spf13/cobra"

	"github.com/podyard/podyard/status"
)

func newPlan(g *global) *cobra.Command {
	var f format
	var path string
	c := &cobra.Command{
		Use:   "plan [DIR|REV]",
		Short: "Say what would be done now, each line with its reason",
		Long: `Say what the daemon would do for the applied revision, for another one, or for a directory as it stands.
The exit code is 2 when there is something to do.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var request status.PlanRequest
			switch {
			case len(args) == 1 && isDir(args[0]):
				set, err := loadDir(c.Context(), args[0], path)
				if err != nil {
					return err
				}
				request.Manifests = string(set.YAML(false))
			case len(args) == 1:
				request.Revision = args[0]
			}
			result, err := g.client().Plan(c.Context(), request)
			if err != nil {
				return err
			}
			if err := f.write(c.OutOrStdout(), result, func() error { return status.WritePlan(c.OutOrStdout(), result) }); err != nil {
				return err
			}
			if len(result.Actions)+len(result.Changes) > 0 {
				return hasChanges
			}
			return nil
		},
	}
	c.Flags().StringVar(&path, "path", ".", "directory of the manifests inside DIR")
	f.flag(c)
	return c
}
