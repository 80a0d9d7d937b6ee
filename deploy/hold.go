package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/podyard/podyard/history"
	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/sources"
	"github.com/podyard/podyard/status"
)

// Rollback returns to a revision and holds there until the next commit, or Resume. Deployed before: the objects that
// were rendered then are applied again. Any other commit of the repository is rendered now.
func (d *Deployer) Rollback(ctx context.Context, rev, reason string) (status.Revision, error) {
	d.taking.Lock()
	defer d.taking.Unlock()
	artifact, set, from, err := d.revisionSet(ctx, rev)
	if err != nil {
		return status.Revision{}, err
	}
	if found, findErr := d.findApplied(rev); findErr == nil && found.WasApplied() {
		set, err = d.asItRan(ctx, found, set)
	}
	if err != nil {
		return status.Revision{}, err
	}
	if reason == "" {
		reason = "rolled back by hand"
	}
	head := d.headRevision()
	if before := d.current(); before != nil && before.name == artifact.Revision {
		return status.Revision{}, status.Errorf(status.ErrConflict, "%s is what runs already", rev)
	}
	if err := d.apply(artifact, set, cause{trigger: rollbackTrigger, reason: fmt.Sprintf("%s: %s", from, reason)}); err != nil {
		return status.Revision{}, err
	}
	now := d.current()
	hold := &history.Hold{Number: now.number, Head: head, Reason: reason, Since: time.Now()}
	if head == artifact.Revision {
		hold = nil // back at the newest commit: there is nothing to hold out
	}
	if err := d.setHold(hold); err != nil {
		return status.Revision{}, err
	}
	d.watchers.signal()
	made, err := d.options.Store.Get(now.number)
	if err != nil {
		return status.Revision{}, err
	}
	return viewRevision(made, now.number), nil
}

// revisionSet finds what a revision was, in the history or else in the repository. from names it as r3 or a short hash.
func (d *Deployer) revisionSet(ctx context.Context, rev string) (*sources.Artifact, *manifests.Set, string, error) {
	found, err := d.findApplied(rev)
	if err == nil && found.WasApplied() {
		rendered, err := d.options.Store.Rendered(found.Number)
		if err != nil {
			return nil, nil, "", fmt.Errorf("read revision r%d: %w", found.Number, err)
		}
		set, err := manifests.Decode(rendered, manifests.Options{})
		artifact := &sources.Artifact{Revision: found.Revision, Commit: sourceCommit(found.Commit)}
		return artifact, set, fmt.Sprintf("r%d", found.Number), err
	}
	if err != nil && !errors.Is(err, history.ErrNotFound) {
		return nil, nil, "", err
	}
	artifact, err := d.options.Source.Resolve(ctx, rev)
	if err != nil {
		return nil, nil, "", status.Errorf(status.ErrNotFound, "%w", err)
	}
	set, err := d.load(ctx, artifact)
	if err != nil {
		return nil, nil, "", status.Errorf(status.ErrInvalid, "%s: %w", rev, err)
	}
	return artifact, set, shortHash(artifact.Commit.Hash), nil
}

// findApplied is what a name means in the history.
func (d *Deployer) findApplied(rev string) (history.Revision, error) {
	if found, ok, err := d.revisionAt(rev); ok {
		return found, err
	}
	return d.options.Store.Find(rev)
}

// Resume ends a hold: the newest commit is applied again.
func (d *Deployer) Resume(ctx context.Context) error {
	d.mu.Lock()
	hold, head := d.hold, d.head
	d.mu.Unlock()
	if hold == nil {
		return status.Errorf(status.ErrConflict, "nothing is held")
	}
	d.taking.Lock()
	err := d.release()
	d.taking.Unlock()
	if err != nil {
		return err
	}
	if head != nil {
		d.take(ctx, head, "resume")
	}
	d.watchers.signal()
	return d.Sync(ctx)
}

func (d *Deployer) release() error { return d.setHold(nil) }

func (d *Deployer) setHold(hold *history.Hold) error {
	if err := d.options.Store.SetHold(hold); err != nil {
		return fmt.Errorf("write hold: %w", err)
	}
	d.mu.Lock()
	d.hold = hold
	d.mu.Unlock()
	return nil
}

func (d *Deployer) headRevision() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.head != nil {
		return d.head.Revision
	}
	if d.applied != nil {
		return d.applied.name
	}
	return ""
}

func shortHash(hash string) string { return hash[:min(len(hash), 7)] }
