package docker

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/podyard/podyard/runtime"
)

// Exec implements runtime.Streams.
func (e *Engine) Exec(ctx context.Context, id string, options runtime.ExecOptions, stdout, stderr io.Writer) (int, error) {
	c, err := e.known(ctx, id, roleContainer)
	if err != nil {
		return 0, err
	}
	if !c.running {
		return 0, fmt.Errorf("exec in %s: it does not run", c.object())
	}
	first := &firstWords{w: stdout}
	code, err := e.command(ctx, id, options, first, stderr)
	if err == nil {
		err = first.end(code)
		code = shellCode(code, err)
	}
	return code, wrap("exec in", c.object(), err)
}

// noDetachKeys takes away the keys by which Docker lets go of a terminal, ctrl-p ctrl-q: a shell needs ctrl-p. The engine
// knows no way to have none, so these are some that nobody types.
const noDetachKeys = "ctrl-^,ctrl-_,ctrl-^,ctrl-_,ctrl-^,ctrl-_"

// exec runs a command without input.
func (e *Engine) exec(ctx context.Context, id string, command []string, stdout, stderr io.Writer) (int, error) {
	return e.command(ctx, id, runtime.ExecOptions{Command: command}, stdout, stderr)
}

// command runs a command in a container to its end. If ctx ends first, it returns at once, and the command and what it has
// started are killed.
func (e *Engine) command(ctx context.Context, id string, o runtime.ExecOptions, stdout, stderr io.Writer) (int, error) {
	mark := newMark()
	created, err := e.cli.ContainerExecCreate(ctx, id, container.ExecOptions{
		Cmd: o.Command, Tty: o.TTY, AttachStdin: o.Stdin != nil, AttachStdout: true, AttachStderr: true,
		DetachKeys: noDetachKeys, Env: []string{mark},
	})
	if err != nil {
		return 0, err
	}
	attached, err := e.cli.ContainerExecAttach(ctx, created.ID, container.ExecAttachOptions{Tty: o.TTY})
	if err != nil {
		e.endExec(id, created.ID, mark) // it may have been started all the same
		return 0, err
	}
	streams := streams{stdin: o.Stdin, stdout: stdout, stderr: stderr, tty: o.TTY}
	err = streams.copy(ctx, attached, o.Resize, func(ctx context.Context, size container.ResizeOptions) error {
		return e.cli.ContainerExecResize(ctx, created.ID, size)
	})
	var code int
	if err == nil {
		code, err = e.exitCode(ctx, created.ID)
	}
	if err != nil {
		e.endExec(id, created.ID, mark)
	}
	return code, err
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
