package docker

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/docker/docker/api/types/container"
)

// Exec implements runtime.Streams.
func (e *Engine) Exec(ctx context.Context, id string, command []string, stdout, stderr io.Writer) (int, error) {
	c, err := e.known(ctx, id, roleContainer)
	if err != nil {
		return 0, err
	}
	if !c.running {
		return 0, fmt.Errorf("exec in %s: it does not run", c.object())
	}
	code, err := e.exec(ctx, id, command, stdout, stderr)
	return code, wrap("exec in", c.object(), err)
}

// exec runs a command in a container to its end. The engine cannot stop it: when ctx ends first, it is left behind.
func (e *Engine) exec(ctx context.Context, id string, command []string, stdout, stderr io.Writer) (int, error) {
	created, err := e.cli.ContainerExecCreate(ctx, id, container.ExecOptions{Cmd: command, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return 0, err
	}
	attached, err := e.cli.ContainerExecAttach(ctx, created.ID, container.ExecAttachOptions{})
	if err != nil {
		return 0, err
	}
	defer attached.Close()
	stop := context.AfterFunc(ctx, attached.Close)
	defer stop()
	if err := split(attached.Reader, false, stdout, stderr); err != nil || ctx.Err() != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return 0, err
	}
	return e.exitCode(ctx, created.ID)
}

// exitCode waits for the engine to note the end, which may come a moment after the end of the output.
func (e *Engine) exitCode(ctx context.Context, execID string) (int, error) {
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		found, err := e.cli.ContainerExecInspect(ctx, execID)
		if err != nil {
			return 0, err
		}
		if !found.Running {
			return found.ExitCode, nil
		}
		sleep(ctx, wait)
		if err := ctx.Err(); err != nil {
			return 0, err
		}
	}
}
