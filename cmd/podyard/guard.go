package main

import (
	"fmt"
	"slices"

	"github.com/spf13/pflag"

	"github.com/podyard/podyard/deploy"
)

// guardOptions are the flags of run that say what is done about commits that fail or delete much, and what is kept to return to.
type guardOptions struct {
	onFailure    string
	maxDeletions int
	keepImages   int
}

func (o *guardOptions) addTo(flags *pflag.FlagSet) {
	flags.StringVar(&o.onFailure, "on-failure", string(deploy.RollBack), "what becomes of a commit whose rollout fails: rollback (to the last good revision) or pause")
	flags.IntVar(&o.maxDeletions, "max-deletions", deploy.DefaultMaxDeletions, "percent of its objects that a commit may delete; more have to be approved with podyard approve")
	flags.IntVar(&o.keepImages, "keep-images", deploy.DefaultKeepImages, "of how many revisions the images are kept on the host, so that a rollback needs no registry")
}

func (o *guardOptions) check() error {
	if !slices.Contains([]deploy.OnFailure{deploy.RollBack, deploy.Pause}, deploy.OnFailure(o.onFailure)) {
		return fmt.Errorf("--on-failure %s: want %s or %s", o.onFailure, deploy.RollBack, deploy.Pause)
	}
	if o.maxDeletions < 1 || o.maxDeletions > 100 {
		return fmt.Errorf("--max-deletions %d: want a percentage from 1 to 100", o.maxDeletions)
	}
	if o.keepImages < 1 {
		return fmt.Errorf("--keep-images %d: want at least 1", o.keepImages)
	}
	return nil
}
