package runtimetest

import (
	"errors"
	"time"

	"github.com/podyard/podyard/runtime"
)

var statsChecks = []Check{
	{Name: "ContainerStats: what a container uses", run: stats},
}

// stats compares a container that burns a core with one that sleeps. How much of a core it gets depends on the machine.
func stats(f *fixture) {
	pod := f.pod("web")
	burning, sleeping := f.run(pod, "burn", Behaviour{Kind: Burn}), f.run(pod, "sleep", Behaviour{Kind: Sleep})
	before := f.stats(burning)
	f.until("the container has used a tenth of a second", func() bool { return f.stats(burning).CPU-before.CPU >= time.Second/10 })
	after, idle := f.stats(burning), f.stats(sleeping)
	if spent := after.CPU - before.CPU; spent > 3*after.At.Sub(before.At)/2 {
		f.Errorf("one process used %s of CPU in %s", spent, after.At.Sub(before.At))
	}
	if idle.CPU > after.CPU/2 {
		f.Errorf("the container that sleeps used %s of CPU, the other %s", idle.CPU, after.CPU)
	}
	for _, s := range []runtime.Stats{after, idle} {
		if s.Memory < 16<<10 || s.Memory > 64<<20 {
			f.Errorf("a shell has a working set of %d bytes", s.Memory)
		}
	}
	f.must(f.Runtime.StopContainer(f.ctx, burning, 0))
	if got, err := f.Runtime.ContainerStats(f.ctx, burning); err == nil || got != (runtime.Stats{}) {
		f.Errorf("of a container that has ended: %+v, %v; want an error", got, err)
	}
	if _, err := f.Runtime.ContainerStats(f.ctx, pod); !errors.Is(err, runtime.ErrNotFound) {
		f.Errorf("of what is no container: %v; want ErrNotFound", err)
	}
}

func (f *fixture) stats(id string) runtime.Stats {
	f.Helper()
	out, err := f.Runtime.ContainerStats(f.ctx, id)
	f.must(err)
	return out
}
