package runtimetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/podyard/podyard/runtime"
)

var containerChecks = []Check{
	{Name: "a container is created and started once", run: containerOnce},
	{Name: "a container needs a running sandbox to start", run: needsSandbox},
	{Name: "a container can be created while its sandbox starts", run: createMeanwhile},
	{Name: "attempts are kept apart and sorted", run: attempts},
	{Name: "an exit is reported with its code and times", run: exits},
	{Name: "a container that cannot start is Exited and says why", run: cannotStart},
	{Name: "a stop ends within the grace period", run: stopWithin},
	{Name: "a stop kills after the grace period", run: stopAfter},
	{Name: "a stop without grace kills at once", run: stopAtOnce},
	{Name: "stopping what has stopped changes nothing", run: stopTwice},
	{Name: "removing a container removes it only, and once", run: removeContainer},
	{Name: "the environment and the working directory are as given", run: environment},
	{Name: "a container for debugging is known as such", run: ephemeral},
	{Name: "a container runs the content it names or is pinned to", run: content},
}

func containerOnce(f *fixture) {
	pod := f.pod("web")
	config := f.containerConfig("main", Behaviour{Kind: Sleep})
	config.Backoff = 20 * time.Second
	id := f.create(pod, config)
	if c := f.observe(id); c.State != runtime.Created || c.Name != "main" || c.CreatedAt.IsZero() || c.Backoff != config.Backoff {
		f.Errorf("before the start the container is %+v", c)
	}
	f.must(f.Runtime.StartContainer(f.ctx, id))
	started := f.observe(id)
	if started.State != runtime.Running || started.StartedAt.Before(started.CreatedAt) {
		f.Errorf("after the start the container is %+v", started)
	}
	f.must(f.Runtime.StartContainer(f.ctx, id))
	if again := f.create(pod, config); again != id {
		f.Errorf("CreateContainer returns %s, then %s; want the same container", id, again)
	}
	if again := f.observe(id); !again.StartedAt.Equal(started.StartedAt) {
		f.Errorf("a second StartContainer moved the start from %s to %s", started.StartedAt, again.StartedAt)
	}
	if containers := f.observePod(pod).Containers; len(containers) != 1 {
		f.Errorf("there are %d containers; want 1", len(containers))
	}
}

func needsSandbox(f *fixture) {
	pod := f.sandbox("web")
	config := f.containerConfig("main", Behaviour{Kind: Sleep})
	config.TerminationMessagePath = terminationLog
	id := f.create(pod, config)
	if err := f.Runtime.StartContainer(f.ctx, id); err == nil || errors.Is(err, runtime.ErrNotFound) {
		f.Fatalf("StartContainer without a running sandbox says %v; want an error, and not ErrNotFound", err)
	}
	if c := f.observe(id); c.State == runtime.Running {
		f.Error("the container runs without a sandbox")
	}
	f.must(f.Runtime.StartSandbox(f.ctx, pod))
	f.must(f.Runtime.StartContainer(f.ctx, id))
	if c := f.observe(id); c.State != runtime.Running || c.Error != "" {
		f.Errorf("with the sandbox the container is %s, error %q; want Running and none", c.State, c.Error)
	}
}

func createMeanwhile(f *fixture) {
	pod := f.sandbox("web")
	var start error
	var starting sync.WaitGroup
	starting.Go(func() { start = f.Runtime.StartSandbox(f.ctx, pod) })
	id, create := f.Runtime.CreateContainer(f.ctx, pod, f.containerConfig("main", Behaviour{Kind: Sleep}))
	starting.Wait()
	f.must(start)
	f.must(create)
	f.must(f.Runtime.StartContainer(f.ctx, id))
	if c := f.observe(id); c.State != runtime.Running {
		f.Errorf("the container is %s; want Running", c.State)
	}
}

func attempts(f *fixture) {
	pod := f.pod("web")
	for _, attempt := range []int{1, 0, 10} {
		for _, name := range []string{"side", "main"} {
			config := f.containerConfig(name, Behaviour{Kind: Exit, Code: attempt})
			config.Attempt = attempt
			f.exited(f.start(pod, config))
		}
	}
	var got []string
	for _, c := range f.observePod(pod).Containers {
		got = append(got, fmt.Sprintf("%s/%d=%d", c.Name, c.Attempt, c.ExitCode))
	}
	if want := []string{"main/0=0", "main/1=1", "main/10=10", "side/0=0", "side/1=1", "side/10=10"}; !slices.Equal(got, want) {
		f.Errorf("the pod holds %v; want %v", got, want)
	}
}

func exits(f *fixture) {
	pod := f.pod("web")
	for _, code := range []int{0, 1, 42} {
		c := f.exited(f.run(pod, fmt.Sprintf("exit-%d", code), Behaviour{Kind: Exit, Code: code}))
		if c.ExitCode != code || c.OOMKilled || c.Error != "" {
			f.Errorf("the container exited with %d, OOMKilled %v, error %q; want %d", c.ExitCode, c.OOMKilled, c.Error, code)
		}
		if c.CreatedAt.IsZero() || c.StartedAt.Before(c.CreatedAt) || c.FinishedAt.Before(c.StartedAt) {
			f.Errorf("the times are not in order: created %s, started %s, finished %s", c.CreatedAt, c.StartedAt, c.FinishedAt)
		}
	}
}

// cannotStart wants what dockershim reported: a container that is not going to run has exited, with a code and the
// engine's words, and a FinishedAt from which the back-off can be counted.
func cannotStart(f *fixture) {
	pod := f.pod("web")
	id := f.create(pod, f.containerConfig("main", Behaviour{Kind: NoCommand}))
	if err := f.Runtime.StartContainer(f.ctx, id); err == nil || errors.Is(err, runtime.ErrNotFound) {
		f.Fatalf("StartContainer says %v; want an error, and not ErrNotFound: the container is there", err)
	}
	c := f.observe(id)
	if c.State != runtime.Exited || c.ExitCode == 0 || c.Error == "" {
		f.Errorf("the container is %s, exit code %d, error %q; want Exited, a code and the engine's words", c.State, c.ExitCode, c.Error)
	}
	if c.FinishedAt.Before(c.CreatedAt) || c.FinishedAt.IsZero() {
		f.Errorf("the container finished at %s; want a time from its creation at %s on", c.FinishedAt, c.CreatedAt)
	}
}

// stop stops a container and returns how long that took and what came of it.
func (f *fixture) stop(id string, grace time.Duration) (time.Duration, runtime.Container) {
	f.Helper()
	begin := time.Now()
	f.must(f.Runtime.StopContainer(f.ctx, id, grace))
	took := time.Since(begin)
	c := f.observe(id)
	if c.State != runtime.Exited || c.FinishedAt.IsZero() {
		f.Fatalf("StopContainer returns while the container is %s, finished at %s", c.State, c.FinishedAt)
	}
	return took, c
}

func stopWithin(f *fixture) {
	id := f.run(f.pod("web"), "main", Behaviour{Kind: Echo, Stdout: "ready"})
	f.says(id, "ready\n")
	took, c := f.stop(id, patience)
	if c.ExitCode != 0 || took > patience/2 {
		f.Errorf("the stop took %s and the exit code is %d; want 0, as after SIGTERM, long before the grace period ends", took, c.ExitCode)
	}
}

func stopAfter(f *fixture) {
	const grace = 2 * time.Second
	id := f.run(f.pod("web"), "main", Behaviour{Kind: IgnoreTERM, Stdout: "ready"})
	f.says(id, "ready\n")
	took, c := f.stop(id, grace)
	// A tenth off, for engines that look at the clock less often than we do.
	if c.ExitCode != 137 || took < grace*9/10 || took > patience/2 {
		f.Errorf("the stop took %s and the exit code is %d; want 137, as after SIGKILL, after %s", took, c.ExitCode, grace)
	}
}

func stopAtOnce(f *fixture) {
	took, c := f.stop(f.run(f.pod("web"), "main", Behaviour{Kind: IgnoreTERM}), 0)
	if c.ExitCode != 137 || took > 8*time.Second {
		f.Errorf("the stop took %s and the exit code is %d; want 137 at once", took, c.ExitCode)
	}
}

func stopTwice(f *fixture) {
	pod := f.pod("web")
	ended := f.exited(f.run(pod, "main", Behaviour{Kind: Exit, Code: 3}))
	f.must(f.Runtime.StopContainer(f.ctx, ended.ID, time.Second))
	if c := f.observe(ended.ID); c != ended {
		f.Errorf("StopContainer turned %+v into %+v", ended, c)
	}
	fresh := f.create(pod, f.containerConfig("fresh", Behaviour{Kind: Sleep}))
	f.must(f.Runtime.StopContainer(f.ctx, fresh, time.Second))
	if c := f.observe(fresh); c.State != runtime.Created {
		f.Errorf("StopContainer turned a container that was never started into %s", c.State)
	}
}

func removeContainer(f *fixture) {
	pod := f.pod("web")
	past := f.exited(f.run(pod, "main", Behaviour{Kind: Exit}))
	stays := f.run(pod, "side", Behaviour{Kind: Sleep})
	f.must(f.Runtime.RemoveContainer(f.ctx, past.ID))
	f.must(f.Runtime.RemoveContainer(f.ctx, past.ID))
	containers := f.observePod(pod).Containers
	if len(containers) != 1 || containers[0].ID != stays || containers[0].State != runtime.Running {
		f.Errorf("the pod holds %+v; want only side, Running", containers)
	}
	if again := f.create(pod, f.containerConfig("main", Behaviour{Kind: Exit})); again == past.ID {
		f.Error("the container that was removed came back")
	}
}

func environment(f *fixture) {
	config := f.containerConfig("main", Behaviour{Kind: Sleep})
	config.WorkingDir = "/tmp"
	config.Env = []runtime.EnvVar{
		{Name: "PLAIN", Value: "value"}, {Name: "EMPTY", Value: ""}, {Name: "LINES", Value: "one\ntwo"},
		{Name: "SHELL_TEXT", Value: `$PLAIN "quoted" a=b \ #`},
	}
	id := f.start(f.pod("web"), config)
	got := "\n" + f.exec(id, "env")
	for _, v := range config.Env {
		if !strings.Contains(got, "\n"+v.Name+"="+v.Value+"\n") {
			f.Errorf("the environment is %q; want %s to be %q", got, v.Name, v.Value)
		}
	}
	if dir := strings.TrimSpace(f.exec(id, "pwd")); dir != "/tmp" {
		f.Errorf("the working directory is %q; want /tmp", dir)
	}
}

func ephemeral(f *fixture) {
	pod := f.pod("web")
	target := f.run(pod, "main", Behaviour{Kind: Sleep})
	config := f.containerConfig("debugger", Behaviour{Kind: Sleep})
	config.Ephemeral, config.Target = true, target
	id := f.start(pod, config)
	if c := f.observe(id); !c.Ephemeral || c.State != runtime.Running {
		f.Errorf("the container for debugging is %+v; want it Running and Ephemeral", c)
	}
	if f.observe(target).Ephemeral {
		f.Error("its target is Ephemeral, too")
	}
}

func content(f *fixture) {
	pod := f.pod("web")
	config := f.containerConfig("main", Behaviour{Kind: Sleep})
	image, err := f.Runtime.ImageStatus(f.ctx, config.Image)
	f.must(err)
	if c := f.observe(f.start(pod, config)); c.Image != config.Image || c.ImageID != image.ID {
		f.Errorf("the container has image %s, %s; want %s, %s", c.Image, c.ImageID, config.Image, image.ID)
	}
	// The reference is gone from the host, or has moved: a restart still runs the same bytes.
	config.Attempt, config.Image, config.ImageID = 1, missingImage, image.ID
	if c := f.observe(f.start(pod, config)); c.State != runtime.Running || c.Image != missingImage || c.ImageID != image.ID {
		f.Errorf("the pinned container is %s with image %s, %s; want Running with %s, %s",
			c.State, c.Image, c.ImageID, missingImage, image.ID)
	}
}
