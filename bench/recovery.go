package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"github.com/podyard/podyard/e2e/engine"
	"github.com/podyard/podyard/status"
)

// recoverable is how many pods serve while they are harmed.
const recoverable = 10

// recovery measures how long pods and their Service do not answer, on an engine of its own that may be killed.
func recovery(ctx context.Context) error {
	for _, flags := range [][]string{nil, {"--live-restore"}} {
		if err := recoverWith(ctx, flags); err != nil {
			return fmt.Errorf("recovery: %w", err)
		}
	}
	return nil
}

func recoverWith(ctx context.Context, flags []string) (err error) {
	own, err := engine.New()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, own.Close()) }()
	if err := own.Start(flags...); err != nil {
		return err
	}
	if err := os.Setenv("DOCKER_HOST", own.Host()); err != nil { // for all that follows
		return err
	}
	y, err := newYard(ctx)
	if err != nil {
		return err
	}
	defer y.clean()
	if err := y.commitText(ctx, serving(recoverable)); err != nil {
		return err
	}
	if err := y.awaitReady(ctx); err != nil {
		return err
	}
	fmt.Printf("\nrecovery of %d pods and their Service, dockerd %s, load %s\n", recoverable, strings.Join(append([]string{"without flags"}, flags...)[len(flags):], " "), load())
	for _, h := range harms(own, flags) {
		if err := y.recoverFrom(ctx, own, h); err != nil {
			return fmt.Errorf("%s: %w", h.name, err)
		}
	}
	return nil
}

// harm is something that happens to the engine or to what runs on it.
type harm struct {
	name string
	do   func(ctx context.Context, y *yard) error
}

func harms(own *engine.Engine, flags []string) []harm {
	kill := func(label string) func(context.Context, *yard) error {
		return func(ctx context.Context, y *yard) error { return y.killFirst(ctx, own, label) }
	}
	restart := func(signal syscall.Signal) func(context.Context, *yard) error {
		return func(context.Context, *yard) error {
			if err := own.Stop(signal); err != nil {
				return err
			}
			return own.Start(flags...)
		}
	}
	return []harm{
		{"kill -9 of an app container", kill("io.kubernetes.container.name=main")},
		{"kill -9 of a sandbox", kill("podyard.dev/role=sandbox")},
		{"kill -9 of the gateway's agent", kill("podyard.dev/role=gateway-agent")},
		{"kill -9 of the gateway's holder", kill("podyard.dev/role=gateway-holder")},
		{"restart of the engine", restart(syscall.SIGTERM)},
		{"kill -9 and start of the engine", restart(syscall.SIGKILL)},
		{"restart of the engine while the daemon is away", func(ctx context.Context, y *yard) error {
			if err := y.daemon.Process.Kill(); err != nil {
				return err
			}
			_ = y.daemon.Wait() // killed
			if err := restart(syscall.SIGTERM)(ctx, y); err != nil {
				return err
			}
			return y.start(ctx)
		}},
	}
}

// killFirst kills the first process of some running container with a label.
func (y *yard) killFirst(ctx context.Context, own *engine.Engine, label string) error {
	list, err := y.docker.ContainerList(ctx, container.ListOptions{Filters: filters.NewArgs(filters.Arg("label", label))})
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return fmt.Errorf("no container with label %s runs", label)
	}
	found, err := y.docker.ContainerInspect(ctx, list[len(list)-1].ID)
	if err != nil {
		return err
	}
	return own.Kill(found.State.Pid)
}

// recoverFrom does harm and prints how long not all addresses answered, which must stay the same.
func (y *yard) recoverFrom(ctx context.Context, own *engine.Engine, h harm) error {
	before, err := y.addresses(ctx)
	if err != nil {
		return err
	}
	ready := func() bool { return len(y.readyPods(ctx)) == recoverable }
	out, err := own.Outage(slices.Collect(maps.Values(before)), func() error { return h.do(ctx, y) }, ready)
	if err != nil {
		return err
	}
	after, err := y.addresses(ctx)
	if err != nil {
		return err
	}
	if !maps.Equal(before, after) {
		return fmt.Errorf("addresses were %v and are %v", before, after)
	}
	fmt.Printf("%-48s %6.2f s\n", h.name, out.Seconds())
	return nil
}

// readyPods are the names and addresses of pods that are ready.
func (y *yard) readyPods(ctx context.Context) map[string]string {
	out := map[string]string{}
	s, err := y.status.Snapshot(ctx)
	if err != nil {
		return out // the daemon is away
	}
	for _, p := range s.Pods {
		if p.Health == status.Ready {
			out[p.Name] = p.IP
		}
	}
	return out
}

// addresses are those of the pods and of their Service, by name.
func (y *yard) addresses(ctx context.Context) (map[string]string, error) {
	out := y.readyPods(ctx)
	list, err := y.docker.ContainerList(ctx, container.ListOptions{Filters: filters.NewArgs(filters.Arg("label", "io.kubernetes.container.name=main"))})
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errors.New("no container runs")
	}
	said, err := exec.CommandContext(ctx, "docker", "exec", list[0].ID, "busybox", "nslookup", "bench.default.svc.cluster.local").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("look up the Service: %w: %s", err, said)
	}
	fields := strings.Fields(string(said))
	out["Service"] = fields[len(fields)-1]
	return out, nil
}

func serving(n int) string {
	text := fmt.Sprintf(manifest, n, "serving", image)
	text = strings.Replace(text, "command: [sleep, \"100000\"]", "command: [busybox, httpd, -f, -p, \"80\", -h, /], readinessProbe: {tcpSocket: {port: 80}, periodSeconds: 1}", 1)
	return text + `---
apiVersion: v1
kind: Service
metadata: {name: bench}
spec: {selector: {app: bench}, ports: [{port: 80}]}
`
}
