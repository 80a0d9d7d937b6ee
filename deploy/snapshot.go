package deploy

import (
	"context"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podyard/podyard/history"
	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/sources"
	"github.com/podyard/podyard/status"
)

// How much of the history a Snapshot holds.
const (
	firstPage   = 20
	firstEvents = 50
)

// Snapshot is everything the overview shows.
func (d *Deployer) Snapshot(ctx context.Context) (status.Snapshot, error) {
	round := d.reconciler.Status()
	s := status.Snapshot{
		Version: d.options.Version, Instance: d.options.Instance, DataDir: d.options.DataDir, Started: d.started,
		Sources: []status.Source{d.viewSource()},
	}
	if d.options.Engine != nil {
		s.Engine.Name, s.Engine.Version = d.options.Engine()
	}
	if d.options.Gateway != nil {
		s.Gateway = d.options.Gateway()
	}
	if round.Err != nil {
		s.Engine.Error = round.Err.Error()
	}
	var err error
	if s.Revisions, err = d.Revisions(ctx, 0, firstPage); err != nil {
		return s, err
	}
	events, err := d.options.Store.Events(history.EventFilter{}, firstEvents)
	if err != nil {
		return s, err
	}
	s.Events = viewEvents(events)
	for _, o := range round.Result.Objects {
		s.Objects = append(s.Objects, viewObject(o))
	}
	s.Pods = viewPods(round)
	return s, nil
}

// Watch tells when a Snapshot would differ.
func (d *Deployer) Watch(ctx context.Context) (<-chan struct{}, error) {
	return d.watchers.add(ctx), nil
}

func (d *Deployer) viewSource() status.Source {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := status.Source{
		Name: d.options.Name, URL: d.options.Source.String(), Branch: d.options.Branch, Path: d.options.Path,
		NextFetch: d.fetch.Next,
	}
	if !d.fetch.Started.IsZero() {
		s.LastFetch = d.fetch.Started.Add(d.fetch.Duration)
	}
	if d.head != nil {
		s.Revision, s.Commit = d.head.Revision, viewCommit(d.head.Commit)
	} else if d.applied != nil {
		s.Revision, s.Commit = d.applied.name, viewCommit(d.applied.commit)
	}
	if d.fetch.Err != nil {
		s.FetchError = d.fetch.Err.Error()
	}
	if d.hold != nil {
		s.Hold = &status.Hold{Number: d.hold.Number, Reason: d.hold.Reason, Since: d.hold.Since, Failed: d.hold.Failed}
	}
	s.Health, s.State = d.phrase()
	return s
}

// phrase says in plain words how the source fares. The caller holds mu.
func (d *Deployer) phrase() (status.Health, string) {
	a := d.applied
	switch {
	case a == nil && d.fetch.Err != nil:
		return status.Stalled, "nothing is applied yet: the repository cannot be fetched"
	case a == nil && d.refusal != "":
		return status.Stalled, fmt.Sprintf("%s was refused, nothing is applied yet: %s", d.name(), firstLine(d.refusal))
	case a == nil:
		return status.Reconciling, "waiting for the first fetch"
	case d.refusal != "":
		return status.Stalled, fmt.Sprintf("%s was refused, r%d stays: %s", d.name(), a.number, firstLine(d.refusal))
	case d.waiting != nil:
		return status.Stalled, fmt.Sprintf("%s waits for approval, r%d stays: it %s; podyard approve %[1]s applies it",
			d.name(), a.number, d.waiting.reason)
	case d.hold != nil && d.hold.Failed != 0:
		failed, why, _ := strings.Cut(d.hold.Reason, failedWord)
		return status.Stalled, fmt.Sprintf("%s failed and was rolled back to r%d (%s): %s; the next commit or podyard resume ends it",
			failed, a.number, shortName(a.name), why)
	case d.hold != nil:
		return holdHealth(a.outcome), fmt.Sprintf("held at r%d (%s): %s; the next commit or podyard resume ends it",
			a.number, shortName(a.name), d.hold.Reason)
	}
	switch a.outcome {
	case history.Ready:
		return status.Ready, fmt.Sprintf("in sync with %s since %s", shortName(a.name), a.since.Local().Format("15:04"))
	case history.Failed:
		word := "failed"
		if a.waits {
			word = "is not ready"
		}
		return status.Stalled, fmt.Sprintf("commit %s %s: %s", shortName(a.name), word, a.message)
	default:
		return status.Reconciling, strings.TrimSuffix(fmt.Sprintf("applying %s: %s", shortName(a.name), a.message), ": ")
	}
}

func holdHealth(outcome history.Outcome) status.Health {
	switch outcome {
	case history.Ready:
		return status.Ready
	case history.Failed:
		return status.Stalled
	default:
		return status.Reconciling
	}
}

// name is the short name of the head. The caller holds mu.
func (d *Deployer) name() string {
	if d.head == nil {
		return "the newest commit"
	}
	return shortName(d.head.Revision)
}

// shortName is 5394cb7 for main@sha1:5394cb7f….
func shortName(revision string) string {
	_, hash, ok := strings.Cut(revision, "@")
	if !ok {
		return revision
	}
	if _, digits, ok := strings.Cut(hash, ":"); ok {
		hash = digits
	}
	return shortHash(hash)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func viewCommit(c sources.Commit) status.Commit {
	return status.Commit{Hash: c.Hash, Author: c.Author, Subject: c.Subject, When: c.When}
}

func historyCommit(c sources.Commit) history.Commit {
	return history.Commit{Hash: c.Hash, Author: c.Author, Email: c.Email, Subject: c.Subject, Message: c.Message, When: c.When}
}

func sourceCommit(c history.Commit) sources.Commit {
	return sources.Commit{Hash: c.Hash, Author: c.Author, Email: c.Email, Subject: c.Subject, Message: c.Message, When: c.When}
}

func historyChanges(in []status.Change) []history.Change {
	out := make([]history.Change, 0, len(in))
	for _, c := range in {
		out = append(out, history.Change{Action: c.Action, Object: c.Ref.String()})
	}
	return out
}

// parseRef reads "Deployment default/web" back.
func parseRef(s string) status.Ref {
	kind, rest, _ := strings.Cut(s, " ")
	if namespace, name, ok := strings.Cut(rest, "/"); ok && kind != "Image" {
		return status.Ref{Kind: kind, Namespace: namespace, Name: name}
	}
	return status.Ref{Kind: kind, Name: rest}
}

var viewOutcomes = map[history.Outcome]status.Outcome{
	history.Applying: status.Applying, history.Ready: status.Succeeded, history.Failed: status.Failed,
	history.RolledBack: status.RolledBack, history.Refused: status.Refused, history.Superseded: status.Superseded,
	history.Unapproved: status.Unapproved,
}

func viewRevision(r history.Revision, current uint64) status.Revision {
	v := status.Revision{
		Number: r.Number, Source: r.Source, Trigger: r.Trigger, Reason: r.Reason, Outcome: viewOutcomes[r.Outcome],
		Commit:  viewCommit(sourceCommit(r.Commit)),
		Message: r.Message, Log: r.Log, Started: r.Started, Finished: r.Finished, Current: r.Number == current,
		Images: r.Images, Warnings: r.Warnings,
	}
	if v.Commit.Hash == "" {
		v.Commit.Hash = shortName(r.Revision) // a plain directory has no commit
	}
	if !r.Finished.IsZero() {
		v.Duration = metav1.Duration{Duration: r.Finished.Sub(r.Started)}
	}
	for _, c := range r.Changes {
		v.Changes = append(v.Changes, status.Change{Action: c.Action, Ref: parseRef(c.Object)})
	}
	return v
}

func viewEvents(events []history.Event) []status.Event {
	out := make([]status.Event, 0, len(events))
	for _, e := range events {
		out = append(out, viewEvent(e))
	}
	return out
}

func viewEvent(e history.Event) status.Event {
	return status.Event{Time: e.Time, Type: string(e.Type), Reason: e.Reason, Object: parseRef(e.Object), Message: e.Message, Count: int(e.Count)}
}

func viewObject(o plan.ObjectStatus) status.Object {
	v := status.Object{Ref: viewRef(o.Ref), Health: status.Health(o.Health), Message: o.Message, Summary: o.Summary, Conditions: o.Conditions}
	if o.Owner != (manifests.Ref{}) {
		owner := viewRef(o.Owner)
		v.Owner = &owner
	}
	return v
}
