package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/versions"
)

// shape is a way to make a pod of one container on an engine.
type shape struct {
	name string
	// make is what starts one.
	make func(context.Context, *templates, int, netip.Addr) ([2]string, error)
}

func (y *yard) shapes() []shape {
	out := []shape{
		{"single container", y.rawSingle},
		{"sandbox and container", func(ctx context.Context, t *templates, i int, a netip.Addr) ([2]string, error) {
			return y.rawPod(ctx, t.grouped(""), i, a)
		}},
	}
	if versions.GreaterThanOrEqualTo(y.docker.ClientVersion(), "1.43") {
		out = append(out, shape{"the same with one shim", func(ctx context.Context, t *templates, i int, a netip.Addr) ([2]string, error) {
			return y.rawPod(ctx, t.grouped("podyard-bench-"+strconv.Itoa(i)), i, a)
		}})
	}
	return out
}

// grouped are the templates with one shim for all containers of a group, or, without a group, with one for each.
func (t *templates) grouped(group string) *templates {
	var annotations map[string]string
	if group != "" {
		annotations = map[string]string{"io.containerd.runc.v2.group": group}
	}
	out := *t
	sandbox, app := *t.sandbox.HostConfig, *t.app.HostConfig
	sandbox.Annotations, app.Annotations = annotations, annotations
	out.sandbox.ContainerJSONBase, out.app.ContainerJSONBase = withHost(t.sandbox, &sandbox), withHost(t.app, &app)
	return &out
}

func withHost(c container.InspectResponse, host *container.HostConfig) *container.ContainerJSONBase {
	base := *c.ContainerJSONBase
	base.HostConfig = host
	return &base
}

// rawSingle is a container that owns its network. It could not keep its address, its name server or its volumes in memory
// when it restarts.
func (y *yard) rawSingle(ctx context.Context, t *templates, i int, address netip.Addr) (ids [2]string, err error) {
	host := *t.app.HostConfig
	host.NetworkMode, host.IpcMode, host.Annotations = t.sandbox.HostConfig.NetworkMode, "", nil
	created, err := y.docker.ContainerCreate(ctx, t.app.Config, &host, t.at(address), nil, fmt.Sprintf("podyard-bench-raw-%d", i))
	if err != nil {
		return ids, err
	}
	ids[0] = created.ID
	return ids, y.docker.ContainerStart(ctx, created.ID, container.StartOptions{})
}

// cost measures what n pods of each shape take, in turn.
func (y *yard) cost(ctx context.Context, n, rounds int) error {
	_, t, err := y.byCommit(ctx, 1, "cost")
	if err != nil {
		return err
	}
	shapes := y.shapes()
	took, private, pss := make([][]time.Duration, len(shapes)), make([][]int, len(shapes)), make([][]int, len(shapes))
	for round := range rounds {
		for turn := range shapes {
			i := (turn + round) % len(shapes)
			d, err := y.startAll(ctx, t, n, 8, shapes[i].make, func(ids [][2]string) error {
				used, err := y.memory(ctx, ids)
				private[i], pss[i] = append(private[i], used.private/n), append(pss[i], used.pss/n)
				return err
			})
			if err != nil {
				return err
			}
			took[i] = append(took[i], d.start)
		}
	}
	fmt.Printf("\nwhat a pod of one container costs the engine, %d at a time, %d rounds, load %s\n", n, rounds, load())
	fmt.Printf("%-24s %9s %16s %16s\n", "", "start all", "private memory", "proportional")
	for i, s := range shapes {
		fmt.Printf("%-24s %8.2fs %12d KiB %12d KiB\n", s.name, median(took[i]).Seconds(), median(private[i]), median(pss[i]))
	}
	return nil
}

// footprint is the memory of processes in KiB: what is theirs alone, and with their share of what several use.
type footprint struct{ private, pss int }

// memory is that of the containers' first processes and of their shims, each shim once. The engine must be on this machine.
func (y *yard) memory(ctx context.Context, ids [][2]string) (footprint, error) {
	pids := map[int]bool{}
	for _, pair := range ids {
		for _, id := range pair {
			if id == "" {
				continue
			}
			found, err := y.docker.ContainerInspect(ctx, id)
			if err != nil {
				return footprint{}, err
			}
			shim, err := parent(found.State.Pid)
			if err != nil {
				return footprint{}, err
			}
			pids[found.State.Pid], pids[shim] = true, true
		}
	}
	var sum footprint
	for pid := range maps.Keys(pids) {
		one, err := footprintOf(pid)
		if err != nil {
			return footprint{}, err
		}
		sum.private, sum.pss = sum.private+one.private, sum.pss+one.pss
	}
	return sum, nil
}

func parent(pid int) (int, error) {
	return procNumber(fmt.Sprintf("/proc/%d/status", pid), "PPid:")
}

func footprintOf(pid int) (f footprint, err error) {
	path := fmt.Sprintf("/proc/%d/smaps_rollup", pid)
	clean, err1 := procNumber(path, "Private_Clean:")
	dirty, err2 := procNumber(path, "Private_Dirty:")
	pss, err3 := procNumber(path, "Pss:")
	return footprint{clean + dirty, pss}, errors.Join(err1, err2, err3)
}

// procNumber is the number after a word that begins a line.
func procNumber(path, word string) (int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == word {
			return strconv.Atoi(fields[1])
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, word)
}

func median[T interface{ ~int | ~int64 }](list []T) T {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}
