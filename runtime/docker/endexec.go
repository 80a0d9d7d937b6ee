package docker

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/container"
)

// The engine cannot end a command that it has begun in a container: a probe that ran out of time, or a session whose
// client went away, would run on for ever, where the kubelet's runtimes kill it (containerd
// internal/cri/server/container_execsync.go, CRI-O internal/oci/runtime_oci.go). So every command bears a mark in its
// environment, and what bears it is killed by a container of our own that joins the process namespace. The target needs no
// shell for that, and nothing but the Docker API is used. It costs the start of a container, but only when it is needed.

// markVariable is the name of the mark; the value is random.
const markVariable = "PODYARD_EXEC"

// Bounds of the killing: for how long a command may still end by itself, since its input was closed, and for how long the
// engine may take.
const (
	byItself   = 200 * time.Millisecond
	endingTime = time.Minute
)

func newMark() string { return markVariable + "=" + rand.Text() }

// endExec makes sure, in the background, that a command and what it has started do not outlive the interest in it.
func (e *Engine) endExec(containerID, execID, mark string) {
	if e.life.Err() != nil {
		return
	}
	e.work.Go(func() {
		ctx, cancel := context.WithTimeout(e.life, endingTime)
		defer cancel()
		sleep(ctx, byItself)
		found, err := e.cli.ContainerExecInspect(ctx, execID)
		if err != nil || !found.Running {
			return // it has ended, or its container has
		}
		if err := e.reap(ctx, containerID, mark); err != nil && ctx.Err() == nil {
			e.log.Warn("a command that nobody waits for runs on", "container", short(containerID), "err", err)
		}
	})
}

// reap runs the helper that kills what bears a mark, to its end.
func (e *Engine) reap(ctx context.Context, containerID, mark string) error {
	s := e.names.reaperSpec(e.ensured().infra, containerID, mark)
	made, err := e.cli.ContainerCreate(ctx, s.config, s.host, s.network, nil, s.name)
	if err != nil {
		return err
	}
	done, errs := e.cli.ContainerWait(ctx, made.ID, container.WaitConditionNextExit)
	if err := e.cli.ContainerStart(ctx, made.ID, container.StartOptions{}); err != nil {
		_ = e.remove(ctx, made.ID) // AutoRemove is for what has run
		return err
	}
	select {
	case end := <-done:
		if end.StatusCode != 0 {
			return fmt.Errorf("the helper's exit code is %d", end.StatusCode)
		}
		return nil
	case err := <-errs:
		return err
	}
}

// reaperSpec can read the environment of every process in the namespace, and kill; nothing else. Confined by AppArmor or
// SELinux it could not reach a process that is not.
func (n names) reaperSpec(infra, containerID, mark string) spec {
	return spec{
		name:   n.base() + "-reaper-" + mark[len(markVariable)+1:],
		config: &container.Config{Image: infra, Cmd: []string{"reap", mark}, Labels: n.labels(roleReaper), User: "0"},
		host: &container.HostConfig{
			PidMode: container.PidMode("container:" + containerID), NetworkMode: "none", AutoRemove: true, ReadonlyRootfs: true,
			CapDrop: []string{"ALL"}, CapAdd: []string{"KILL", "SYS_PTRACE"},
			SecurityOpt: []string{"apparmor=unconfined", "label=disable"},
			LogConfig:   container.LogConfig{Type: "none"},
		},
	}
}
