package deploy

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/podyard/podyard/history"
	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/sources"
)

// OnFailure says what becomes of a commit whose rollout fails.
type OnFailure string

// The values of OnFailure.
const (
	// RollBack returns all objects to the last good revision and holds the commit out.
	RollBack OnFailure = "rollback"
	// Pause leaves the rollout where it is: what served before goes on serving.
	Pause OnFailure = "pause"
)

// failedWord stands between what failed and why, in the reason of a hold.
const failedWord = " failed: "

// rollbackTrigger is history.Revision.Trigger of what was returned to.
const rollbackTrigger = "rollback"

// How much of the log of a failing container is kept.
const (
	lastLines   = 20
	lastBytes   = 8 << 10
	logPatience = 5 * time.Second
)

// fallBack returns to the last good revision, holds the failed one out until the next commit, and marks it with the reason.
func (d *Deployer) fallBack(ctx context.Context, failed *applied, f *failure) error {
	d.taking.Lock()
	defer d.taking.Unlock()
	if d.current() != failed || ctx.Err() != nil {
		return nil // the next commit has taken over
	}
	set, err := manifests.Decode(failed.good.rendered, manifests.Options{})
	if err != nil {
		return fmt.Errorf("decode revision r%d: %w", failed.good.Number, err)
	}
	if set, err = d.asItRan(ctx, failed.good.Revision, set); err != nil {
		return err
	}
	reason := fmt.Sprintf("r%d (%s)%s%s", failed.number, shortName(failed.name), failedWord, f.message)
	artifact := &sources.Artifact{Revision: failed.good.Revision.Revision, Commit: sourceCommit(failed.good.Commit)}
	why := cause{rollbackTrigger, fmt.Sprintf("r%d: %s", failed.good.Number, reason), failed.number}
	if err := d.apply(artifact, set, why); err != nil {
		return err
	}
	d.finish(failed.number, func(r *history.Revision) { r.Outcome = history.RolledBack })
	return d.setHold(&history.Hold{Number: d.current().number, Head: failed.name, Reason: reason, Failed: failed.number, Since: time.Now()})
}

// lastWords is the end of the failing container's log, without the values of the commit's Secrets.
func (d *Deployer) lastWords(ctx context.Context, set *manifests.Set, f *failure) string {
	if f == nil || f.container == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, logPatience)
	defer cancel()
	var log bytes.Buffer
	if err := d.options.Runtime.Logs(ctx, f.container.ID, runtime.LogOptions{Tail: lastLines}, &log, &log); err != nil {
		d.log.Warn("log of the failing container not read", "object", f.object.String(), "container", f.container.Name, "err", err)
	}
	text := set.Redact(log.String())
	return strings.ToValidUTF8(text[max(len(text)-lastBytes, 0):], "")
}

// good is the revision to which a rollout that fails returns.
type good struct {
	history.Revision
	rendered []byte
}

// lookBack finds what a revision has touched, and what takes over if its rollout fails: the last good revision, unless it holds
// the same objects. What somebody has rolled back to stays, whatever becomes of it.
func (d *Deployer) lookBack(a *applied, trigger string) error {
	last, err := d.options.Store.LastGood()
	if err != nil {
		return fmt.Errorf("find the last good revision: %w", err)
	}
	if last == nil || last.Number == a.number {
		a.touched = newTouched(nil, a.set)
		return nil
	}
	rendered, err := d.options.Store.Rendered(last.Number)
	if err != nil {
		return fmt.Errorf("read revision r%d: %w", last.Number, err)
	}
	set, err := manifests.Decode(rendered, manifests.Options{})
	if err != nil {
		return fmt.Errorf("decode revision r%d: %w", last.Number, err)
	}
	a.touched = newTouched(set, a.set)
	if trigger != rollbackTrigger && !bytes.Equal(rendered, a.yaml) {
		a.good = &good{*last, rendered}
	}
	return nil
}
