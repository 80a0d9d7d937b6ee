package e2e

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/podyard/podyard/e2e/engine"
	"github.com/podyard/podyard/status"
)

// host is a Docker host with a repository and a podyard that follows it.
type host struct {
	*testing.T
	instance string
	// engine is the host's own, or nil for the machine's.
	engine *engine.Engine
	// repo is the repository that the daemon follows, bare; work is a clone of it.
	repo, work, data string
	// commands is a directory with the program podyard of this host, for shells.
	commands string
	daemon   *exec.Cmd
	// program is the daemon's; empty for the one that all tests have.
	program string
	log     *logBuffer
	client  *status.Client
}

func newHost(t *testing.T) *host {
	t.Helper()
	var random [3]byte
	if _, err := rand.Read(random[:]); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	h := &host{T: t, instance: "e2e-" + hex.EncodeToString(random[:]), log: &logBuffer{},
		repo: filepath.Join(dir, "app.git"), work: filepath.Join(dir, "app"), data: filepath.Join(dir, "data")}
	h.client = status.NewClient(filepath.Join(h.data, "podyard.sock"))
	h.git(dir, "init", "--quiet", "--bare", "--initial-branch=main", h.repo)
	h.git(dir, "clone", "--quiet", h.repo, h.work)
	t.Cleanup(h.clean)
	return h
}

// logBuffer is read while the daemon writes.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// miscounted is what podyard down says of an old engine that has lost count of a network's endpoints, as it may when many pods come and
// go. The machine's own engine is not restarted under other tests: the network, which is empty, stays until it is.
const miscounted = "lost count of its endpoints: restart the engine"

// clean removes everything and says what was left, whether the test passed or not.
func (h *host) clean() {
	h.stop(syscall.SIGTERM)
	out, err := h.down()
	if strings.Contains(out, miscounted) && h.engine != nil {
		h.restartEngine(syscall.SIGTERM)
		out, err = h.down()
	}
	kinds := []string{"container", "network", "volume"}
	switch {
	case err != nil && strings.Contains(out, miscounted):
		h.Logf("an empty network is left: podyard down: %v\n%s", err, out)
		kinds = []string{"container", "volume"}
	case err != nil:
		h.Errorf("podyard down: %v\n%s", err, out)
	}
	for _, kind := range kinds {
		all := ""
		if kind == "container" {
			all = "--all"
		}
		left := h.run("docker", kind, "ls", "--quiet", all, "--filter", "label=podyard.dev/instance="+h.instance)
		if left != "" {
			h.Errorf("left on the engine: %s %s", kind, left)
		}
	}
	if h.engine != nil {
		if err := h.engine.Close(); err != nil {
			h.Errorf("end the engine: %v", err)
		}
	}
	if h.Failed() {
		h.Logf("the daemon's log:\n%s", h.log)
	}
}

func (h *host) down() (string, error) {
	out, err := h.command(binary, "down", "--volumes", "--data-dir", h.data, "--instance", h.instance).CombinedOutput()
	return string(out), err
}

// command is a command that talks to the host's engine.
func (h *host) command(name string, args ...string) *exec.Cmd {
	command := exec.Command(name, args...)
	if h.engine != nil {
		command.Env = append(os.Environ(), "DOCKER_HOST="+h.engine.Host())
	}
	return command
}

// start runs the daemon.
func (h *host) start(args ...string) {
	h.Helper()
	args = append([]string{"run", "--data-dir", h.data, "--instance", h.instance, "--repo", h.repo, "--listen", "127.0.0.1:0"}, args...)
	h.daemon = h.command(cmp.Or(h.program, binary), args...)
	h.daemon.Stdout, h.daemon.Stderr = h.log, h.log
	if err := h.daemon.Start(); err != nil {
		h.Fatal(err)
	}
	h.await("the daemon to answer", func() bool {
		_, err := h.client.Snapshot(h.Context())
		return err == nil
	})
}

// stop ends the daemon with a signal and waits for it.
func (h *host) stop(signal syscall.Signal) {
	if h.daemon == nil {
		return
	}
	_ = h.daemon.Process.Signal(signal) // it may have ended by itself
	_ = h.daemon.Wait()                 // the exit code is not what a test is about
	h.daemon = nil
}

// commit writes files (empty content removes one), commits and pushes them.
func (h *host) commit(subject string, files map[string]string) {
	h.Helper()
	for name, content := range files {
		path := filepath.Join(h.work, name)
		if content == "" {
			if err := os.Remove(path); err != nil {
				h.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			h.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			h.Fatal(err)
		}
	}
	h.git(h.work, "add", "--all")
	h.git(h.work, "commit", "--quiet", "--allow-empty", "--message", subject)
	h.push()
}

func (h *host) push() { h.git(h.work, "push", "--quiet", "origin", "HEAD:main") }

func (h *host) git(dir string, args ...string) {
	h.Helper()
	command := exec.Command("git", args...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=Tester", "GIT_AUTHOR_EMAIL=tester@example.com",
		"GIT_COMMITTER_NAME=Tester", "GIT_COMMITTER_EMAIL=tester@example.com")
	if out, err := command.CombinedOutput(); err != nil {
		h.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// run runs a command that must succeed and returns its trimmed output. Empty arguments are left out.
func (h *host) run(name string, args ...string) string {
	h.Helper()
	var given []string
	for _, a := range args {
		if a != "" {
			given = append(given, a)
		}
	}
	out, err := h.command(name, given...).CombinedOutput()
	if err != nil {
		h.Fatalf("%s %s: %v\n%s", name, strings.Join(given, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// podyard runs a command line and returns what it printed and its exit code.
func (h *host) podyard(args ...string) (string, int) {
	h.Helper()
	out, err := h.command(binary, append(args, "--data-dir", h.data)...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		h.Fatal(err)
	}
	code := 0
	if exit != nil {
		code = exit.ExitCode()
	}
	return string(out), code
}

// await asks every 20 ms for two minutes.
func (h *host) await(what string, done func() bool) {
	h.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !done() {
		if time.Now().After(deadline) {
			out, _ := h.podyard("status")
			h.Fatalf("waited in vain for %s; status:\n%s", what, out)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (h *host) snapshot() status.Snapshot {
	s, err := h.client.Snapshot(h.Context())
	if err != nil && !errors.Is(err, context.Canceled) {
		return status.Snapshot{}
	}
	return s
}

// approved ends the message of a commit that deletes much.
const approved = "\n\nPodyard-Approve: delete"

// awaitOutcome waits until the newest revision is that of a commit, with an outcome.
func (h *host) awaitOutcome(subject string, outcome status.Outcome) status.Revision {
	h.Helper()
	var found status.Revision
	h.await(fmt.Sprintf("commit %q to be %s", subject, outcome), func() bool {
		s := h.snapshot()
		if len(s.Revisions) == 0 || s.Revisions[0].Commit.Subject != subject {
			return false
		}
		found = s.Revisions[0]
		return found.Outcome == outcome
	})
	return found
}

// pods are the names of the pods whose name begins so.
func (h *host) pods(prefix string) []status.Pod {
	var out []status.Pod
	for _, p := range h.snapshot().Pods {
		if strings.HasPrefix(p.Name, prefix) {
			out = append(out, p)
		}
	}
	return out
}

// container is the engine's ID of the running container of a pod.
func (h *host) container(pod, name string) string {
	return h.run("docker", "ps", "--quiet", "--no-trunc", "--filter", "label=podyard.dev/instance="+h.instance,
		"--filter", "label=io.kubernetes.pod.name="+pod, "--filter", "label=io.kubernetes.container.name="+name)
}

// exec runs a command inside the main container of the first pod whose name begins so.
func (h *host) exec(prefix string, command ...string) (string, error) {
	pods := h.pods(prefix)
	if len(pods) == 0 {
		return "", fmt.Errorf("no pod %s", prefix)
	}
	id := h.container(pods[0].Name, "main")
	out, err := h.command("docker", append([]string{"exec", id}, command...)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}
