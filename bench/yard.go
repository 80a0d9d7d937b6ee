package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/docker/docker/client"

	"github.com/podyard/podyard/status"
)

// Names of this run: another one beside it has its own.
var (
	instance = fmt.Sprintf("podyard-bench-%d", os.Getpid())
	image    = fmt.Sprintf("podyard-bench:%d", os.Getpid())
)

// yard is a daemon with a repository.
type yard struct {
	dir, binary string
	daemon      *exec.Cmd
	status      *status.Client
	docker      *client.Client
	commits     int
	// client is the container from which the data plane is measured.
	client string
}

// newYard builds podyard, makes an image of busybox, and starts the daemon on an empty application.
func newYard(ctx context.Context) (*yard, error) {
	dir, err := os.MkdirTemp("", "podyard-bench-")
	if err != nil {
		return nil, err
	}
	y := &yard{dir: dir, binary: filepath.Join(dir, "podyard"), status: status.NewClient(filepath.Join(dir, "data", "podyard.sock"))}
	if y.docker, err = client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation()); err != nil {
		return nil, err
	}
	steps := [][]string{
		{"env", "CGO_ENABLED=0", "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", y.binary, "./cmd/podyard"},
		{"env", "CGO_ENABLED=0", "go", "build", "-trimpath", "-o", filepath.Join(dir, "root/bin/bench"), "./bench"},
		{"sh", "-c", "mkdir -p " + dir + "/root/bin && cp /bin/busybox " + dir + "/root/bin/ && ln -s busybox " + dir + "/root/bin/sleep && echo ok > " + dir + "/root/index.html && tar -C " + dir + "/root -c . | docker import - " + image},
		{"git", "init", "--quiet", "--initial-branch=main", y.path("app")},
	}
	for _, s := range steps {
		if out, err := exec.CommandContext(ctx, s[0], s[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", s[0], err, out)
		}
	}
	if err := y.commit(ctx, 0, ""); err != nil {
		return nil, err
	}
	return y, y.start(ctx)
}

func (y *yard) path(name string) string { return filepath.Join(y.dir, name) }

func (y *yard) start(ctx context.Context) error {
	y.daemon = exec.Command(y.binary, "run", "--data-dir", y.path("data"), "--instance", instance, "--repo", y.path("app"), "--listen", "", "--max-deletions", "100")
	y.daemon.Stderr = os.Stderr
	if os.Getenv("BENCH_VERBOSE") == "" {
		y.daemon.Stderr = nil
	}
	if err := y.daemon.Start(); err != nil {
		return err
	}
	return y.awaitReady(ctx)
}

func (y *yard) clean() {
	if y.daemon != nil {
		_ = y.daemon.Process.Signal(syscall.SIGTERM)
		_ = y.daemon.Wait()
	}
	if out, err := exec.Command(y.binary, "down", "--volumes", "--data-dir", y.path("data"), "--instance", instance).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "podyard down: %v: %s\n", err, out)
	}
	_ = exec.Command("docker", "rmi", "--force", image).Run()
	_ = os.RemoveAll(y.dir)
}

const manifest = `apiVersion: apps/v1
kind: Deployment
metadata: {name: bench}
spec:
  replicas: %d
  strategy: {type: Recreate}
  selector: {matchLabels: {app: bench}}
  template:
    metadata: {labels: {app: bench, run: "%s"}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: "%s", command: [sleep, "100000"]}]
`

// commit asks for n pods.
func (y *yard) commit(ctx context.Context, n int, run string) error {
	return y.commitText(ctx, fmt.Sprintf(manifest, n, run, image))
}

func (y *yard) commitText(ctx context.Context, text string) error {
	y.commits++
	text += fmt.Sprintf("# %d\n", y.commits)
	if err := os.WriteFile(y.path("app/bench.yaml"), []byte(text), 0o644); err != nil {
		return err
	}
	for _, args := range [][]string{{"add", "--all"}, {"commit", "--quiet", "--message", y.subject()}} {
		c := exec.CommandContext(ctx, "git", args...)
		c.Dir = y.path("app")
		c.Env = append(os.Environ(), "GIT_AUTHOR_NAME=bench", "GIT_AUTHOR_EMAIL=bench@example.com", "GIT_COMMITTER_NAME=bench", "GIT_COMMITTER_EMAIL=bench@example.com")
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w: %s", args[0], err, out)
		}
	}
	return nil
}

func (y *yard) subject() string { return fmt.Sprintf("commit %d", y.commits) }

// awaitReady asks every 10 ms until the newest commit is ready.
func (y *yard) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		list, err := y.status.Revisions(ctx, 0, 1)
		if err != nil && !errors.Is(err, status.ErrNotRunning) {
			return err
		}
		if len(list) > 0 && list[0].Commit.Subject == y.subject() && list[0].Outcome == status.Succeeded {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("%s is not ready after three minutes", y.subject())
}

// empty removes all pods and waits until the engine has none.
func (y *yard) empty(ctx context.Context) error {
	if err := y.commit(ctx, 0, ""); err != nil {
		return err
	}
	if err := y.awaitReady(ctx); err != nil {
		return err
	}
	return y.awaitPods(ctx, 0)
}

func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:2], " ")
}
