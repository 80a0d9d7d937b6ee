package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/podyard/podyard/status"
)

// follow prints how a revision fares until it is ready, and returns it then; that it fails is an error. On a terminal it is
// one line that changes, elsewhere a line for each change.
func follow(ctx context.Context, client *status.Client, made status.Revision, out io.Writer) (status.Revision, error) {
	changes, err := client.Watch(ctx)
	if err != nil {
		return made, err
	}
	line := newProgress(out)
	defer line.end()
	for {
		snapshot, err := client.Snapshot(ctx)
		if err != nil {
			return made, err
		}
		for _, r := range snapshot.Revisions {
			if r.Number == made.Number && r.Outcome != status.Applying {
				return r, ended(r)
			}
		}
		if len(snapshot.Sources) > 0 {
			line.show(snapshot.Sources[0].State)
		}
		select {
		case <-ctx.Done():
			return made, ctx.Err()
		case _, open := <-changes:
			if !open {
				return made, status.ErrNotRunning
			}
		}
	}
}

// ended is an error unless a revision ended well.
func ended(r status.Revision) error {
	if r.Outcome != status.Succeeded {
		return fmt.Errorf("%s %s: %s", r.Name(), r.Outcome, r.Message)
	}
	return nil
}

// progress is a line on a terminal, or a line a change.
type progress struct {
	out      io.Writer
	terminal bool
	last     string
}

func newProgress(out io.Writer) *progress {
	file, ok := out.(*os.File)
	return &progress{out: out, terminal: ok && term.IsTerminal(int(file.Fd()))}
}

func (p *progress) show(text string) {
	if text == p.last {
		return
	}
	p.last = text
	if p.terminal {
		fmt.Fprintf(p.out, "\r\x1b[K%s", text)
	} else {
		fmt.Fprintln(p.out, text)
	}
}

// end leaves the terminal's line empty.
func (p *progress) end() {
	if p.terminal && p.last != "" {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
