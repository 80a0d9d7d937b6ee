package docker

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/podyard/podyard/runtime"
)

// Logs implements runtime.Streams.
func (e *Engine) Logs(ctx context.Context, id string, options runtime.LogOptions, stdout, stderr io.Writer) error {
	c, err := e.known(ctx, id, roleContainer)
	if err != nil {
		return err
	}
	stream, err := e.cli.ContainerLogs(ctx, id, logOptions(options))
	if err != nil {
		return wrap("read the log of", c.object(), err)
	}
	defer stream.Close()
	if err := split(stream, c.tty, stdout, stderr); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return wrap("read the log of", c.object(), err)
	}
	return ctx.Err()
}

func logOptions(o runtime.LogOptions) container.LogsOptions {
	out := container.LogsOptions{ShowStdout: true, ShowStderr: true, Follow: o.Follow, Timestamps: o.Timestamps, Tail: "all"}
	if o.Tail >= 0 {
		out.Tail = strconv.Itoa(o.Tail)
	}
	if !o.Since.IsZero() {
		out.Since = fmt.Sprintf("%d.%09d", o.Since.Unix(), o.Since.Nanosecond())
	}
	return out
}

// split copies the two streams that Docker sends as one. With a terminal there is only one.
func split(stream io.Reader, tty bool, stdout, stderr io.Writer) error {
	if stdout == nil {
		stdout = io.Discard
	}
	if stderr == nil {
		stderr = io.Discard
	}
	var err error
	if tty {
		_, err = io.Copy(stdout, stream)
	} else {
		_, err = stdcopy.StdCopy(stdout, stderr, stream)
	}
	return err
}
