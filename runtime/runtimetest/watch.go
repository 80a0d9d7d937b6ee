package runtimetest

import (
	"context"
	"time"

	"github.com/podyard/podyard/runtime"
)

var watchChecks = []Check{
	{Name: "a container killed behind our back is signalled and reported", run: watchKill},
	{Name: "a container removed behind our back is signalled and gone", run: watchRemove},
	{Name: "an exit is signalled", run: watchExit},
	{Name: "a watch ends with its context", run: watchEnds},
}

// watch returns a function that waits for something to be so, and looks only after a signal: a runtime that does not
// signal what happened is found out, even if its state tells at once.
func (f *fixture) watch() (untilSignalled func(what string, done func() bool)) {
	f.Helper()
	ctx, cancel := context.WithCancel(f.ctx)
	f.Cleanup(cancel)
	signals, err := f.Runtime.Watch(ctx)
	f.must(err)
	return func(what string, done func() bool) {
		f.Helper()
		timeout := time.After(patience)
		for {
			select {
			case _, open := <-signals:
				if !open {
					f.Fatal("the watch has ended")
				}
				if done() {
					return
				}
			case <-timeout:
				f.Fatalf("no signal told that %s", what)
			}
		}
	}
}

func watchKill(f *fixture) {
	id := f.run(f.pod("web"), "main", Behaviour{Kind: Sleep})
	untilSignalled := f.watch()
	f.Kill(f.T, id)
	untilSignalled("the container was killed", func() bool { return f.observe(id).State == runtime.Exited })
	if c := f.observe(id); c.ExitCode != 137 || c.FinishedAt.Before(c.StartedAt) {
		f.Errorf("the container exited with %d, started %s, finished %s; want 137", c.ExitCode, c.StartedAt, c.FinishedAt)
	}
}

func watchRemove(f *fixture) {
	pod := f.pod("web")
	id := f.run(pod, "main", Behaviour{Kind: Sleep})
	untilSignalled := f.watch()
	f.Remove(f.T, id)
	untilSignalled("the container was removed", func() bool { return f.find(id) == nil })
	if p := f.observePod(pod); p.Phase != runtime.Running {
		f.Errorf("the pod is %s; want Running", p.Phase)
	}
}

func watchExit(f *fixture) {
	pod := f.pod("web")
	untilSignalled := f.watch()
	id := f.run(pod, "main", Behaviour{Kind: Count, Lines: 2, Every: 500 * time.Millisecond})
	untilSignalled("the container exited", func() bool { return f.observe(id).State == runtime.Exited })
}

func watchEnds(f *fixture) {
	ctx, cancel := context.WithCancel(f.ctx)
	signals, err := f.Runtime.Watch(ctx)
	f.must(err)
	cancel()
	for timeout := time.After(patience); ; {
		select {
		case _, open := <-signals:
			if !open {
				return
			}
		case <-timeout:
			f.Fatal("the watch does not end with its context")
		}
	}
}
