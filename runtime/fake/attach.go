package fake

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/podyard/podyard/runtime"
)

// Attach implements runtime.Streams. Only a program that Copies reads its input.
func (e *Engine) Attach(ctx context.Context, id string, options runtime.AttachOptions, stdout, stderr io.Writer) error {
	var page page
	err := e.do(ctx, "Attach", id, func() error {
		c, err := e.running(id)
		if ended := e.containers[id]; options.Logs && ended != nil && ended.state == runtime.Exited {
			c, err = ended, nil
		}
		if err == nil {
			page = read(c, 0)
		}
		return err
	})
	if err != nil {
		return err
	}
	if !options.Logs {
		page.lines = nil
	}
	c := page.container
	if c.config.TTY {
		stdout, stderr = terminal(stdout, stdout)
	}
	var input <-chan []byte
	if options.Stdin != nil && c.config.Stdin && c.program.Copies {
		input = chunks(ctx, options.Stdin)
	}
	for {
		if err := page.print(runtime.LogOptions{}, stdout, stderr); err != nil {
			return fmt.Errorf("attach: %w", err)
		}
		if page.ended {
			return nil
		}
		page.lines = nil
		select {
		case data, open := <-input:
			if !open {
				input = nil
				e.endInput(c)
			}
			if err := write(stdout, string(data)); err != nil {
				return fmt.Errorf("attach: %w", err)
			}
		case <-page.due:
			page = e.readOn(page)
		case <-page.done:
			page = e.readOn(page)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// endInput is the end of the input that is attached. A program that copies it ends, too, unless another may be attached.
func (e *Engine) endInput(c *container) {
	if c.config.StdinOnce {
		e.locked(func() { e.exit(c, 0, false) })
	}
}

// chunks hands on what is read until its end. The read that is under way when ctx ends is left alone.
func chunks(ctx context.Context, r io.Reader) <-chan []byte {
	out := make(chan []byte)
	go func() {
		defer close(out)
		for {
			data := make([]byte, 4096)
			n, err := r.Read(data)
			if n > 0 {
				select {
				case out <- data[:n]:
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	return out
}

// copyInput gives a command's input back until its end, or that of its container.
func copyInput(ctx context.Context, stdin io.Reader, stdout io.Writer, ended <-chan struct{}) error {
	input := chunks(ctx, stdin)
	for {
		select {
		case data, open := <-input:
			if !open {
				return nil
			}
			if err := write(stdout, string(data)); err != nil {
				return err
			}
		case <-ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// terminal ends lines as a terminal does.
func terminal(stdout, stderr io.Writer) (io.Writer, io.Writer) {
	return crlf{stdout}, crlf{stderr}
}

type crlf struct{ io.Writer }

func (c crlf) Write(data []byte) (int, error) {
	if c.Writer == nil {
		return len(data), nil
	}
	_, err := c.Writer.Write(bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n")))
	return len(data), err
}
