package reconcile

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/runtime/fake"
)

func sidecar(name string) corev1.Container {
	return corev1.Container{Name: name, RestartPolicy: pointer(corev1.ContainerRestartPolicyAlways)}
}

// TestSidecarsStopLastAndInReverseOrder: app containers side by side, then the second sidecar, then the first.
func TestSidecarsStopLastAndInReverseOrder(t *testing.T) {
	images := map[string]fake.Program{"log:1": {}, "proxy:1": {StopTime: time.Second}, "main:1": {StopTime: 3 * time.Second}, "aux:1": {StopTime: 2 * time.Second}}
	inYard(t, images, func(y *yard) {
		y.create(onePod(sidecar("log"), sidecar("proxy"), corev1.Container{Name: "main"}, corev1.Container{Name: "aux"}), "log", "proxy", "main", "aux")
		if err := y.r.apply(y.Context(), nil, plan.KillPod{PodRef: y.ref(), Grace: 10 * time.Second}); err != nil {
			t.Fatal(err)
		}
		ended := func(name string) time.Time { return y.container(name).FinishedAt }
		if !ended("aux").Before(ended("main")) || ended("main").Sub(ended("aux")) > 2*time.Second {
			t.Errorf("main ended at %s, aux at %s: not side by side", ended("main"), ended("aux"))
		}
		if !ended("main").Before(ended("proxy")) || !ended("proxy").Before(ended("log")) {
			t.Errorf("main %s, proxy %s, log %s", ended("main"), ended("proxy"), ended("log"))
		}
		if pod := y.state().Pods[0]; pod.Phase != runtime.Exited {
			t.Errorf("the sandbox is %s", pod.Phase)
		}
	})
}

// TestSidecarsHaveWhatIsLeftOfTheGracePeriod, at least two seconds: main needs all ten, so each sidecar is told at ten
// and killed at twelve.
func TestSidecarsHaveWhatIsLeftOfTheGracePeriod(t *testing.T) {
	images := map[string]fake.Program{"log:1": {IgnoreTERM: true}, "main:1": {IgnoreTERM: true}}
	inYard(t, images, func(y *yard) {
		y.create(onePod(sidecar("log"), corev1.Container{Name: "main"}), "log", "main")
		begin := time.Now()
		if err := y.r.apply(y.Context(), nil, plan.KillPod{PodRef: y.ref(), Grace: 10 * time.Second, KeepSandbox: true}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin).Round(time.Second); took != 12*time.Second {
			t.Errorf("took %s", took)
		}
		if pod := y.state().Pods[0]; pod.Phase != runtime.Running {
			t.Errorf("the sandbox is %s, although it was to be kept", pod.Phase)
		}
	})
}

// TestAPodWhoseContainersEndedIsRemovedAtOnce, whatever its hooks would do.
func TestAPodWhoseContainersEndedIsRemovedAtOnce(t *testing.T) {
	inYard(t, map[string]fake.Program{"main:1": {ExitAfter: time.Second}}, func(y *yard) {
		y.create(onePod(withPreStop("main", sleepHook(9))), "main")
		y.after(2 * time.Second)
		begin := time.Now()
		if err := y.r.apply(y.Context(), nil, plan.DeletePod{PodRef: y.ref(), Grace: 10 * time.Second}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("took %s", took)
		}
	})
}

// TestWhatFailsIsCalledAsUpstreamCallsIt: one fault for each step of a pod's creation.
func TestWhatFailsIsCalledAsUpstreamCallsIt(t *testing.T) {
	for verb, want := range map[string]runtime.Problem{
		"CreateSandbox":   {Reason: "FailedCreatePodSandBox"},
		"StartSandbox":    {Reason: "FailedCreatePodSandBox"},
		"WriteVolume":     {Reason: "FailedMount"},
		"CreateContainer": {Reason: "CreateContainerError", Container: "main"},
		"StartContainer":  {Reason: "RunContainerError", Container: "main"},
	} {
		t.Run(verb, func(t *testing.T) {
			inYard(t, map[string]fake.Program{"main:1": {}}, func(y *yard) {
				pod := onePod(corev1.Container{Name: "main"})
				pod.Spec.Volumes = []corev1.Volume{configVolume("conf", "c")}
				y.engine.Inject(fake.Fault{Verb: verb})
				set := commitOf(pod)
				add(set, "ConfigMap", "c", &corev1.ConfigMap{})
				y.run(set)
				got := y.after(5 * time.Second).Problems["default/one"]
				if got.Reason != want.Reason || got.Container != want.Container || !strings.Contains(got.Message, "injected fault") {
					t.Errorf("%+v, want %+v", got, want)
				}
			})
		})
	}
}

// TestAMissingReferenceIsAConfigurationError of the container that has it.
func TestAMissingReferenceIsAConfigurationError(t *testing.T) {
	inYard(t, map[string]fake.Program{"main:1": {}}, func(y *yard) {
		pod := onePod(corev1.Container{Name: "main", EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}}}}})
		y.run(commitOf(pod))
		got := y.after(5 * time.Second).Problems["default/one"]
		want := runtime.Problem{Container: "main", Reason: "CreateContainerConfigError",
			Message: "configure container default/one/main: envFrom: Secret default/s is not in the commit"}
		if got != want {
			t.Errorf("%+v", got)
		}
		if !strings.Contains(y.event("Failed"), want.Message) {
			t.Errorf("%+v", y.events)
		}
	})
}

// TestATakenHostPortIsTriedAgainWhenItIsFree: with a back-off, and at once when a pod of ours is gone.
func TestATakenHostPortIsTriedAgainWhenItIsFree(t *testing.T) {
	inYard(t, map[string]fake.Program{"main:1": {StopTime: 8 * time.Second}}, func(y *yard) {
		port := corev1.Container{Name: "main", Ports: []corev1.ContainerPort{{ContainerPort: 80, HostPort: 8080, Protocol: corev1.ProtocolTCP}}}
		y.create(onePod(port), "main")
		owner := y.ref()
		second := onePod(port)
		second.Name, second.UID = "two", "uid-two"
		create := plan.CreatePod{Pod: second, Containers: []string{"main"}}
		err := y.r.apply(y.Context(), nil, create)
		if err == nil || problemOf(create, err).Reason != "FailedCreatePodSandBox" {
			t.Fatal(err)
		}
		y.r.land(y.Context(), create, err)
		if key := create.Key(); !y.r.failures[key].retryAt.After(time.Now()) {
			t.Error("no back-off")
		}
		remove := plan.DeletePod{PodRef: owner, Grace: 10 * time.Second}
		y.r.land(y.Context(), remove, y.r.apply(y.Context(), nil, remove))
		if y.r.held(create) {
			t.Error("it still waits although the owner is gone")
		}
		if err := y.r.apply(y.Context(), nil, create); err != nil {
			t.Error(err)
		}
	})
}

// TestAPodThatHasLeftItsServicesSettlesBeforeItStops, so that it accepts who connected at the last moment. One that left long
// ago, or is to be killed, is not waited for.
func TestAPodThatHasLeftItsServicesSettlesBeforeItStops(t *testing.T) {
	for _, c := range []struct {
		name         string
		since, grace time.Duration
		want         time.Duration
	}{
		{"just now", 0, 10 * time.Second, settling},
		{"a moment ago", settling / 2, 10 * time.Second, settling / 2},
		{"long ago", time.Minute, 10 * time.Second, 0},
		{"to be killed", 0, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			inYard(t, map[string]fake.Program{"main:1": {}}, func(y *yard) {
				y.create(onePod(corev1.Container{Name: "main"}), "main")
				for _, routes := range []runtime.Routes{routesTo(y.state().Pods[0].IP), {}} {
					if err := y.r.route(y.Context(), routes); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(c.since)
				begin := time.Now()
				if err := y.r.apply(y.Context(), nil, plan.KillPod{PodRef: y.ref(), Grace: c.grace, KeepSandbox: true}); err != nil {
					t.Fatal(err)
				}
				if waited := y.container("main").FinishedAt.Sub(begin).Round(settling / 2); waited != c.want {
					t.Errorf("stopped after %s, want %s", waited, c.want)
				}
			})
		})
	}
}
