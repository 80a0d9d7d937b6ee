package deploy

import (
	"context"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
)

// permitted refuses what no commit may change of what runs. A rollback is not asked: it must always be possible, and pods of
// another selector are replaced like those of another template.
func (d *Deployer) permitted(ctx context.Context, set *manifests.Set) error {
	a := d.current()
	if a == nil {
		return nil
	}
	return manifests.CheckSelectors(a.set, set, func(ref manifests.Ref) bool { return d.hasPods(ctx, ref) })
}

// hasPods tells whether the engine has pods of an object. Where it cannot be asked, it may have.
func (d *Deployer) hasPods(ctx context.Context, ref manifests.Ref) bool {
	state, err := d.options.Runtime.State(ctx)
	if err != nil {
		return true
	}
	for i := range state.Pods {
		if plan.Owns(ref, state.Pods[i].Manifest) {
			return true
		}
	}
	return false
}
