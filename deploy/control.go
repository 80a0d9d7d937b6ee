package deploy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/podyard/podyard/history"
	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/status"
)

var (
	_ status.Reader     = (*Deployer)(nil)
	_ status.Controller = (*Deployer)(nil)
)

// Revisions lists the history, newest first.
func (d *Deployer) Revisions(_ context.Context, before uint64, limit int) ([]status.Revision, error) {
	list, err := d.options.Store.List(limit, before)
	if err != nil {
		return nil, err
	}
	out := make([]status.Revision, 0, len(list))
	for _, r := range list {
		out = append(out, viewRevision(r, d.currentNumber()))
	}
	return out, nil
}

// Events are those of one object.
func (d *Deployer) Events(_ context.Context, object status.Ref, limit int) ([]status.Event, error) {
	found, err := d.options.Store.Events(history.EventFilter{Object: object.String()}, limit)
	if err != nil {
		return nil, err
	}
	return viewEvents(found), nil
}

func (d *Deployer) currentNumber() uint64 {
	if a := d.current(); a != nil {
		return a.number
	}
	return 0
}

// Revision shows one revision with its objects, the values of Secrets masked.
func (d *Deployer) Revision(_ context.Context, rev string) (status.RevisionDetail, error) {
	found, err := d.find(rev)
	if err != nil {
		return status.RevisionDetail{}, err
	}
	detail := status.RevisionDetail{Revision: viewRevision(found, d.currentNumber())}
	if !found.WasApplied() {
		return detail, nil // its objects are not kept
	}
	set, err := d.setOf(found)
	if err != nil {
		return detail, err
	}
	detail.YAML = string(set.YAML(true))
	return detail, nil
}

func (d *Deployer) find(rev string) (history.Revision, error) {
	found, err := d.findApplied(rev)
	if errors.Is(err, history.ErrNotFound) {
		return found, fmt.Errorf("revision %s: %w; podyard history lists them", rev, status.ErrNotFound)
	}
	return found, err
}

func (d *Deployer) setOf(r history.Revision) (*manifests.Set, error) {
	rendered, err := d.options.Store.Rendered(r.Number)
	if err != nil {
		return nil, fmt.Errorf("read revision r%d: %w", r.Number, err)
	}
	return manifests.Decode(rendered, manifests.Options{})
}

// Diff compares the rendered objects of two revisions.
func (d *Deployer) Diff(ctx context.Context, from, to string) ([]status.ObjectDiff, error) {
	if to == "" {
		to = fmt.Sprint(d.currentNumber())
	}
	_, toSet, toName, err := d.revisionSet(ctx, to)
	if err != nil {
		return nil, err
	}
	if from == "" {
		fromSet, fromName, err := d.before(to)
		if err != nil {
			return nil, err
		}
		return diffs(fromSet, toSet, fromName, toName), nil
	}
	_, fromSet, fromName, err := d.revisionSet(ctx, from)
	if err != nil {
		return nil, err
	}
	return diffs(fromSet, toSet, fromName, toName), nil
}

// before is the revision that was applied before another; nil before the first.
func (d *Deployer) before(rev string) (*manifests.Set, string, error) {
	found, err := d.find(rev)
	if err != nil {
		return nil, "", err
	}
	for number := found.Number; ; {
		page, err := d.options.Store.List(50, number)
		if err != nil || len(page) == 0 {
			return nil, "nothing", err
		}
		for _, r := range page {
			if r.WasApplied() {
				set, err := d.setOf(r)
				return set, fmt.Sprintf("r%d", r.Number), err
			}
			number = r.Number
		}
	}
}

// Plan says what would be done now: for the applied revision, another one, or manifests that are not committed.
func (d *Deployer) Plan(ctx context.Context, request status.PlanRequest) (status.PlanResult, error) {
	set, err := d.planned(ctx, request)
	if err != nil {
		return status.PlanResult{}, err
	}
	var before *manifests.Set
	if a := d.current(); a != nil {
		before = a.set
		if set != before && bytes.Equal(a.yaml, set.YAML(false)) {
			set.Sync = before.Sync
		}
	}
	preview, err := d.reconciler.Preview(ctx, set)
	if err != nil {
		return status.PlanResult{}, err
	}
	result := status.PlanResult{Changes: changes(before, set), Warnings: warnings(before, set)}
	for _, a := range preview.Actions {
		if _, note := a.(plan.WriteNote); note {
			continue // nothing that runs
		}
		result.Actions = append(result.Actions, status.PlannedAction{Action: a.String(), Reason: a.Why()})
	}
	return result, nil
}

func (d *Deployer) planned(ctx context.Context, request status.PlanRequest) (*manifests.Set, error) {
	switch {
	case request.Manifests != "":
		set, err := manifests.Decode([]byte(request.Manifests), manifests.Options{})
		if err == nil {
			err = d.permitted(ctx, set)
		}
		if err != nil {
			return nil, status.Errorf(status.ErrInvalid, "%w", err)
		}
		return set, nil
	case request.Revision != "":
		_, set, _, err := d.revisionSet(ctx, request.Revision)
		return set, err
	}
	a := d.current()
	if a == nil {
		return nil, status.Errorf(status.ErrUnavailable, "nothing is applied yet")
	}
	return a.set, nil
}

// Sync fetches now.
func (d *Deployer) Sync(context.Context) error {
	select {
	case d.trigger <- struct{}{}:
	default:
	}
	return nil
}

// Shutdown ends the daemon. Pods keep running.
func (d *Deployer) Shutdown(context.Context) error {
	d.options.Stop()
	return nil
}

// Logs copies a container's output.
func (d *Deployer) Logs(ctx context.Context, request status.LogRequest, w io.Writer) error {
	name := status.ContainerName{Namespace: request.Namespace, Pod: request.Pod, Container: request.Container}
	pod, err := d.pod(ctx, name)
	if err != nil {
		return err
	}
	c, err := attempt(pod, name)
	if err == nil && request.Previous {
		c, err = previous(pod, c)
	}
	if err != nil {
		return err
	}
	options := runtime.LogOptions{Follow: request.Follow, Timestamps: request.Timestamps, Tail: request.Tail, Since: request.Since}
	return d.options.Runtime.Logs(ctx, c.ID, options, w, w)
}

// previous is the attempt before another.
func previous(pod *runtime.Pod, c *runtime.Container) (*runtime.Container, error) {
	for i := range pod.Containers {
		if past := &pod.Containers[i]; past.Name == c.Name && past.Attempt == c.Attempt-1 {
			return past, nil
		}
	}
	return nil, status.Errorf(status.ErrNotFound, "container %s of pod %s has not been restarted", c.Name, pod.Manifest.Name)
}
