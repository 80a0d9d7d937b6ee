package fake_test

import (
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/runtime/fake"
)

func TestAProgramEndsByItself(t *testing.T) {
	for _, test := range []struct {
		program fake.Program
		code    int
	}{
		{fake.Program{ExitAfter: time.Hour}, 0},
		{fake.Program{ExitAfter: time.Hour, ExitCode: 3}, 3},
		{fake.Program{ExitAfter: time.Hour, OOMKilled: true}, 137},
	} {
		on(t, fake.Options{}, test.program, func(h host) {
			h.pod("web")
			time.Sleep(time.Hour - time.Second)
			if c := h.onlyContainer(); c.State != runtime.Running {
				t.Errorf("the container is %s too early", c.State)
			}
			time.Sleep(2 * time.Second)
			c := h.onlyContainer()
			if c.State != runtime.Exited || c.ExitCode != test.code || c.OOMKilled != test.program.OOMKilled {
				t.Errorf("the container is %+v; want exit code %d", c, test.code)
			}
			if ran := c.FinishedAt.Sub(c.StartedAt); ran != time.Hour {
				t.Errorf("the container ran for %s; want an hour", ran)
			}
		})
	}
}

func TestTheEndOfAnEarlierRunDoesNotEndTheNext(t *testing.T) {
	on(t, fake.Options{}, fake.Program{ExitAfter: time.Hour}, func(h host) {
		_, id := h.pod("web")
		time.Sleep(30 * time.Minute)
		h.KillContainer(id, 1)
		h.must(h.StartContainer(h.ctx, id))
		time.Sleep(45 * time.Minute)
		if c := h.onlyContainer(); c.State != runtime.Running {
			t.Errorf("the container is %s; want Running until an hour after its second start", c.State)
		}
	})
}

func TestASlowProgramIsKilledOnlyAfterTheGracePeriod(t *testing.T) {
	for _, test := range []struct {
		grace time.Duration
		code  int
	}{{10 * time.Second, 5}, {3 * time.Second, 137}} {
		on(t, fake.Options{}, fake.Program{StopTime: 4 * time.Second, StopCode: 5}, func(h host) {
			_, id := h.pod("web")
			h.must(h.StopContainer(h.ctx, id, test.grace))
			if c := h.onlyContainer(); c.ExitCode != test.code {
				t.Errorf("with a grace period of %s the exit code is %d; want %d", test.grace, c.ExitCode, test.code)
			}
		})
	}
}

func TestAnEngineRestartStopsEverythingAndBringsSandboxesBack(t *testing.T) {
	memory := runtime.Volume{Name: "secret", Kind: runtime.Files, Memory: true,
		Files: []runtime.File{{Path: "key", Data: []byte("x")}}}
	on(t, fake.Options{Downtime: time.Minute}, fake.Program{}, func(h host) {
		sandbox, container := h.pod("web", memory)
		killed, _ := h.pod("zzz")
		h.must(h.WriteVolume(h.ctx, sandbox, memory))
		h.KillSandbox(killed)
		before := h.pods()[0]

		h.RestartEngine()
		h.RestartEngine() // it is down already
		if err := h.StartContainer(h.ctx, container); !errors.Is(err, fake.ErrUnavailable) {
			t.Errorf("while the engine is down, StartContainer says %v", err)
		}
		time.Sleep(time.Minute)
		pods := h.pods()
		if p := pods[0]; p.Phase != runtime.Running || !p.StartedAt.After(before.StartedAt) || p.IP != before.IP {
			t.Errorf("the sandbox is %s since %s with %s; was %s with %s", p.Phase, p.StartedAt, p.IP, before.StartedAt, before.IP)
		}
		if p := pods[1]; p.Phase != runtime.Exited {
			t.Errorf("the sandbox that was killed before is %s", p.Phase)
		}
		if c := pods[0].Containers[0]; c.State != runtime.Exited {
			t.Errorf("the container is %s; want Exited, it has no restart policy", c.State)
		}
		h.must(h.StartContainer(h.ctx, container))
		if code, err := h.Exec(h.ctx, container, runtime.ExecOptions{Command: []string{"cat", "/secret/key"}}, nil, nil); err != nil || code == 0 {
			t.Errorf("a file in memory is there after the restart: %d, %v", code, err)
		}
	})
}

func TestAVerbUnderWayIsInterruptedByARestart(t *testing.T) {
	on(t, fake.Options{Downtime: time.Millisecond}, fake.Program{PullTime: time.Minute}, func(h host) {
		time.AfterFunc(time.Second, h.RestartEngine)
		if _, err := h.PullImage(h.ctx, "app:v1", nil); !errors.Is(err, fake.ErrUnavailable) {
			t.Errorf("PullImage says %v; want ErrUnavailable", err)
		}
	})
}

func TestASandboxThatItsRestartPolicyBringsBackStrandsItsContainers(t *testing.T) {
	on(t, fake.Options{}, fake.Program{}, func(h host) {
		sandbox, container := h.pod("web")
		if result := h.probe(container, 80); !result.OK {
			t.Errorf("before: %+v", result)
		}
		h.RestartSandbox(sandbox)
		p := h.onlyPod()
		if c := p.Containers[0]; p.Phase != runtime.Running || c.State != runtime.Running || !c.StartedAt.Before(p.StartedAt) {
			t.Errorf("the pod is %+v", p)
		}
		if result := h.probe(container, 80); result.OK {
			t.Error("a container without a network answers a probe")
		}
	})
}

// probe asks over TCP.
func (h host) probe(container string, port int) runtime.ProbeResult {
	h.Helper()
	result, err := h.Probe(h.ctx, nil, container, corev1.ProbeHandler{
		TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt(port)},
	})
	h.must(err)
	return result
}

func TestProbesAnswerByTheAgeOfTheProgram(t *testing.T) {
	on(t, fake.Options{}, fake.Program{ReadyAfter: time.Minute, LiveUntil: time.Hour}, func(h host) {
		_, id := h.pod("web")
		for _, step := range []struct {
			wait time.Duration
			ok   bool
		}{{0, false}, {time.Minute, true}, {50 * time.Minute, true}, {10 * time.Minute, false}} {
			time.Sleep(step.wait)
			if result := h.probe(id, 80); result.OK != step.ok || (result.Message == "") != step.ok {
				t.Errorf("%s later the probe answers %+v; want %v", step.wait, result, step.ok)
			}
		}
	})
	on(t, fake.Options{}, fake.Program{ReadyAfter: fake.Never}, func(h host) {
		_, id := h.pod("web")
		time.Sleep(24 * 365 * time.Hour)
		if result := h.probe(id, 80); result.OK {
			t.Error("a program that is never ready is")
		}
	})
}

func TestAProgramCanTellProbesApart(t *testing.T) {
	live := fake.Program{Answer: func(_ time.Duration, handler corev1.ProbeHandler) string {
		if handler.HTTPGet.Path == "/live" {
			return ""
		}
		return "still loading"
	}}
	on(t, fake.Options{}, live, func(h host) {
		_, id := h.pod("web")
		for path, want := range map[string]runtime.ProbeResult{"/live": {OK: true}, "/ready": {Message: "still loading"}} {
			got, err := h.Probe(h.ctx, nil, id, corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path}})
			if err != nil || got != want {
				t.Errorf("%s answers %+v, %v; want %+v", path, got, err, want)
			}
		}
	})
}

func TestAHostPortIsTakenWhileAPodHoldsIt(t *testing.T) {
	on(t, fake.Options{}, fake.Program{}, func(h host) {
		publish := func(name string) string {
			c := config(name)
			c.Ports = []corev1.ContainerPort{{HostPort: 8080, ContainerPort: 80}}
			id, err := h.CreateSandbox(h.ctx, c)
			h.must(err)
			return id
		}
		one, two := publish("one"), publish("two")
		h.must(h.StartSandbox(h.ctx, one))
		if err := h.StartSandbox(h.ctx, two); err == nil {
			t.Error("two pods hold one host port")
		}
		h.must(h.RemoveSandbox(h.ctx, one))
		h.must(h.StartSandbox(h.ctx, two))
	})
}
