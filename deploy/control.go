package deploy

import (
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
	if found.Outcome == history.Refused {
		return detail, nil // it was never rendered
	}
	set, err := d.setOf(found)
	if err != nil {
		return detail, err
	}
	detail.YAML = string(set.YAML(true))
	return detail, nil
}

func (d *Deployer) find(rev string) (history.Revision, error) {
	found, err := d.options.Store.Find(rev)
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
			if r.Outcome != history.Refused {
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
	preview, err := d.reconciler.Preview(ctx, set)
	if err != nil {
		return status.PlanResult{}, err
	}
	var before *manifests.Set
	if a := d.current(); a != nil {
		before = a.set
	}
	result := status.PlanResult{Changes: changes(before, set)}
	for _, a := range preview.Actions {
		result.Actions = append(result.Actions, status.PlannedAction{Action: a.String(), Reason: a.Why()})
	}
	for _, w := range set.Warnings {
		result.Warnings = append(result.Warnings, w.String())
	}
	return result, nil
}

func (d *Deployer) planned(ctx context.Context, request status.PlanRequest) (*manifests.Set, error) {
	switch {
	case request.Manifests != "":
		set, err := manifests.Decode([]byte(request.Manifests), manifests.Options{})
		if err != nil {
			return nil, fmt.Errorf("%w: %w", err, status.ErrInvalid)
		}
		return set, nil
	case request.Revision != "":
		_, set, _, err := d.revisionSet(ctx, request.Revision)
		return set, err
	}
	a := d.current()
	if a == nil {
		return nil, fmt.Errorf("nothing is applied yet: %w", status.ErrUnavailable)
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
	id, err := d.container(ctx, request)
	if err != nil {
		return err
	}
	options := runtime.LogOptions{Follow: request.Follow, Timestamps: request.Timestamps, Tail: request.Tail, Since: request.Since}
	return d.options.Runtime.Logs(ctx, id, options, w, w)
}

// container finds the attempt whose log is wanted. A pod may be named by its beginning, if that is unique, or by the
// workload it belongs to.
func (d *Deployer) container(ctx context.Context, request status.LogRequest) (string, error) {
	state, err := d.options.Runtime.State(ctx)
	if err != nil {
		return "", err
	}
	for i := range state.Pods {
		pod := &state.Pods[i]
		if pod.Manifest.Namespace == request.Namespace && pod.Manifest.Name == request.Pod {
			return attempt(pod, request)
		}
	}
	return "", fmt.Errorf("pod %s/%s: %w; podyard status lists the pods", request.Namespace, request.Pod, status.ErrNotFound)
}

func attempt(pod *runtime.Pod, request status.LogRequest) (string, error) {
	name := request.Container
	if name == "" {
		if n := len(pod.Manifest.Spec.Containers); n != 1 {
			return "", fmt.Errorf("pod %s has %d containers, say which: %w", request.Pod, n, status.ErrInvalid)
		}
		name = pod.Manifest.Spec.Containers[0].Name
	}
	c := plan.Latest(pod, name)
	if c == nil {
		return "", fmt.Errorf("pod %s has no container %s: %w", request.Pod, name, status.ErrNotFound)
	}
	if !request.Previous {
		return c.ID, nil
	}
	for i := range pod.Containers {
		if past := &pod.Containers[i]; past.Name == name && past.Attempt == c.Attempt-1 {
			return past.ID, nil
		}
	}
	return "", fmt.Errorf("container %s of pod %s has not been restarted: %w", name, request.Pod, status.ErrNotFound)
}
