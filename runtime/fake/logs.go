package fake

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/podyard/podyard/runtime"
)

// Logs implements runtime.Streams. It tells of the container's latest start.
func (e *Engine) Logs(ctx context.Context, id string, options runtime.LogOptions, stdout, stderr io.Writer) error {
	var page page
	err := e.do(ctx, "Logs", id, func() error {
		c := e.containers[id]
		if c == nil {
			return runtime.ErrNotFound
		}
		page = read(c, 0)
		return nil
	})
	if err != nil {
		return err
	}
	page.lines = choose(page, options)
	for {
		if err := page.print(options, stdout, stderr); err != nil {
			return fmt.Errorf("logs: %w", err)
		}
		if !options.Follow || page.ended {
			return nil
		}
		if err := page.wait(ctx); err != nil {
			return err
		}
		page = e.readOn(page)
	}
}

// page is what one look at a container's output found.
type page struct {
	container *container
	lines     []Line
	started   time.Time
	// next is the index of the first line not yet printed by the program, due when it will be; nil if there is none.
	next  int
	due   <-chan time.Time
	ended bool
	done  <-chan struct{}
}

func (e *Engine) readOn(p page) page {
	e.mu.Lock()
	defer e.mu.Unlock()
	return read(p.container, p.next)
}

// read takes the lines from an index on that the program has printed by now, or had when it ended.
func read(c *container, from int) page {
	p := page{container: c, started: c.started, next: from, done: c.done, ended: c.state != runtime.Running}
	if c.run == 0 {
		return p
	}
	age := now().Sub(c.started)
	if p.ended {
		age = c.finished.Sub(c.started)
	}
	for p.next < len(c.program.Output) && c.program.Output[p.next].After <= age {
		p.next++
	}
	p.lines = c.program.Output[from:p.next]
	if p.next < len(c.program.Output) {
		p.due = time.After(c.program.Output[p.next].After - age)
	}
	return p
}

// choose applies Since, then Tail, to what there is at first; what comes later is all wanted.
func choose(p page, options runtime.LogOptions) []Line {
	var out []Line
	for _, line := range p.lines {
		if !p.started.Add(line.After).Before(options.Since) {
			out = append(out, line)
		}
	}
	if options.Tail >= 0 && len(out) > options.Tail {
		out = out[len(out)-options.Tail:]
	}
	return out
}

func (p page) print(options runtime.LogOptions, stdout, stderr io.Writer) error {
	for _, line := range p.lines {
		to, text := stdout, line.Text+"\n"
		if line.Stderr {
			to = stderr
		}
		if options.Timestamps {
			text = p.started.Add(line.After).Format(time.RFC3339Nano) + " " + text
		}
		if err := write(to, text); err != nil {
			return err
		}
	}
	return nil
}

// wait returns at the next line, at the end of the container, or with the error of ctx.
func (p page) wait(ctx context.Context) error {
	select {
	case <-p.due:
		return nil
	case <-p.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
