package deploy

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/podyard/podyard/history"
	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/sources"
	"github.com/podyard/podyard/status"
)

// DefaultMaxDeletions is Options.MaxDeletions where nothing else is said, in percent.
const DefaultMaxDeletions = 50

// approveTrigger is history.Revision.Trigger of a commit that somebody approved.
const approveTrigger = "approve"

// approval is a line of a commit's message that approves what the commit deletes.
var approval = regexp.MustCompile(`(?mi)^Podyard-Approve: *delete *$`)

// waiting is a commit that waits for approval, and why.
type waiting struct {
	artifact *sources.Artifact
	set      *manifests.Set
	reason   string
}

// danger says what a commit would delete that somebody has to approve; empty if nothing: all objects, more of them than MaxDeletions
// allows, or a volume. What comes back under another name, with the same content, is not counted.
func (d *Deployer) danger(ctx context.Context, artifact *sources.Artifact, set *manifests.Set) (string, error) {
	before := d.current()
	if before == nil || approval.MatchString(artifact.Commit.Message) {
		return "", nil
	}
	state, err := d.options.Runtime.State(ctx)
	if err != nil {
		return "", fmt.Errorf("look for volumes that would be deleted: %w", err)
	}
	if state.Notes, err = d.options.Store.Notes(); err != nil {
		return "", err
	}
	if doomed := plan.DoomedVolumes(set, state); len(doomed) > 0 {
		return fmt.Sprintf("would delete %s with all data: %s", count(len(doomed), "volume"), strings.Join(doomed, ", ")), nil
	}
	gone, all := deletions(before.set, set), len(before.set.Objects)
	switch {
	case len(set.Objects) == 0 && all > 0:
		return fmt.Sprintf("holds no objects, and would delete all %d", all), nil
	case gone*100 > all*d.options.MaxDeletions:
		return fmt.Sprintf("would delete %d of %d objects", gone, all), nil
	}
	return "", nil
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// deletions counts the objects that a set does not hold any more, but for those that it holds under another name.
func deletions(before, set *manifests.Set) int {
	var gone []*manifests.Object
	made := map[string]int{}
	compare(before, set, func(action string, b, a *manifests.Object) {
		switch action {
		case created:
			made[contentOf(a)]++
		case deleted:
			gone = append(gone, b)
		}
	})
	n := 0
	for _, o := range gone {
		if content := contentOf(o); made[content] > 0 {
			made[content]--
		} else {
			n++
		}
	}
	return n
}

// contentOf is an object without its name, and without what is named like it.
func contentOf(o *manifests.Object) string {
	text, err := yaml.Marshal(without(o.Raw.DeepCopy().Object, o.Name))
	if err != nil {
		return o.Ref.String() // it came from YAML
	}
	return string(text)
}

// without empties the texts that are a name.
func without(value any, name string) any {
	switch value := value.(type) {
	case string:
		if value == name {
			return ""
		}
	case map[string]any:
		for key := range value {
			value[key] = without(value[key], name)
		}
	case []any:
		for i := range value {
			value[i] = without(value[i], name)
		}
	}
	return value
}

// askApproval keeps a commit out until it is approved or another one comes. What runs is not touched.
func (d *Deployer) askApproval(artifact *sources.Artifact, set *manifests.Set, trigger, reason string) {
	d.log.Warn("commit waits for approval", "revision", artifact.Revision, "reason", reason)
	d.mu.Lock()
	d.waiting = &waiting{artifact, set, reason}
	d.mu.Unlock()
	d.recordUnapplied(artifact, trigger, history.Unapproved, reason)
}

// Approve applies the commit that waits for it. It is named by its revision's number or the beginning of its hash.
func (d *Deployer) Approve(ctx context.Context, rev, reason string) (status.Revision, error) {
	d.taking.Lock()
	defer d.taking.Unlock()
	d.mu.Lock()
	w := d.waiting
	d.mu.Unlock()
	if w == nil {
		return status.Revision{}, status.Errorf(status.ErrConflict, "no commit waits for approval")
	}
	if found, err := d.find(rev); err != nil {
		return status.Revision{}, err
	} else if found.Revision != w.artifact.Revision {
		return status.Revision{}, status.Errorf(status.ErrConflict, "%s does not wait for approval: %s does", rev, shortName(w.artifact.Revision))
	}
	why := cause{trigger: approveTrigger, reason: strings.TrimSuffix("approved: it "+w.reason+"; "+reason, "; ")}
	if err := d.apply(w.artifact, w.set, why); err != nil {
		return status.Revision{}, err
	}
	d.mu.Lock()
	d.waiting = nil
	d.mu.Unlock()
	if err := d.release(); err != nil {
		return status.Revision{}, err
	}
	d.watchers.signal()
	now := d.current()
	made, err := d.options.Store.Get(now.number)
	if err != nil {
		return status.Revision{}, err
	}
	return viewRevision(made, now.number), nil
}

// recordUnapplied keeps a commit in the history that changes nothing, unless it is there already: a restart of the daemon meets it
// again.
func (d *Deployer) recordUnapplied(artifact *sources.Artifact, trigger string, outcome history.Outcome, message string) {
	latest, err := d.options.Store.Latest()
	if err == nil && latest != nil && latest.Outcome == outcome && latest.Revision == artifact.Revision && latest.Message == message {
		return
	}
	now := time.Now()
	_, err = d.options.Store.Begin(history.Revision{
		Source: d.options.Name, Revision: artifact.Revision, Commit: historyCommit(artifact.Commit), Trigger: trigger,
		Outcome: outcome, Message: message, Started: now, Finished: now,
	}, nil)
	if err != nil {
		d.log.Error("commit not recorded", "revision", artifact.Revision, "err", err)
	}
}
