package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"golang.org/x/sync/errgroup"
)

// templates are the two containers of a pod as the engine has them, without what marks them as Podyard's.
type templates struct {
	sandbox, app container.InspectResponse
	// address is the last of the pod slice; raw pods count down from it.
	address netip.Addr
	network string
}

// readTemplates inspects one pod.
func (y *yard) readTemplates(ctx context.Context) (*templates, error) {
	t := &templates{}
	for name, into := range map[string]*container.InspectResponse{"POD": &t.sandbox, "main": &t.app} {
		list, err := y.docker.ContainerList(ctx, container.ListOptions{Filters: filters.NewArgs(
			filters.Arg("label", "podyard.dev/instance="+instance), filters.Arg("label", "io.kubernetes.container.name="+name))})
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			return nil, errors.New("no pod to read off")
		}
		if *into, err = y.docker.ContainerInspect(ctx, list[0].ID); err != nil {
			return nil, err
		}
		into.Config.Labels = map[string]string{"podyard-bench": "raw"}
		// Only a daemon needs the files for termination messages; what they cost counts as ours.
		into.HostConfig.Mounts, into.HostConfig.Binds = nil, nil
		into.Config.Cmd = slices.DeleteFunc(into.Config.Cmd, func(arg string) bool { return strings.HasPrefix(arg, "--message=") })
	}
	for name, endpoint := range t.sandbox.NetworkSettings.Networks {
		t.network = name
		first, err := netip.ParseAddr(endpoint.IPAddress)
		if err != nil {
			return nil, err
		}
		b := first.As4()
		b[2], b[3] = 127, 250
		t.address = netip.AddrFrom4(b)
	}
	return t, nil
}

// taken is how long the raw engine took to create and start containers, and then to remove them.
type taken struct{ start, remove time.Duration }

// byHand creates and starts the same containers with so many workers, then removes them.
func (y *yard) byHand(ctx context.Context, t *templates, n, workers int) (taken, error) {
	return y.startAll(ctx, t, n, workers, y.rawPod, nil)
}

// startAll makes n pods with so many workers and removes them; before that, look sees them.
func (y *yard) startAll(ctx context.Context, t *templates, n, workers int,
	make1 func(context.Context, *templates, int, netip.Addr) ([2]string, error), look func(ids [][2]string) error,
) (took taken, err error) {
	ids := make([][2]string, n)
	start := time.Now()
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	address := t.address
	for i := range n {
		own := address
		address = address.Prev()
		group.Go(func() (err error) {
			ids[i], err = make1(groupCtx, t, i, own)
			return err
		})
	}
	err = group.Wait()
	took.start = time.Since(start)
	if err == nil && look != nil {
		err = look(ids)
	}
	start = time.Now()
	err = errors.Join(err, y.removeRaw(ctx, ids, workers))
	took.remove = time.Since(start)
	time.Sleep(time.Second) // let the engine come to rest
	return took, err
}

// rawPod is what must be done at least: the sandbox, then the container that joins it.
func (y *yard) rawPod(ctx context.Context, t *templates, i int, address netip.Addr) (ids [2]string, err error) {
	sandbox, err := y.docker.ContainerCreate(ctx, t.sandbox.Config, t.sandbox.HostConfig, t.at(address), nil, fmt.Sprintf("podyard-bench-raw-%d-pod", i))
	if err != nil {
		return ids, err
	}
	ids[0] = sandbox.ID
	host, config := *t.app.HostConfig, *t.app.Config
	host.NetworkMode, host.IpcMode = container.NetworkMode("container:"+sandbox.ID), container.IpcMode("container:"+sandbox.ID)
	config.Hostname = ""
	app, err := y.docker.ContainerCreate(ctx, &config, &host, nil, nil, fmt.Sprintf("podyard-bench-raw-%d-app", i))
	if err != nil {
		return ids, err
	}
	ids[1] = app.ID
	if err := y.docker.ContainerStart(ctx, sandbox.ID, container.StartOptions{}); err != nil {
		return ids, err
	}
	return ids, y.docker.ContainerStart(ctx, app.ID, container.StartOptions{})
}

// at is an endpoint with an address in the pods' network.
func (t *templates) at(address netip.Addr) *network.NetworkingConfig {
	return &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
		t.network: {IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: address.String()}},
	}}
}

func (y *yard) removeRaw(ctx context.Context, ids [][2]string, workers int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for _, pair := range ids {
		for _, id := range []string{pair[1], pair[0]} {
			if id != "" {
				group.Go(func() error { return y.docker.ContainerRemove(ctx, id, container.RemoveOptions{Force: true}) })
			}
		}
	}
	return group.Wait()
}
