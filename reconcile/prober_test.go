package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/podyard/podyard/runtime"
)

// probed is one container whose probes are answered by a script, in fake time.
type probed struct {
	*testing.T
	begin time.Time
	// answer decides by probe (its port) and seconds since the start.
	answer func(port int, at time.Duration) (bool, error)
	// asked records "port@time".
	mu     sync.Mutex
	asked  []string
	prober *prober
	state  runtime.State
}

func newProbed(t *testing.T, spec corev1.Container, answer func(int, time.Duration) (bool, error)) *probed {
	p := &probed{T: t, begin: time.Now(), answer: answer}
	p.prober = newProber(p.probe, func() {})
	spec.Name = "main"
	p.state.Pods = []runtime.Pod{{
		Manifest: &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{spec}}}, IP: "10.89.1.1", Phase: runtime.Running,
		Containers: []runtime.Container{{ID: "c", Name: "main", State: runtime.Running, StartedAt: p.begin}},
	}}
	return p
}

func (p *probed) probe(_ context.Context, _ *runtime.Pod, _ string, handler corev1.ProbeHandler) (runtime.ProbeResult, error) {
	at := time.Since(p.begin)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, fmt.Sprintf("%d@%v", handler.TCPSocket.Port.IntVal, at))
	ok, err := p.answer(int(handler.TCPSocket.Port.IntVal), at)
	return runtime.ProbeResult{OK: ok, Message: "connection refused"}, err
}

func (p *probed) questions() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

// at lets time pass until a moment after the start, and returns the container then.
func (p *probed) at(d time.Duration) *runtime.Container {
	time.Sleep(d - time.Since(p.begin))
	synctest.Wait()
	p.prober.sync(p.Context(), &p.state)
	p.prober.overlay(&p.state)
	return &p.state.Pods[0].Containers[0]
}

func (p *probed) run() {
	p.prober.sync(p.Context(), &p.state)
	p.Cleanup(p.prober.stop)
}

func tcp(port int) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt(port)}},
		PeriodSeconds: 10, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 3,
	}
}

const readinessPort, livenessPort, startupPort = 1, 2, 3

func TestReadinessIsAskedEarlyUntilTheFirstSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProbed(t, corev1.Container{ReadinessProbe: tcp(readinessPort)}, func(_ int, at time.Duration) (bool, error) { return at >= 600*time.Millisecond, nil })
		p.run()
		if c := p.at(500 * time.Millisecond); c.Ready || !c.Started {
			t.Errorf("after 0.5 s: %+v", c)
		}
		if c := p.at(time.Second); !c.Ready || c.NotReady != "" || c.ReadySince.Sub(p.begin) != 700*time.Millisecond {
			t.Errorf("after 1 s: %+v", c)
		}
		if want := []string{"1@0s", "1@100ms", "1@300ms", "1@700ms"}; !slices.Equal(p.questions(), want) {
			t.Errorf("asked %v, want %v", p.questions(), want)
		}
	})
}

func TestReadinessIsLostAfterTheFailureThreshold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProbed(t, corev1.Container{ReadinessProbe: tcp(readinessPort)}, func(_ int, at time.Duration) (bool, error) { return at < 15*time.Second, nil })
		p.run()
		if c := p.at(35 * time.Second); !c.Ready { // failed at 20 s and 30 s
			t.Error("lost after two failures")
		}
		c := p.at(45 * time.Second)
		if c.Ready || c.NotReady != "connection refused" || !c.ReadySince.IsZero() || c.UnreadySince.Sub(p.begin) != 40*time.Second {
			t.Errorf("after three failures: %+v", c)
		}
	})
}

func TestLivenessWantsARestartAfterTheFailureThreshold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProbed(t, corev1.Container{LivenessProbe: tcp(livenessPort)}, func(int, time.Duration) (bool, error) { return false, nil })
		p.run()
		if c := p.at(15 * time.Second); c.Unhealthy != "" || !c.Ready {
			t.Errorf("after two failures: %+v", c)
		}
		if c := p.at(25 * time.Second); c.Unhealthy != "liveness probe failed: connection refused" || c.UnhealthyProbe != "liveness" {
			t.Errorf("after three failures: %+v", c)
		}
		p.at(5 * time.Minute)
		if want := []string{"2@0s", "2@10s", "2@20s"}; !slices.Equal(p.questions(), want) {
			t.Errorf("asked %v, want %v: neither early nor after it has said what it wants", p.questions(), want)
		}
	})
}

func TestOtherProbesWaitForTheStartupProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spec := corev1.Container{StartupProbe: tcp(startupPort), ReadinessProbe: tcp(readinessPort), LivenessProbe: tcp(livenessPort)}
		spec.StartupProbe.FailureThreshold = 10
		p := newProbed(t, spec, func(port int, at time.Duration) (bool, error) { return at > 25*time.Second, nil })
		p.run()
		if c := p.at(24 * time.Second); c.Started || c.Ready || c.Unhealthy != "" {
			t.Errorf("after 24 s: %+v", c)
		}
		if slices.ContainsFunc(p.questions(), func(s string) bool { return !strings.HasPrefix(s, "3@") }) {
			t.Errorf("asked %v before the startup probe had succeeded", p.questions())
		}
		if c := p.at(31 * time.Second); !c.Started || !c.Ready {
			t.Errorf("after 31 s: %+v", c)
		}
	})
}

func TestAStartupProbeThatFailsWantsARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProbed(t, corev1.Container{StartupProbe: tcp(startupPort)}, func(int, time.Duration) (bool, error) { return false, nil })
		p.run()
		if c := p.at(25 * time.Second); !strings.HasPrefix(c.Unhealthy, "startup probe failed") || c.UnhealthyProbe != "startup" || c.Started {
			t.Errorf("%+v", c)
		}
	})
}

// TestWhatCouldNotBeAskedCountsNeitherWay: the gateway is away for five minutes; the container is left alone.
func TestWhatCouldNotBeAskedCountsNeitherWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spec := corev1.Container{ReadinessProbe: tcp(readinessPort), LivenessProbe: tcp(livenessPort)}
		p := newProbed(t, spec, func(_ int, at time.Duration) (bool, error) {
			if at > time.Minute {
				return false, errors.New("the gateway is away")
			}
			return true, nil
		})
		p.run()
		if c := p.at(6 * time.Minute); !c.Ready || c.Unhealthy != "" {
			t.Errorf("%+v", c)
		}
	})
}

// TestAPodThatWasRoutedStaysReadyOverARestartOfTheDaemon until its probe says otherwise.
func TestAPodThatWasRoutedStaysReadyOverARestartOfTheDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProbed(t, corev1.Container{StartupProbe: tcp(startupPort), ReadinessProbe: tcp(readinessPort)}, func(int, time.Duration) (bool, error) { return false, nil })
		p.state.Routes = routesTo(p.state.Pods[0].IP)
		p.run()
		if c := p.at(time.Second); !c.Ready || !c.Started {
			t.Errorf("%+v", c)
		}
	})
}

// TestAContainerIsNotAskedWhileItsPostStartHookRuns: neither ready nor started until then.
func TestAContainerIsNotAskedWhileItsPostStartHookRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProbed(t, corev1.Container{ReadinessProbe: tcp(readinessPort)}, func(int, time.Duration) (bool, error) { return true, nil })
		p.state.Pods[0].Containers[0].Starting = true
		p.run()
		if c := p.at(30 * time.Second); c.Started || c.Ready || len(p.questions()) != 0 {
			t.Errorf("%+v, asked %v", c, p.questions())
		}
		p.state.Pods[0].Containers[0].Starting = false
		if p.at(31 * time.Second); len(p.questions()) != 0 {
			t.Errorf("asked %v", p.questions())
		}
		if c := p.at(32 * time.Second); !c.Started || !c.Ready {
			t.Errorf("%+v", c)
		}
	})
}

// TestSidecarsAreAskedAndContainersForDebuggingAreNot: by the name of a port, or a number in quotes.
func TestSidecarsAreAskedAndContainersForDebuggingAreNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProbed(t, corev1.Container{}, func(int, time.Duration) (bool, error) { return true, nil })
		side := sidecar("side")
		side.Ports = []corev1.ContainerPort{{Name: "up", ContainerPort: readinessPort}}
		side.ReadinessProbe, side.LivenessProbe = tcp(0), tcp(0)
		side.ReadinessProbe.TCPSocket.Port, side.LivenessProbe.TCPSocket.Port = intstr.FromString("up"), intstr.FromString("2")
		pod := &p.state.Pods[0]
		pod.Manifest.Spec.InitContainers = []corev1.Container{side}
		pod.Containers = append(pod.Containers,
			runtime.Container{ID: "s", Name: "side", State: runtime.Running, StartedAt: p.begin},
			runtime.Container{ID: "d", Name: "debugger", State: runtime.Running, StartedAt: p.begin, Ephemeral: true})
		p.run()
		p.at(time.Second)
		if c := pod.Containers[1]; !c.Ready || !c.Started {
			t.Errorf("sidecar: %+v", c)
		}
		if c := pod.Containers[2]; c.Ready || c.Started {
			t.Errorf("debugger: %+v", c)
		}
		asked := p.questions()
		slices.Sort(asked)
		if want := []string{"1@0s", "2@0s"}; !slices.Equal(asked, want) {
			t.Errorf("asked %v, want %v", asked, want)
		}
	})
}
