package engine

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/docker/docker/client"
)

// PathVariable names folders with other programs than the installed ones, as PATH does: dockerd, containerd and their
// companions of another version.
const PathVariable = "PODYARD_ENGINE_PATH"

// Engine is a Docker engine of one's own.
type Engine struct {
	dir    string
	cgroup string
	// init is the first process of the namespaces; with it everything in them ends. It lives as long as lifeline is open.
	init     *exec.Cmd
	lifeline io.Closer
	// ended is closed when dockerd has ended; nil before the first Start.
	ended chan struct{}
}

// initScript brings up the loopback interface, says so, and takes in orphans until its standard input ends: with us, if
// we are killed.
const initScript = `ip link set lo up && echo ready; exec 3<&0; cat <&3 & wait`

// New makes the namespaces, and a folder for all that the engine keeps.
func New() (*Engine, error) {
	dir, err := os.MkdirTemp("", "engine-") // short, since a socket's path may have 108 bytes
	if err != nil {
		return nil, err
	}
	e := &Engine{dir: dir, cgroup: "podyard-" + filepath.Base(dir)}
	e.init = exec.Command("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", initScript)
	if err := e.makeNamespaces(); err != nil {
		return nil, errors.Join(fmt.Errorf("make namespaces: %w", err), os.RemoveAll(dir))
	}
	return e, os.WriteFile(e.path("daemon.json"), []byte("{}\n"), 0o600)
}

func (e *Engine) makeNamespaces() error {
	ready, err := e.init.StdoutPipe()
	if err != nil {
		return err
	}
	if e.lifeline, err = e.init.StdinPipe(); err != nil {
		return err
	}
	if err := e.init.Start(); err != nil {
		return err
	}
	_, err = ready.Read(make([]byte, 8))
	return err
}

func (e *Engine) path(name string) string { return filepath.Join(e.dir, name) }

// Host is the engine's DOCKER_HOST. The socket can be reached from everywhere on the machine.
func (e *Engine) Host() string { return "unix://" + e.path("docker.sock") }

// Log is what the engine said.
func (e *Engine) Log() string {
	text, err := os.ReadFile(e.path("docker.log"))
	return string(text) + errorText(err)
}

func errorText(err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}

// Inside is a command in the engine's namespaces, which talks to the engine.
func (e *Engine) Inside(name string, args ...string) *exec.Cmd {
	// The child of unshare, and not unshare itself, is in the process namespace.
	command := exec.Command("nsenter", append([]string{"--target", e.first(), "--net", "--mount", "--pid", "--", name}, args...)...)
	command.Env = append(os.Environ(), "DOCKER_HOST="+e.Host())
	if other := os.Getenv(PathVariable); other != "" {
		command.Env = append(command.Env, "PATH="+other+":"+os.Getenv("PATH"))
	}
	return command
}

// first is the process ID of the first process in the namespaces.
func (e *Engine) first() string {
	pid := strconv.Itoa(e.init.Process.Pid)
	children, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	if fields := bytes.Fields(children); err == nil && len(fields) > 0 {
		return string(fields[0])
	}
	return "0" // nsenter says that there is no such process
}

// Start runs dockerd with more flags and waits until it answers.
func (e *Engine) Start(flags ...string) error {
	log, err := os.OpenFile(e.path("docker.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	own := []string{
		"--config-file", e.path("daemon.json"), "--data-root", e.path("root"), "--exec-root", e.path("exec"), "--pidfile", e.path("docker.pid"),
		"--host", e.Host(), "--cgroup-parent", "/" + e.cgroup, "--exec-opt", "native.cgroupdriver=cgroupfs",
	}
	daemon := e.Inside("dockerd", append(own, flags...)...)
	daemon.Stdout, daemon.Stderr = log, log
	if err := daemon.Start(); err != nil {
		return fmt.Errorf("start dockerd: %w", err)
	}
	e.ended = make(chan struct{})
	go func() {
		defer close(e.ended)
		_ = daemon.Wait() // its log says why
	}()
	return e.await()
}

// await asks every 10 ms for a minute.
func (e *Engine) await() error {
	cli, err := client.NewClientWithOpts(client.WithHost(e.Host()))
	if err != nil {
		return err
	}
	defer cli.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		_, err := cli.Ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-e.ended:
			return fmt.Errorf("dockerd ended:\n%s", e.Log())
		case <-ctx.Done():
			return fmt.Errorf("wait for dockerd: %w\n%s", err, e.Log())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Stop ends dockerd with a signal and returns when it is gone. What runs on it ends or goes on as dockerd's flags say.
func (e *Engine) Stop(signal syscall.Signal) error {
	pid, err := os.ReadFile(e.path("docker.pid"))
	if err != nil {
		return fmt.Errorf("stop dockerd: %w", err)
	}
	kill := e.Inside("kill", "-"+strconv.Itoa(int(signal)), strings.TrimSpace(string(pid)))
	if out, err := kill.CombinedOutput(); err != nil {
		return fmt.Errorf("stop dockerd: %w: %s", err, out)
	}
	<-e.ended
	return nil
}

// Kill sends SIGKILL to a process that runs on the engine.
func (e *Engine) Kill(pid int) error { return e.kill(fmt.Sprint(pid)) }

// KillParent sends SIGKILL to the parent of a process: to the shim, if that is the first process of a container.
func (e *Engine) KillParent(pid int) error {
	return e.kill(fmt.Sprintf("$(awk '{print $4}' /proc/%d/stat)", pid))
}

func (e *Engine) kill(which string) error {
	if out, err := e.Inside("sh", "-c", "kill -9 "+which).CombinedOutput(); err != nil {
		return fmt.Errorf("kill -9 %s: %w: %s", which, err, out)
	}
	return nil
}

// Close ends everything in the namespaces and removes what the engine left.
func (e *Engine) Close() error {
	_ = e.lifeline.Close()
	_ = e.init.Wait() // how it ends says nothing
	if e.ended != nil {
		<-e.ended
	}
	return errors.Join(e.removeCgroups(), os.RemoveAll(e.dir))
}

// removeCgroups removes the engine's groups in every hierarchy, the inner ones first. Processes that were killed a moment
// ago may still be in them.
func (e *Engine) removeCgroups() (err error) {
	for range 50 {
		if err = e.tryRemoveCgroups(); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

func (e *Engine) tryRemoveCgroups() error {
	var dirs []string
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		roots, err := filepath.Glob(pattern + e.cgroup)
		if err != nil {
			return err
		}
		for _, root := range roots {
			_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					dirs = append(dirs, path)
				}
				return nil
			})
		}
	}
	slices.SortFunc(dirs, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	for _, dir := range dirs {
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
