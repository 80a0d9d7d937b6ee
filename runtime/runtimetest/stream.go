package runtimetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

var streamChecks = []Check{
	{Name: "a command reads its input to the end", run: execInput},
	{Name: "a command that ends does not wait for its input", run: execInputLeft},
	{Name: "a command with a terminal writes everything to stdout", run: execTerminal},
	{Name: "a command ends with its context", run: execCancel},
	{Name: "what a container writes can be attached to, to its end", run: attachOutput},
	{Name: "attaching ends with its context, and the container runs on", run: attachCancel},
	{Name: "stdinOnce ends the input with the first who is attached", run: attachOnce},
	{Name: "without stdinOnce the input stays open for the next", run: attachAgain},
	{Name: "a container that does not run cannot be attached to", run: attachExited},
}

var realStreamChecks = []Check{
	{Name: "a terminal is as large as it is said to be", run: terminalSize},
	{Name: "the main process's terminal is as large as it is said to be", run: attachTerminal},
	{Name: "a command that runs out of time leaves no process behind", run: execLeavesNothing},
	{Name: "what is no program is told as a shell tells it", run: execNoProgram},
	{Name: "a probe that runs out of time leaves no process behind", run: probeLeavesNothing},
}

func execInput(f *fixture) {
	id := f.run(f.pod("web"), "main", Behaviour{Kind: Sleep})
	want := strings.Repeat("a line of some length\n", 20_000)
	var stdout, stderr bytes.Buffer
	options := runtime.ExecOptions{Command: []string{"cat"}, Stdin: strings.NewReader(want)}
	code, err := f.Runtime.Exec(f.ctx, id, options, &stdout, &stderr)
	if err != nil || code != 0 || stdout.String() != want || stderr.Len() > 0 {
		f.Errorf("cat of %d bytes gives %d bytes, %q, %d, %v", len(want), stdout.Len(), stderr.String(), code, err)
	}
}

func execNoProgram(f *fixture) {
	id := f.run(f.pod("web"), "main", Behaviour{Kind: Sleep})
	for command, want := range map[string]int{"no-such-program": 127, "/no/such/program": 127, "/": 126} {
		for _, tty := range []bool{false, true} {
			var stdout, stderr bytes.Buffer
			code, err := f.Runtime.Exec(f.ctx, id, runtime.ExecOptions{Command: []string{command}, TTY: tty}, &stdout, &stderr)
			if !errors.Is(err, runtime.ErrNoProgram) || code != want || stdout.Len()+stderr.Len() > 0 || !strings.Contains(err.Error(), command) {
				f.Errorf("%s, terminal %t: %d, %v; it writes %q and %q", command, tty, code, err, stdout.String(), stderr.String())
			}
		}
	}
}

func execInputLeft(f *fixture) {
	id := f.run(f.pod("web"), "main", Behaviour{Kind: Sleep})
	stdin, never := io.Pipe()
	defer never.Close()
	code, err := f.Runtime.Exec(f.ctx, id, runtime.ExecOptions{Command: []string{"sh", "-c", "exit 3"}, Stdin: stdin}, io.Discard, io.Discard)
	if err != nil || code != 3 {
		f.Errorf("the command ends with %d, %v; want 3", code, err)
	}
}

func execTerminal(f *fixture) {
	id := f.run(f.pod("web"), "main", Behaviour{Kind: Sleep})
	var stdout, stderr bytes.Buffer
	code, err := f.Runtime.Exec(f.ctx, id, runtime.ExecOptions{Command: []string{"cat", "/nothing"}, TTY: true}, &stdout, &stderr)
	if err != nil || code != 1 || !strings.Contains(stdout.String(), "/nothing") || !strings.HasSuffix(stdout.String(), "\r\n") || stderr.Len() > 0 {
		f.Errorf("cat of no file gives %q, %q, %d, %v; want a message on stdout that ends as a terminal ends lines", stdout.String(), stderr.String(), code, err)
	}
}

// execCancel has a command that neither ends nor reads its input.
func execCancel(f *fixture) {
	id := f.run(f.pod("web"), "main", Behaviour{Kind: Sleep})
	ctx, cancel := context.WithTimeout(f.ctx, 500*time.Millisecond)
	defer cancel()
	stdin, never := io.Pipe()
	defer never.Close()
	begin := time.Now()
	_, err := f.Runtime.Exec(ctx, id, runtime.ExecOptions{Command: []string{"sleep", "600"}, Stdin: stdin}, io.Discard, io.Discard)
	if !errors.Is(err, context.DeadlineExceeded) {
		f.Errorf("Exec says %v; want the context's error", err)
	}
	if took := time.Since(begin); took > patience/2 {
		f.Errorf("Exec took %s; want the 500ms of its context", took)
	}
}

func attachOutput(f *fixture) {
	id := f.run(f.pod("web"), "main", Behaviour{Kind: Count, Lines: 6, Every: 250 * time.Millisecond})
	var all, rest bytes.Buffer
	var both sync.WaitGroup
	both.Go(func() {
		if err := f.Runtime.Attach(f.ctx, id, runtime.AttachOptions{Logs: true}, &all, io.Discard); err != nil {
			f.Error(err)
		}
	})
	both.Go(func() {
		f.until("the third line is in the log", func() bool {
			stdout, _ := f.logs(id, runtime.LogOptions{Tail: -1})
			return strings.Contains(stdout, "line 3\n")
		})
		if err := f.Runtime.Attach(f.ctx, id, runtime.AttachOptions{}, &rest, io.Discard); err != nil {
			f.Error(err)
		}
	})
	both.Wait()
	if all.String() != "line 1\nline 2\nline 3\nline 4\nline 5\nline 6\n" {
		f.Errorf("attached with what was written before, it is %q", all.String())
	}
	if got := rest.String(); strings.Contains(got, "line 2") || !strings.HasSuffix(got, "line 5\nline 6\n") {
		f.Errorf("attached after the third line, it is %q", got)
	}
	f.exited(id)
}

func attachCancel(f *fixture) {
	config := f.containerConfig("main", Behaviour{Kind: Copy})
	config.Stdin = true
	id := f.start(f.pod("web"), config)
	ctx, cancel := context.WithTimeout(f.ctx, 500*time.Millisecond)
	defer cancel()
	stdin, never := io.Pipe()
	defer never.Close()
	if err := f.Runtime.Attach(ctx, id, runtime.AttachOptions{Stdin: stdin}, io.Discard, io.Discard); !errors.Is(err, context.DeadlineExceeded) {
		f.Errorf("Attach says %v; want the context's error", err)
	}
	if c := f.observe(id); c.State != runtime.Running {
		f.Errorf("after that the container is %s", c.State)
	}
}

// attached writes to a container that copies until the words have come back, ends its input, and returns all output.
func (f *fixture) attached(id, words string) string {
	f.Helper()
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	stdin, typed := io.Pipe()
	var stdout lockedBuffer
	ended := make(chan error, 1)
	go func() { ended <- f.Runtime.Attach(ctx, id, runtime.AttachOptions{Stdin: stdin}, &stdout, io.Discard) }()
	_, err := io.WriteString(typed, words)
	f.must(err)
	f.until("the words come back", func() bool { return strings.Contains(stdout.String(), words) })
	typed.Close()
	select {
	case err := <-ended:
		f.must(err)
	case <-time.After(time.Second): // the container runs on
		cancel()
		<-ended
	}
	return stdout.String()
}

// lockedBuffer can be read while it is written.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(data)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

func attachOnce(f *fixture) {
	config := f.containerConfig("main", Behaviour{Kind: Copy})
	config.Stdin, config.StdinOnce = true, true
	id := f.start(f.pod("web"), config)
	if got := f.attached(id, "hello\n"); got != "hello\n" {
		f.Errorf("the container gave back %q", got)
	}
	if c := f.exited(id); c.ExitCode != 0 {
		f.Errorf("it ended with %d; want 0", c.ExitCode)
	}
}

func attachAgain(f *fixture) {
	config := f.containerConfig("main", Behaviour{Kind: Copy})
	config.Stdin = true
	id := f.start(f.pod("web"), config)
	for _, words := range []string{"one\n", "two\n"} {
		if got := f.attached(id, words); got != words {
			f.Errorf("the container gave back %q; want %q", got, words)
		}
		if c := f.observe(id); c.State != runtime.Running {
			f.Fatalf("after that the container is %s", c.State)
		}
	}
}

func attachExited(f *fixture) {
	pod := f.pod("web")
	ended := f.exited(f.run(pod, "ended", Behaviour{Kind: Exit}))
	fresh := f.create(pod, f.containerConfig("fresh", Behaviour{Kind: Sleep}))
	for _, id := range []string{ended.ID, fresh} {
		if err := f.Runtime.Attach(f.ctx, id, runtime.AttachOptions{}, io.Discard, io.Discard); err == nil {
			f.Errorf("a container that is %s can be attached to", f.observe(id).State)
		}
	}
	var all bytes.Buffer
	said := f.exited(f.run(pod, "said", Behaviour{Kind: End, Stdout: "that is all"}))
	if err := f.Runtime.Attach(f.ctx, said.ID, runtime.AttachOptions{Logs: true}, &all, io.Discard); err != nil || all.String() != "that is all\n" {
		f.Errorf("attached with its log to a container that has ended: %q, %v", all.String(), err)
	}
}

// untilSize is a piece of script that waits until the terminal is so large, and says so.
func untilSize(rows, columns int) string {
	return fmt.Sprintf(`until [ "$(stty size 2>/dev/null)" = "%d %d" ]; do sleep 0.05; done; echo "it is %d high"; `, rows, columns, rows)
}

// resized makes a terminal 30 rows high, and when the program has seen that, 20.
func (f *fixture) resized(stdout *lockedBuffer) <-chan runtime.TerminalSize {
	sizes := make(chan runtime.TerminalSize)
	go func() {
		sizes <- runtime.TerminalSize{Width: 100, Height: 30}
		for f.ctx.Err() == nil && !strings.Contains(stdout.String(), "it is 30 high") {
			time.Sleep(50 * time.Millisecond)
		}
		select {
		case sizes <- runtime.TerminalSize{Width: 90, Height: 20}:
		case <-f.ctx.Done():
		}
	}()
	return sizes
}

func terminalSize(f *fixture) {
	id := f.run(f.pod("web"), "main", Behaviour{Kind: Sleep})
	var stdout lockedBuffer
	options := runtime.ExecOptions{Command: script(untilSize(30, 100) + untilSize(20, 90)), TTY: true, Resize: f.resized(&stdout)}
	ctx, cancel := context.WithTimeout(f.ctx, patience)
	defer cancel()
	code, err := f.Runtime.Exec(ctx, id, options, &stdout, io.Discard)
	if err != nil || code != 0 || stdout.String() != "it is 30 high\r\nit is 20 high\r\n" {
		f.Errorf("the terminal says %q, %d, %v; want both sizes", stdout.String(), code, err)
	}
}

func attachTerminal(f *fixture) {
	config := f.containerConfig("main", Behaviour{Kind: Sleep})
	config.Command, config.TTY, config.Stdin = script(`read line; `+untilSize(30, 100)+untilSize(20, 90)+`echo "I read $line" >&2`), true, true
	id := f.start(f.pod("web"), config)
	ctx, cancel := context.WithTimeout(f.ctx, patience)
	defer cancel()
	var stdout lockedBuffer
	var stderr bytes.Buffer
	options := runtime.AttachOptions{Stdin: strings.NewReader("hello\r"), Resize: f.resized(&stdout)}
	err := f.Runtime.Attach(ctx, id, options, &stdout, &stderr)
	if err != nil || !strings.HasSuffix(stdout.String(), "it is 20 high\r\nI read hello\r\n") || stderr.Len() > 0 {
		f.Errorf("attached to the terminal: %q, %q, %v", stdout.String(), stderr.String(), err)
	}
}

// lasting is a command that starts another, neither of which ends by itself.
var lasting = script(`sleep 4321 & sleep 4321; echo "never"`)

func execLeavesNothing(f *fixture) {
	id := f.run(f.pod("web"), "main", Behaviour{Kind: Sleep})
	for _, tty := range []bool{false, true} {
		ctx, cancel := context.WithTimeout(f.ctx, time.Second)
		_, err := f.Runtime.Exec(ctx, id, runtime.ExecOptions{Command: lasting, TTY: tty}, io.Discard, io.Discard)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			f.Errorf("Exec says %v; want the context's error", err)
		}
		f.nothingLasts(id)
	}
}

func probeLeavesNothing(f *fixture) {
	pod := f.pod("web")
	id := f.run(pod, "main", Behaviour{Kind: Sleep})
	p := f.observePod(pod)
	ctx, cancel := context.WithTimeout(f.ctx, time.Second)
	defer cancel()
	result, err := f.Runtime.Probe(ctx, &p, id, corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: lasting}})
	if err == nil && result.OK {
		f.Error("a probe that did not end has succeeded")
	}
	f.nothingLasts(id)
}

func (f *fixture) nothingLasts(id string) {
	f.Helper()
	f.until("the command and what it started are gone", func() bool {
		return !strings.Contains(f.sh(id, `ps -o args`), "sleep 4321")
	})
	if c := f.observe(id); c.State != runtime.Running {
		f.Errorf("the container is %s; want it to run on", c.State)
	}
}
