package fake_test

import (
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/runtime/fake"
	"github.com/podyard/podyard/runtime/runtimetest"
)

// By the clock on the wall, with verbs that take a millisecond and everything side by side on one engine.
func TestConformance(t *testing.T) {
	quick := map[string]time.Duration{}
	for method := range reflect.TypeFor[runtime.Runtime]().Methods() {
		quick[method.Name] = time.Millisecond
	}
	runtimetest.Run(t, func(*testing.T) runtimetest.Harness { return harness(fake.Options{Latency: quick}) })
}

// In a bubble each check has an engine of its own, and takes no time.
func TestConformanceInABubble(t *testing.T) {
	for _, check := range runtimetest.Checks() {
		t.Run(check.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { check.Run(t, harness(fake.Options{})) })
		})
	}
}

const pullable = "registry.test/app:v1"

func harness(options fake.Options) runtimetest.Harness {
	options.Images = map[string]fake.Program{pullable: {}}
	e := fake.New(options)
	var pushed sync.Map
	return runtimetest.Harness{
		Runtime: e,
		Command: func(b runtimetest.Behaviour) (string, []string) {
			ref := fmt.Sprintf("test/%s:%x", b.Kind, fmt.Sprint(b))
			if _, twice := pushed.LoadOrStore(ref, true); !twice {
				e.Push(ref, program(b))
				e.SetLoad(ref, load(b))
			}
			return ref, []string{string(b.Kind)}
		},
		Pullable: pullable,
		Kill: func(_ *testing.T, id string) {
			e.KillContainer(id, 137)
			e.KillSandbox(id)
		},
		Remove:  func(_ *testing.T, id string) { e.RemoveBehindBack(id) },
		Foreign: func(t *testing.T) runtimetest.Foreign { return foreign(t, e) },
	}
}

// program is one that behaves so, whatever the command.
func program(b runtimetest.Behaviour) fake.Program {
	p := behave(b)
	p.Local = true
	return p
}

func load(b runtimetest.Behaviour) fake.Load {
	if b.Kind == runtimetest.Burn {
		return fake.Load{CPU: 1000, Memory: 1 << 20}
	}
	return fake.Load{Memory: 1 << 19}
}

func behave(b runtimetest.Behaviour) fake.Program {
	switch b.Kind {
	case runtimetest.IgnoreTERM:
		return fake.Program{IgnoreTERM: true, Output: []fake.Line{{Text: b.Stdout}}}
	case runtimetest.Exit:
		return fake.Program{ExitAfter: time.Millisecond, ExitCode: b.Code}
	case runtimetest.End:
		return fake.Program{ExitAfter: time.Millisecond, ExitCode: b.Code, Message: b.Message, Output: []fake.Line{{Text: b.Stdout}}}
	case runtimetest.Echo:
		return fake.Program{Output: []fake.Line{{Text: b.Stdout}, {Text: b.Stderr, Stderr: true}}}
	case runtimetest.Count:
		return counting(b)
	case runtimetest.ServeHTTP:
		return fake.Program{Ports: []int{b.Port}, Paths: map[string]int{"/": 200}, ReadyAfter: 50 * time.Millisecond}
	case runtimetest.Copy:
		return fake.Program{Copies: true}
	case runtimetest.NoCommand:
		return fake.Program{StartError: `exec: "/does/not/exist": no such file or directory`}
	default:
		return fake.Program{}
	}
}

func counting(b runtimetest.Behaviour) fake.Program {
	p := fake.Program{ExitAfter: time.Duration(b.Lines) * b.Every}
	for i := range b.Lines {
		p.Output = append(p.Output, fake.Line{After: time.Duration(i) * b.Every, Text: fmt.Sprintf("line %d", i+1)})
	}
	return p
}

func foreign(t *testing.T, e *fake.Engine) runtimetest.Foreign {
	container, volume := t.Name()+"-other", t.Name()+"-photos"
	e.AddForeign("container", container)
	e.AddForeign("volume", volume)
	return runtimetest.Foreign{ContainerID: container, Volume: volume, Check: func(t *testing.T) {
		for _, what := range []string{"container " + container, "volume " + volume} {
			if !slices.Contains(e.Foreign(), what) {
				t.Errorf("the foreign %s is gone", what)
			}
		}
	}}
}
