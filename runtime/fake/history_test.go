package fake_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/runtime/fake"
)

// Whatever is done to an engine, its state makes sense after every step.
func TestRandomHistories(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.Custom(drawStep), 1, 60).Draw(rt, "steps")
		var problem error
		synctest.Test(t, func(t *testing.T) { problem = replay(t.Context(), steps) })
		if problem != nil {
			rt.Fatal(problem)
		}
	})
}

// step is one thing that happens: to the n-th of a few pods.
type step struct {
	What string
	Pod  int
	Wait time.Duration
}

var whats = []string{
	"create", "start sandbox", "add", "start", "stop", "remove container", "remove pod", "write",
	"kill", "kill sandbox", "restart sandbox", "lose container", "lose sandbox", "restart engine", "fault", "lost answer",
}

func drawStep(t *rapid.T) step {
	return step{
		What: rapid.SampledFrom(whats).Draw(t, "what"),
		Pod:  rapid.IntRange(0, 2).Draw(t, "pod"),
		Wait: time.Duration(rapid.IntRange(0, 3).Draw(t, "wait")) * time.Second,
	}
}

// replay returns the first thing that is wrong.
func replay(ctx context.Context, steps []step) (problem error) {
	e := fake.New(fake.Options{OnChange: func(s runtime.State) {
		if problem == nil {
			problem = sensible(s)
		}
	}})
	e.Push("app:v1", fake.Program{Local: true, ExitAfter: 20 * time.Second, StopTime: time.Second})
	e.AddForeign("volume", "photos")
	if err := e.Ensure(ctx, nil); err != nil {
		return err
	}
	claimed := false
	for _, s := range steps {
		perform(ctx, e, s)
		time.Sleep(s.Wait)
		claimed = claimed || len(e.Volumes()) > 0
		if claimed && len(e.Volumes()) == 0 {
			return fmt.Errorf("%s removed a persistent volume", s.What)
		}
	}
	synctest.Wait() // for timers of this instant, which see states too
	if !slices.Equal(e.Foreign(), []string{"volume photos"}) {
		return fmt.Errorf("of the foreign objects there are left %v", e.Foreign())
	}
	return problem
}

var files = runtime.Volume{Name: "config", Kind: runtime.Files, Memory: true}

// perform leaves errors aside: what a step asks for may make no sense at its time.
func perform(ctx context.Context, e *fake.Engine, s step) {
	pod, container := latest(e, s.Pod)
	switch s.What {
	case "create":
		e.CreateSandbox(ctx, config(podName(s.Pod), files, runtime.Volume{Name: "data", Kind: runtime.Persistent, Claim: "data"}))
	case "start sandbox":
		e.StartSandbox(ctx, pod.ID)
	case "add":
		e.CreateContainer(ctx, pod.ID, runtime.ContainerConfig{Name: "main", Attempt: len(pod.Containers), Image: "app:v1"})
	case "start":
		e.StartContainer(ctx, container)
	case "stop":
		e.StopContainer(ctx, container, 2*time.Second)
	case "remove container":
		e.RemoveContainer(ctx, container)
	case "remove pod":
		e.RemoveSandbox(ctx, pod.ID)
	case "write":
		e.WriteVolume(ctx, pod.ID, files)
	default:
		disturb(e, s.What, pod.ID, container)
	}
}

func disturb(e *fake.Engine, what, pod, container string) {
	switch what {
	case "kill":
		e.KillContainer(container, 1)
	case "kill sandbox":
		e.KillSandbox(pod)
	case "restart sandbox":
		e.RestartSandbox(pod)
	case "lose container":
		e.RemoveBehindBack(container)
	case "lose sandbox":
		e.RemoveBehindBack(pod)
	case "restart engine":
		e.RestartEngine()
	case "fault", "lost answer":
		e.Inject(fake.Fault{Times: 1, After: what == "lost answer"})
	}
}

func podName(n int) string { return fmt.Sprintf("web-%d", n) }

// latest returns a pod and its latest container, as far as they are there.
func latest(e *fake.Engine, n int) (pod runtime.Pod, container string) {
	state, err := e.State(context.Background())
	if err != nil {
		return pod, ""
	}
	for _, p := range state.Pods {
		if p.Manifest.Name != podName(n) {
			continue
		}
		pod = p
		for _, c := range p.Containers {
			container = c.ID
		}
	}
	return pod, container
}

// sensible returns what is wrong with a state.
func sensible(s runtime.State) error {
	addresses := map[string]bool{}
	for i, p := range s.Pods {
		if i > 0 && s.Pods[i-1].Manifest.Name > p.Manifest.Name {
			return fmt.Errorf("pod %s comes after %s", p.Manifest.Name, s.Pods[i-1].Manifest.Name)
		}
		if p.Phase == runtime.Missing && len(p.Containers) == 0 || p.Phase == runtime.Missing != (p.IP == "") {
			return fmt.Errorf("pod %s is %s with %d containers and the address %q", p.Manifest.Name, p.Phase, len(p.Containers), p.IP)
		}
		if p.IP != "" && addresses[p.IP] {
			return fmt.Errorf("two pods have the address %s", p.IP)
		}
		addresses[p.IP] = true
		if err := sensibleContainers(p); err != nil {
			return err
		}
	}
	return nil
}

func sensibleContainers(p runtime.Pod) error {
	var names []string
	for _, c := range p.Containers {
		names = append(names, fmt.Sprintf("%s/%03d", c.Name, c.Attempt))
		started, finished := !c.StartedAt.IsZero(), !c.FinishedAt.IsZero()
		if started != (c.State != runtime.Created) || finished != (c.State == runtime.Exited) || c.FinishedAt.Before(c.StartedAt) && finished {
			return fmt.Errorf("container %s is %s, started %s, finished %s", c.Name, c.State, c.StartedAt, c.FinishedAt)
		}
	}
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		return fmt.Errorf("the containers are %s", strings.Join(names, " "))
	}
	return nil
}
