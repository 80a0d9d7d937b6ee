package runtimetest

import (
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/podyard/podyard/runtime"
)

var execChecks = []Check{
	{Name: "a command's output and exit code come back", run: execOutput},
	{Name: "commands run side by side", run: execMany},
	{Name: "a program that is not there is told as a shell tells it", run: execNothing},
	{Name: "no command runs in a container that does not", run: execExited},
}

func execOutput(f *fixture) {
	id := f.run(f.pod("web"), "main", Behaviour{Kind: Sleep})
	if stdout, stderr, code := f.try(id, "echo", "two  words"); stdout != "two  words\n" || stderr != "" || code != 0 {
		f.Errorf("echo gives %q, %q, %d", stdout, stderr, code)
	}
	if stdout, stderr, code := f.try(id, "cat", "/nothing"); stdout != "" || !strings.Contains(stderr, "/nothing") || code != 1 {
		f.Errorf("cat of no file gives %q, %q, %d; want a message on stderr and 1", stdout, stderr, code)
	}
	if _, _, code := f.try(id, "sh", "-c", "exit 7"); code != 7 {
		f.Errorf("the exit code is %d; want 7", code)
	}
}

func execMany(f *fixture) {
	id := f.run(f.pod("web"), "main", Behaviour{Kind: Sleep})
	var all sync.WaitGroup
	for _, word := range []string{"one", "two", "three", "four"} {
		all.Go(func() {
			var out strings.Builder
			code, err := f.Runtime.Exec(f.ctx, id, runtime.ExecOptions{Command: []string{"echo", word}}, &out, io.Discard)
			if err != nil || code != 0 || out.String() != word+"\n" {
				f.Errorf("echo %s gives %q, %d, %v", word, out.String(), code, err)
			}
		})
	}
	all.Wait()
}

func execNothing(f *fixture) {
	id := f.run(f.pod("web"), "main", Behaviour{Kind: Sleep})
	for _, tty := range []bool{false, true} {
		var out strings.Builder
		code, err := f.Runtime.Exec(f.ctx, id, runtime.ExecOptions{Command: []string{"/does/not/exist"}, TTY: tty}, &out, &out)
		if !errors.Is(err, runtime.ErrNoProgram) || code != 127 || out.Len() > 0 || !strings.Contains(err.Error(), "/does/not/exist") {
			f.Errorf("terminal %t: %d, %v, and it writes %q; want 127 and ErrNoProgram", tty, code, err, out.String())
		}
	}
}

func execExited(f *fixture) {
	pod := f.pod("web")
	ended := f.exited(f.run(pod, "ended", Behaviour{Kind: Exit}))
	fresh := f.create(pod, f.containerConfig("fresh", Behaviour{Kind: Sleep}))
	for _, id := range []string{ended.ID, fresh} {
		if _, err := f.Runtime.Exec(f.ctx, id, runtime.ExecOptions{Command: []string{"true"}}, io.Discard, io.Discard); err == nil {
			f.Errorf("a command runs in a container that is %s", f.observe(id).State)
		}
	}
	if c := f.observe(fresh); c.State != runtime.Created {
		f.Errorf("Exec turned a container that was never started into %s", c.State)
	}
}
