package main

import (
	"fmt"
	"slices"

	"github.com/spf13/pflag"

	"github.com/podyard/podyard/deploy"
)

// guardOptions are the flags of run that say what is done about commits that fail, or delete much.
type guardOptions struct {
	onFailure    string
	maxDeletions int
}

func (o *guardOptions) addTo(flags *pflag.FlagSet) {
	flags.StringVar(&o.onFailure, "on-failure", string(deploy.RollBack), "what becomes of a commit whose rollout fails: rollback (to the last good revision) or pause")
	flags.IntVar(&o.maxDeletions, "max-deletions", deploy.DefaultMaxDeletions, "percent of its objects that a commit may delete; more have to be approved with podyard approve")
}

func (o *guardOptions) check() error {
	if !slices.Contains([]deploy.OnFailure{deploy.RollBack, deploy.Pause}, deploy.OnFailure(o.onFailure)) {
		return fmt.Errorf("--on-failure %s: want %s or %s", o.onFailure, deploy.RollBack, deploy.Pause)
	}
	if o.maxDeletions < 1 || o.maxDeletions > 100 {
		return fmt.Errorf("--max-deletions %d: want a percentage from 1 to 100", o.maxDeletions)
	}
	return nil
}
