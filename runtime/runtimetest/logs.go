package runtimetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/podyard/podyard/runtime"
)

var logChecks = []Check{
	{Name: "stdout and stderr are kept apart", run: logsApart},
	{Name: "tail and since choose the last lines", run: logsChoose},
	{Name: "a log can be followed to the end of its container", run: logsFollow},
	{Name: "following a log ends with its context", run: logsCancel},
}

func (f *fixture) logs(id string, options runtime.LogOptions) (stdout, stderr string) {
	f.Helper()
	var out, errOut bytes.Buffer
	f.must(f.Runtime.Logs(f.ctx, id, options, &out, &errOut))
	return out.String(), errOut.String()
}

// says waits until a program has printed that, by which it tells that it heeds signals. A signal that comes before has
// still to do with the engine's own process.
func (f *fixture) says(id, text string) {
	f.Helper()
	f.until(fmt.Sprintf("the program says %q", text), func() bool {
		stdout, _ := f.logs(id, runtime.LogOptions{Tail: -1})
		return stdout == text
	})
}

func logsApart(f *fixture) {
	id := f.run(f.pod("web"), "main", Behaviour{Kind: Echo, Stdout: "to stdout", Stderr: "to stderr"})
	all := runtime.LogOptions{Tail: -1}
	f.until("both lines are in the log", func() bool {
		stdout, stderr := f.logs(id, all)
		return stdout == "to stdout\n" && stderr == "to stderr\n"
	})
	f.must(f.Runtime.StopContainer(f.ctx, id, 0))
	if stdout, stderr := f.logs(id, all); stdout != "to stdout\n" || stderr != "to stderr\n" {
		f.Errorf("after the end the log is %q and %q", stdout, stderr)
	}
}

func logsChoose(f *fixture) {
	id := f.run(f.pod("web"), "main", Behaviour{Kind: Count, Lines: 4, Every: 300 * time.Millisecond})
	f.exited(id)
	if stdout, _ := f.logs(id, runtime.LogOptions{Tail: 2}); stdout != "line 3\nline 4\n" {
		f.Errorf("the last two lines are %q", stdout)
	}
	if stdout, _ := f.logs(id, runtime.LogOptions{Tail: 0}); stdout != "" {
		f.Errorf("the last no lines are %q", stdout)
	}
	stamped, _ := f.logs(id, runtime.LogOptions{Tail: -1, Timestamps: true})
	times := f.timestamps(stamped)
	between := times[1].Add(times[2].Sub(times[1]) / 2)
	if stdout, _ := f.logs(id, runtime.LogOptions{Tail: -1, Since: between}); stdout != "line 3\nline 4\n" {
		f.Errorf("the lines since %s are %q; want those after the second; all are %q", between, stdout, stamped)
	}
	if stdout, _ := f.logs(id, runtime.LogOptions{Tail: 1, Since: between}); stdout != "line 4\n" {
		f.Errorf("the last line since %s is %q", between, stdout)
	}
}

// timestamps reads the RFC 3339 times in front of the four lines.
func (f *fixture) timestamps(log string) []time.Time {
	f.Helper()
	var out []time.Time
	for line := range strings.Lines(log) {
		stamp, _, _ := strings.Cut(line, " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		f.must(err)
		out = append(out, at)
	}
	if len(out) != 4 {
		f.Fatalf("the log has %d lines; want 4: %q", len(out), log)
	}
	return out
}

func logsFollow(f *fixture) {
	id := f.run(f.pod("web"), "main", Behaviour{Kind: Count, Lines: 4, Every: 250 * time.Millisecond})
	stdout, _ := f.logs(id, runtime.LogOptions{Tail: -1, Follow: true})
	if stdout != "line 1\nline 2\nline 3\nline 4\n" {
		f.Errorf("the log, followed, is %q", stdout)
	}
	f.exited(id) // the log may end an instant before the state says so
}

func logsCancel(f *fixture) {
	id := f.run(f.pod("web"), "main", Behaviour{Kind: Sleep})
	ctx, cancel := context.WithTimeout(f.ctx, 500*time.Millisecond)
	defer cancel()
	begin := time.Now()
	err := f.Runtime.Logs(ctx, id, runtime.LogOptions{Tail: -1, Follow: true}, io.Discard, io.Discard)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		f.Errorf("Logs says %v; want nothing or the context's error", err)
	}
	if took := time.Since(begin); took < 400*time.Millisecond || took > patience/2 {
		f.Errorf("Logs took %s; want the 500ms of its context", took)
	}
}
