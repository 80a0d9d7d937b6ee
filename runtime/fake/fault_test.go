package fake_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/runtime/fake"
)

func TestAFaultKeepsTheVerbFromTakingEffect(t *testing.T) {
	on(t, fake.Options{}, fake.Program{}, func(h host) {
		reason := errors.New("no space left on device")
		h.Inject(fake.Fault{Verb: "CreateSandbox", Err: reason})
		id, err := h.CreateSandbox(h.ctx, config("web"))
		if !errors.Is(err, reason) || !strings.HasPrefix(err.Error(), "create sandbox default/web: ") || id != "" {
			t.Errorf("CreateSandbox returns %q, %v", id, err)
		}
		if pods := h.pods(); len(pods) != 0 {
			t.Errorf("the verb took effect: %+v", pods)
		}
	})
}

func TestAnAnswerCanBeLost(t *testing.T) {
	on(t, fake.Options{}, fake.Program{}, func(h host) {
		h.Inject(fake.Fault{Verb: "CreateSandbox", After: true, Times: 1})
		id, err := h.CreateSandbox(h.ctx, config("web"))
		if !errors.Is(err, fake.ErrInjected) || id != "" {
			t.Errorf("CreateSandbox returns %q, %v; want no ID and the fault", id, err)
		}
		made := h.onlyPod().ID
		if id, err = h.CreateSandbox(h.ctx, config("web")); err != nil || id != made {
			t.Errorf("the second time CreateSandbox returns %q, %v; want %s", id, err, made)
		}
	})
}

func TestAFaultMeetsAsManyCallsAsItSays(t *testing.T) {
	on(t, fake.Options{}, fake.Program{}, func(h host) {
		h.Inject(fake.Fault{Verb: "PullImage", Times: 2, Match: func(c fake.Call) bool { return c.Object == "bad:v1" }})
		h.Push("bad:v1", fake.Program{})
		h.Push("good:v1", fake.Program{})
		for i, want := range []bool{false, false, true} {
			_, good := h.PullImage(h.ctx, "good:v1", nil)
			_, bad := h.PullImage(h.ctx, "bad:v1", nil)
			if good != nil || (bad == nil) != want {
				t.Errorf("pull %d: good:v1 says %v, bad:v1 %v; want success of bad:v1: %v", i, good, bad, want)
			}
		}
	})
}

func TestAFaultStaysUntilItIsRemoved(t *testing.T) {
	on(t, fake.Options{}, fake.Program{}, func(h host) {
		remove := h.Inject(fake.Fault{Verb: "State"})
		for range 3 {
			if _, err := h.State(h.ctx); !errors.Is(err, fake.ErrInjected) {
				t.Errorf("State says %v; want the fault", err)
			}
		}
		remove()
		if _, err := h.State(h.ctx); err != nil {
			t.Errorf("State says %v after the fault was removed", err)
		}
	})
}

func TestAVerbCanHangUntilItsContextEnds(t *testing.T) {
	for _, after := range []bool{false, true} {
		on(t, fake.Options{}, fake.Program{}, func(h host) {
			h.Inject(fake.Fault{Verb: "CreateSandbox", Hang: true, After: after})
			ctx, cancel := context.WithTimeout(h.ctx, time.Hour)
			defer cancel()
			begin := time.Now()
			_, err := h.CreateSandbox(ctx, config("web"))
			if took := time.Since(begin); !errors.Is(err, context.DeadlineExceeded) || took != time.Hour {
				t.Errorf("CreateSandbox says %v after %s; want the deadline after an hour", err, took)
			}
			if took := len(h.pods()) == 1; took != after {
				t.Errorf("the verb took effect: %v; want %v", took, after)
			}
		})
	}
}

func TestAVerbCanBeSlow(t *testing.T) {
	on(t, fake.Options{}, fake.Program{}, func(h host) {
		h.Inject(fake.Fault{Verb: "CreateSandbox", Delay: time.Minute})
		begin := time.Now()
		if _, err := h.CreateSandbox(h.ctx, config("web")); err != nil || time.Since(begin) < time.Minute {
			t.Errorf("CreateSandbox says %v after %s; want success after a minute", err, time.Since(begin))
		}
	})
}

func TestAVerbWhoseContextEndsDoesNothing(t *testing.T) {
	on(t, fake.Options{}, fake.Program{}, func(h host) {
		ctx, cancel := context.WithTimeout(h.ctx, time.Millisecond)
		defer cancel()
		if _, err := h.CreateSandbox(ctx, config("web")); !errors.Is(err, context.DeadlineExceeded) || len(h.pods()) != 0 {
			t.Errorf("CreateSandbox says %v and leaves %d pods", err, len(h.pods()))
		}
	})
}

func TestAStopGoesThroughAlthoughItsCallerGoesAway(t *testing.T) {
	on(t, fake.Options{}, fake.Program{IgnoreTERM: true}, func(h host) {
		_, id := h.pod("web")
		ctx, cancel := context.WithTimeout(h.ctx, time.Second)
		defer cancel()
		if err := h.StopContainer(ctx, id, 30*time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("StopContainer says %v; want the deadline", err)
		}
		if c := h.onlyContainer(); c.State != runtime.Running {
			t.Errorf("the container is %s before the grace period ends", c.State)
		}
		time.Sleep(30 * time.Second)
		if c := h.onlyContainer(); c.State != runtime.Exited || c.ExitCode != 137 {
			t.Errorf("the container is %s with exit code %d after the grace period", c.State, c.ExitCode)
		}
	})
}

func TestCallsAreRecorded(t *testing.T) {
	on(t, fake.Options{}, fake.Program{}, func(h host) {
		_, id := h.pod("web")
		h.Inject(fake.Fault{Verb: "StopContainer"})
		stop := h.StopContainer(h.ctx, id, 0)
		var got []string
		for _, c := range h.Calls() {
			got = append(got, c.Verb+" "+c.Object)
			if c.End.Before(c.Begin) {
				t.Errorf("%s %s ended at %s, before it began at %s", c.Verb, c.Object, c.End, c.Begin)
			}
		}
		want := "Ensure |CreateSandbox default/web|StartSandbox default/web|CreateContainer default/web/main|" +
			"StartContainer default/web/main|StopContainer default/web/main"
		if strings.Join(got, "|") != want {
			t.Errorf("the calls were %q", got)
		}
		if last := h.Calls()[5]; last.Err == nil || last.Err != stop {
			t.Errorf("the last call is recorded with %v; its caller got %v", last.Err, stop)
		}
	})
}
