package fake_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/runtime/fake"
)

func TestOnChangeSeesEveryStep(t *testing.T) {
	var phases []string
	options := fake.Options{OnChange: func(s runtime.State) {
		for _, p := range s.Pods {
			phase := string(p.Phase)
			for _, c := range p.Containers {
				phase += " " + string(c.State)
			}
			phases = append(phases, phase)
		}
	}}
	on(t, options, fake.Program{}, func(h host) {
		sandbox, container := h.pod("web")
		h.must(h.StopContainer(h.ctx, container, time.Second))
		h.must(h.StopContainer(h.ctx, container, time.Second))
		h.KillSandbox(sandbox)
		h.must(h.RemoveSandbox(h.ctx, sandbox))
	})
	want := []string{"Created", "Running", "Running Created", "Running Running", "Running Exited", "Exited Exited"}
	if !slices.Equal(phases, want) {
		t.Errorf("OnChange saw %q; want %q", phases, want)
	}
}

func TestOnChangeMayCallTheEngine(t *testing.T) {
	var h host
	deaths := 0
	options := fake.Options{OnChange: func(s runtime.State) {
		for _, p := range s.Pods {
			for _, c := range p.Containers {
				if c.State == runtime.Running {
					deaths++
					h.KillContainer(c.ID, 1)
				}
			}
		}
	}}
	on(t, options, fake.Program{}, func(engine host) {
		h = engine
		h.pod("web")
		if c := h.onlyContainer(); c.State != runtime.Exited || deaths != 1 {
			t.Errorf("the container is %s after %d deaths; want Exited after 1", c.State, deaths)
		}
	})
}

func TestEventsCanBeDropped(t *testing.T) {
	on(t, fake.Options{}, fake.Program{}, func(h host) {
		signals, err := h.Watch(h.ctx)
		h.must(err)
		signalled := func() bool {
			select {
			case <-signals:
				return true
			default:
				return false
			}
		}
		h.DropEvents(true)
		h.pod("one")
		if signalled() {
			t.Error("a dropped event was signalled")
		}
		h.DropEvents(false)
		if signalled() {
			t.Error("a dropped event was signalled later")
		}
		h.pod("two")
		if !signalled() || signalled() {
			t.Error("several changes are not one signal")
		}
	})
}

func TestRoutesAreRemembered(t *testing.T) {
	on(t, fake.Options{}, fake.Program{}, func(h host) {
		service := &corev1.Service{}
		service.Name = "one"
		h.must(h.Route(h.ctx, runtime.Routes{Services: []*corev1.Service{service}}))
		service.Name = "changed by the caller"
		h.must(h.Route(h.ctx, runtime.Routes{}))
		history := h.RouteHistory()
		if len(history) != 2 || history[0].Routes.Services[0].Name != "one" || !history[1].Time.After(history[0].Time) {
			t.Errorf("the history is %+v", history)
		}
	})
}

func TestPersistentVolumesAreKeptWithTheirData(t *testing.T) {
	volumes := []runtime.Volume{
		{Name: "config", Kind: runtime.Files, Files: []runtime.File{{Path: "key", Data: []byte("value")}}},
		{Name: "data", Kind: runtime.Persistent, Claim: "db-data"},
	}
	on(t, fake.Options{}, fake.Program{}, func(h host) {
		sandbox, container := h.pod("db", volumes...)
		h.must(h.WriteVolume(h.ctx, sandbox, volumes[0]))
		if code, err := h.Exec(h.ctx, container, runtime.ExecOptions{Command: []string{"cp", "/config/key", "/data/key"}}, nil, nil); code != 0 || err != nil {
			t.Fatal(code, err)
		}
		h.must(h.RemoveSandbox(h.ctx, sandbox))
		h.must(h.Teardown(h.ctx, false, nil))
		want := []fake.Volume{{Name: "db-data", Files: map[string]string{"key": "value"}}}
		if got := h.Volumes(); !reflect.DeepEqual(got, want) {
			t.Errorf("the volumes are %v; want %v", got, want)
		}
		h.must(h.Teardown(h.ctx, true, nil))
		if got := h.Volumes(); len(got) != 0 {
			t.Errorf("the volumes are %v; want none", got)
		}
	})
}

// What many goroutines do at once comes out the same in every run: IDs, addresses and times.
func TestABubbleIsDeterministic(t *testing.T) {
	var first string
	for range 5 {
		var state string
		synctest.Test(t, func(t *testing.T) { state = rush(t) })
		if first == "" {
			first = state
		}
		if first != state {
			t.Fatalf("one run ends with\n%s\nanother with\n%s", first, state)
		}
	}
}

// rush returns the state at the end as text.
func rush(t *testing.T) string {
	h := host{t, fake.New(fake.Options{}), t.Context()}
	h.Push("app:v1", fake.Program{Local: true, ExitAfter: time.Minute})
	h.must(h.Ensure(h.ctx, nil))
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			sandbox, container := h.pod(fmt.Sprintf("web-%d", i))
			if i%3 == 0 {
				h.must(h.StopContainer(h.ctx, container, time.Second))
			}
			if i%4 == 0 {
				h.must(h.RemoveSandbox(h.ctx, sandbox))
				h.pod(fmt.Sprintf("next-%d", i))
			}
		})
	}
	all.Wait()
	state, err := h.State(h.ctx)
	h.must(err)
	text, err := json.MarshalIndent(state, "", " ")
	h.must(err)
	return string(text)
}
