package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"

	"github.com/podyard/podyard/runtime"
)

// drain is for how long the last output of a container that has ended may take to arrive.
const drain = 2 * time.Second

// Attach implements runtime.Streams. With StdinOnce the engine closes the container's input at the end of ours; else it
// would close the attachment, and is not told. Docker's own keys, ctrl-p ctrl-q, let go of a terminal.
func (e *Engine) Attach(ctx context.Context, id string, options runtime.AttachOptions, stdout, stderr io.Writer) error {
	c, err := e.known(ctx, id, roleContainer)
	if err != nil {
		return err
	}
	inspected, err := e.cli.ContainerInspect(ctx, id)
	if err != nil {
		return wrap("attach to", c.object(), err)
	}
	switch state := inspected.State; {
	case state.Status == container.StateExited && options.Logs:
		return e.Logs(ctx, id, runtime.LogOptions{Tail: -1}, stdout, stderr)
	case !state.Running:
		return fmt.Errorf("attach to %s: it does not run", c.object())
	}
	attached, err := e.cli.ContainerAttach(ctx, id, container.AttachOptions{
		Stream: true, Stdin: options.Stdin != nil, Stdout: true, Stderr: true, Logs: options.Logs,
	})
	if err != nil {
		return wrap("attach to", c.object(), err)
	}
	// An engine does not end the stream of a container that had ended already when it was asked.
	watch, stop := context.WithCancel(ctx)
	defer stop()
	go e.closeAtEnd(watch, id, attached)
	streams := streams{stdin: options.Stdin, stdout: stdout, stderr: stderr, tty: c.tty}
	streams.keepInput = c.tty || !inspected.Config.StdinOnce
	err = streams.copy(ctx, attached, options.Resize, func(ctx context.Context, size container.ResizeOptions) error {
		return e.cli.ContainerResize(ctx, id, size)
	})
	return wrap("attach to", c.object(), err)
}

// closeAtEnd closes a connection soon after its container has ended.
func (e *Engine) closeAtEnd(ctx context.Context, id string, attached types.HijackedResponse) {
	_ = e.waitFor(ctx, id, container.WaitConditionNotRunning)
	sleep(ctx, drain)
	if ctx.Err() == nil {
		attached.Close()
	}
}

// streams are what is copied between a caller and a process.
type streams struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	tty            bool
	// keepInput leaves the end of stdin untold.
	keepInput bool
}

// copy returns when the process has closed its output, or ctx has ended. A read of stdin may be under way still.
func (s streams) copy(ctx context.Context, attached types.HijackedResponse, sizes <-chan runtime.TerminalSize, resize func(context.Context, container.ResizeOptions) error) error {
	defer attached.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, attached.Close)()
	if s.stdin != nil {
		go func() {
			// Whatever ends the input, the process hears no more.
			_, _ = io.Copy(attached.Conn, s.stdin)
			if !s.keepInput {
				_ = attached.CloseWrite()
			}
		}()
	}
	if s.tty {
		go follow(ctx, sizes, resize)
	}
	err := split(attached.Reader, s.tty, s.stdout, s.stderr)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, net.ErrClosed) {
		return nil // closed at the end of the container
	}
	return err
}

// Pauses before another attempt to set a terminal's size: the engine refuses until the process has started.
const (
	firstResize = 10 * time.Millisecond
	lastResize  = 500 * time.Millisecond
)

// follow makes a terminal as large as the latest size says.
func follow(ctx context.Context, sizes <-chan runtime.TerminalSize, resize func(context.Context, container.ResizeOptions) error) {
	var wanted container.ResizeOptions
	var again <-chan time.Time
	wait := firstResize
	for {
		select {
		case <-ctx.Done():
			return
		case size, open := <-sizes:
			if !open {
				sizes = nil // the last one counts
				continue
			}
			wanted, wait = container.ResizeOptions{Width: uint(size.Width), Height: uint(size.Height)}, firstResize
		case <-again:
		}
		again = nil
		if resize(ctx, wanted) != nil {
			again = time.After(wait)
			wait = min(2*wait, lastResize)
		}
	}
}
