package docker

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"golang.org/x/sync/errgroup"

	"github.com/podyard/podyard/runtime"
)

func TestZZBench(t *testing.T) {
	e := ensuredEngine(t)
	ref := busybox(t, e.cli)
	const n = 20
	ours := func(round int) time.Duration {
		begin := time.Now()
		g, ctx := errgroup.WithContext(t.Context())
		g.SetLimit(4)
		for i := range n {
			g.Go(func() error {
				pod := testPod(fmt.Sprintf("w%d-%d", round, i))
				id, err := e.CreateSandbox(ctx, sandboxOf(pod))
				if err != nil {
					return err
				}
				var c string
				h, hctx := errgroup.WithContext(ctx)
				h.Go(func() error { return e.StartSandbox(hctx, id) })
				h.Go(func() (err error) { c, err = e.CreateContainer(hctx, id, sleeper(ref)); return })
				if err := h.Wait(); err != nil {
					return err
				}
				return e.StartContainer(ctx, c)
			})
		}
		must(t, g.Wait())
		return time.Since(begin)
	}
	raw := func(round int) time.Duration {
		begin := time.Now()
		g, ctx := errgroup.WithContext(t.Context())
		g.SetLimit(4)
		for i := range n {
			g.Go(func() error {
				s, err := e.cli.ContainerCreate(ctx, &container.Config{Image: ref, Cmd: []string{"sleep", "100000"}, Labels: map[string]string{labelInstance: e.options.Instance}},
					&container.HostConfig{NetworkMode: container.NetworkMode(e.names.network())}, nil, nil, fmt.Sprintf("raw-%s-%d-%d", e.options.Instance, round, i))
				if err != nil {
					return err
				}
				if err := e.cli.ContainerStart(ctx, s.ID, container.StartOptions{}); err != nil {
					return err
				}
				c, err := e.cli.ContainerCreate(ctx, &container.Config{Image: ref, Cmd: []string{"sleep", "100000"}, Labels: map[string]string{labelInstance: e.options.Instance}},
					&container.HostConfig{NetworkMode: container.NetworkMode("container:" + s.ID)}, nil, nil, fmt.Sprintf("rawc-%s-%d-%d", e.options.Instance, round, i))
				if err != nil {
					return err
				}
				return e.cli.ContainerStart(ctx, c.ID, container.StartOptions{})
			})
		}
		must(t, g.Wait())
		return time.Since(begin)
	}
	clear := func() {
		list, _ := e.cli.ContainerList(t.Context(), container.ListOptions{All: true, Filters: e.ours()})
		g, _ := errgroup.WithContext(t.Context())
		g.SetLimit(4)
		for _, c := range list {
			if c.Labels[labelRole] == roleHolder || c.Labels[labelRole] == roleAgent {
				continue
			}
			g.Go(func() error { return e.cli.ContainerRemove(context.Background(), c.ID, container.RemoveOptions{Force: true}) })
		}
		_ = g.Wait()
	}
	_ = runtime.Running
	for round := range 4 {
		a := ours(round)
		clear()
		b := raw(round)
		clear()
		t.Logf("ours %v raw %v ratio %.2f", a, b, float64(a)/float64(b))
	}
}
