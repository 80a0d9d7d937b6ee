package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/podyard/podyard/status"
)

// follow prints how a revision fares until it is ready, and is an error when it fails: on a terminal one line that changes,
// elsewhere a line for each change.
func follow(ctx context.Context, client *status.Client, number uint64, out io.Writer) error {
	changes, err := client.Watch(ctx)
	if err != nil {
		return err
	}
	line := newProgress(out)
	defer line.end()
	for {
		snapshot, err := client.Snapshot(ctx)
		if err != nil {
			return err
		}
		if done, err := judge(snapshot, number); done || err != nil {
			return err
		}
		if len(snapshot.Sources) > 0 {
			line.show(snapshot.Sources[0].State)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case _, open := <-changes:
			if !open {
				return status.ErrNotRunning
			}
		}
	}
}

// judge tells whether a revision has ended well; an error says how it ended otherwise.
func judge(snapshot status.Snapshot, number uint64) (done bool, err error) {
	for _, r := range snapshot.Revisions {
		if r.Number != number || r.Outcome == status.Applying {
			continue
		}
		if r.Outcome != status.Succeeded {
			return true, fmt.Errorf("%s %s: %s", r.Name(), r.Outcome, r.Message)
		}
		return true, nil
	}
	return false, nil
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
