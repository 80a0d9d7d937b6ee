package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"golang.org/x/sync/errgroup"

	"github.com/podyard/podyard/runtime"
)

// Teardown implements runtime.Setup. It goes on after a failure, so that as little as possible is left.
func (e *Engine) Teardown(ctx context.Context, volumes bool, report func(string)) error {
	if report == nil {
		report = func(string) {}
	}
	e.ensuring.Lock()
	defer e.ensuring.Unlock()
	e.leaveGateway()
	e.leaveIngress()
	e.syncing.Lock()
	err := e.list(ctx)
	e.syncing.Unlock()
	if err != nil {
		return err
	}
	err = errors.Join(
		e.removePods(ctx, report),
		e.removeGateway(ctx, report),
		e.removeVolumes(ctx, volumes, report),
		e.removeNetwork(ctx, report),
		e.removeImages(ctx, report),
	)
	e.setShared(shared{})
	e.cache.setServiceCIDR("")
	return err
}

func (e *Engine) removePods(ctx context.Context, report func(string)) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(inspections)
	lines := make(chan string)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for line := range lines {
			report(line)
		}
	}()
	for _, pod := range podsOf(e.cache.all(), "") {
		group.Go(func() error { return e.removePod(groupCtx, pod, lines) })
	}
	err := group.Wait()
	close(lines)
	<-done
	return err
}

func (e *Engine) removePod(ctx context.Context, pod runtime.Pod, lines chan<- string) error {
	if err := e.RemoveSandbox(ctx, pod.ID); err != nil {
		return err
	}
	lines <- fmt.Sprintf("removed pod %s/%s", pod.Manifest.Namespace, pod.Manifest.Name)
	return nil
}

// removeGateway removes the agents, then the holder, then whatever else carries our label.
func (e *Engine) removeGateway(ctx context.Context, report func(string)) error {
	for _, agents := range []bool{true, false} {
		for _, en := range e.cache.all() {
			if en.role == roleSandbox || en.role == roleContainer || (en.role == roleAgent) != agents {
				continue
			}
			if err := e.remove(ctx, en.id); err != nil {
				return wrap("remove", "container "+en.name, err)
			}
			report("removed container " + en.name)
		}
	}
	return nil
}

func (e *Engine) removeVolumes(ctx context.Context, persistent bool, report func(string)) error {
	list, err := e.volumes(ctx, e.ours())
	if err != nil {
		return err
	}
	for _, v := range list {
		// Certificates that were obtained are worth keeping: servers give out but a few a week.
		if (v.Labels[labelPersistent] == "true" || v.Name == e.names.ingressCertificates()) && !persistent {
			continue
		}
		if err := e.removeVolume(ctx, v.Name); err != nil {
			return err
		}
		report("removed volume " + v.Name)
	}
	return nil
}

func (e *Engine) removeNetwork(ctx context.Context, report func(string)) error {
	list, err := e.cli.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("label", labelInstance+"="+e.options.Instance))})
	if err != nil {
		return wrap("list", "networks", err)
	}
	for _, n := range list {
		err := e.cli.NetworkRemove(ctx, n.ID)
		if err != nil && !cerrdefs.IsNotFound(err) {
			return wrap("remove", "network "+n.Name, e.explainEndpoints(ctx, n.ID, err))
		}
		report("removed network " + n.Name)
	}
	return nil
}

// explainEndpoints says what to do when the engine has lost count. Old engines count the endpoints of a network apart
// from keeping them, and may miscount when many containers come and go at once (github.com/moby/moby/issues/42119). They
// count anew when they start.
func (e *Engine) explainEndpoints(ctx context.Context, id string, err error) error {
	if !strings.Contains(err.Error(), "active endpoints") {
		return err
	}
	found, inspectErr := e.cli.NetworkInspect(ctx, id, network.InspectOptions{})
	if inspectErr != nil || len(found.Containers) > 0 {
		return err
	}
	return fmt.Errorf("the engine has lost count of its endpoints: restart the engine, then this can be removed: %w", err)
}

func (e *Engine) removeImages(ctx context.Context, report func(string)) error {
	infra, err := e.removeInfra(ctx, "")
	kept, keptErr := e.letGo(ctx, func(string) bool { return true })
	for _, ref := range slices.Concat(infra, kept) {
		report("removed image " + ref)
	}
	return errors.Join(err, keptErr)
}
