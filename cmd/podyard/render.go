package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/podyard/podyard/manifests"
)

func newRender(g *global) *cobra.Command {
	var path string
	var secrets bool
	c := &cobra.Command{
		Use:   "render DIR|REV",
		Short: "Print the objects as they would be applied",
		Long: `Print the objects of a directory, or of a revision of the running daemon, as they would be applied.
Warnings go to standard error. The values of Secrets are masked.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if !isDir(args[0]) {
				return renderRevision(c, g, args[0])
			}
			set, err := loadDir(c.Context(), args[0], path)
			if err != nil {
				return err
			}
			for _, w := range set.Warnings {
				fmt.Fprintln(c.ErrOrStderr(), "warning:", w)
			}
			_, err = c.OutOrStdout().Write(set.YAML(!secrets))
			return err
		},
	}
	c.Flags().StringVar(&path, "path", ".", "directory of the manifests inside DIR")
	c.Flags().BoolVar(&secrets, "show-secrets", false, "print the values of Secrets; for DIR only")
	return c
}

func renderRevision(c *cobra.Command, g *global, rev string) error {
	detail, err := g.client().Revision(c.Context(), rev)
	if err != nil {
		return fmt.Errorf("%s is no directory here; as a revision: %w", rev, err)
	}
	_, err = fmt.Fprint(c.OutOrStdout(), detail.YAML)
	return err
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// loadDir renders a directory as it stands, committed or not.
func loadDir(ctx context.Context, dir, path string) (*manifests.Set, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open directory: %w", err)
	}
	defer root.Close()
	return manifests.Load(ctx, root.FS(), cleanPath(path), manifests.Options{})
}
