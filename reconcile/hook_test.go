package reconcile

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/runtime/fake"
)

func withPostStart(name string, hook *corev1.LifecycleHandler) corev1.Container {
	return corev1.Container{Name: name, Lifecycle: &corev1.Lifecycle{PostStart: hook}}
}

func withPreStop(name string, hook *corev1.LifecycleHandler) corev1.Container {
	return corev1.Container{Name: name, Lifecycle: &corev1.Lifecycle{PreStop: hook}}
}

func TestAPostStartHookHoldsBackReadinessAndTheNextContainer(t *testing.T) {
	inYard(t, map[string]fake.Program{"main:1": {}, "other:1": {}}, func(y *yard) {
		y.run(commitOf(onePod(withPostStart("main", execHook("sleep 5")), corev1.Container{Name: "other"})))
		y.after(3 * time.Second)
		if c := y.container("main"); !c.Starting || c.Started || c.Ready {
			t.Errorf("while the hook runs: %+v", c)
		}
		if c := y.container("other"); c.State == runtime.Running {
			t.Error("the next container runs before the hook has ended")
		}
		y.after(5 * time.Second)
		if c := y.container("main"); c.Starting || !c.Ready || c.ReadySince.Sub(c.StartedAt) < 5*time.Second {
			t.Errorf("after the hook: %+v", c)
		}
		if c := y.container("other"); c.State != runtime.Running || !c.Ready {
			t.Errorf("the next container: %+v", c)
		}
	})
}

func TestAPostStartHookThatFailsKillsTheContainer(t *testing.T) {
	inYard(t, map[string]fake.Program{"main:1": {}}, func(y *yard) {
		pod := onePod(withPostStart("main", execHook("false")))
		pod.Spec.RestartPolicy = corev1.RestartPolicyNever
		y.run(commitOf(pod))
		state := y.after(20 * time.Second)
		if c := y.container("main"); c.State != runtime.Exited {
			t.Errorf("%+v", c)
		}
		want := runtime.Problem{Container: "main", Reason: "PostStartHookError",
			Message: "postStart hook of container default/one/main: its command ended with exit code 1"}
		if got := state.Problems["default/one"]; got != want {
			t.Errorf("problem %+v", got)
		}
		if !strings.Contains(y.event("FailedPostStartHook"), want.Message) {
			t.Errorf("events: %+v", y.events)
		}
	})
}

// TestAHookEndsWithItsContainer: nothing waits for the hour, and how the container ended is what counts.
func TestAHookEndsWithItsContainer(t *testing.T) {
	inYard(t, map[string]fake.Program{"main:1": {ExitAfter: 3 * time.Second}}, func(y *yard) {
		pod := onePod(withPostStart("main", sleepHook(3600)))
		pod.Spec.RestartPolicy = corev1.RestartPolicyNever
		y.run(commitOf(pod))
		state := y.after(10 * time.Second)
		if c := y.container("main"); c.State != runtime.Exited || c.ExitCode != 0 || c.Starting {
			t.Errorf("%+v", c)
		}
		if len(y.r.hooks) != 0 || len(state.Problems) != 0 || y.event("FailedPostStartHook") != "" {
			t.Errorf("hooks %v, problems %v", y.r.hooks, state.Problems)
		}
	})
}

func TestAPodThatIsDeletedDoesNotWaitForItsPostStartHook(t *testing.T) {
	inYard(t, map[string]fake.Program{"main:1": {}}, func(y *yard) {
		y.run(commitOf(onePod(withPostStart("main", sleepHook(3600)))))
		y.after(3 * time.Second)
		y.r.SetDesired(&manifests.Set{})
		if state := y.after(3 * time.Second); len(state.Pods) != 0 {
			t.Errorf("%+v", state.Pods)
		}
		if y.event("FailedPostStartHook") != "" {
			t.Error("the hook that was interrupted is called a failure")
		}
	})
}

// TestPostStartHooksKeepNoWorkerFromOthers: four workers, six pods whose hooks take a minute.
func TestPostStartHooksKeepNoWorkerFromOthers(t *testing.T) {
	inYard(t, map[string]fake.Program{"main:1": {}}, func(y *yard) {
		set := &manifests.Set{}
		for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
			pod := onePod(withPostStart("main", sleepHook(60)))
			pod.Name = name
			add(set, "Pod", name, pod)
		}
		y.run(set)
		state := y.after(10 * time.Second)
		for _, pod := range state.Pods {
			if c := plan.Latest(&pod, "main"); c == nil || !c.Starting {
				t.Errorf("pod %s: %+v", pod.Manifest.Name, c)
			}
		}
		if y.after(time.Minute); y.r.busy != 0 {
			t.Errorf("%d workers are busy with nothing", y.r.busy)
		}
	})
}

// TestAPreStopHookUsesUpTheGracePeriod: four seconds of ten; the program ignores SIGTERM for the other six.
func TestAPreStopHookUsesUpTheGracePeriod(t *testing.T) {
	inYard(t, map[string]fake.Program{"main:1": {IgnoreTERM: true}}, func(y *yard) {
		y.create(onePod(withPreStop("main", execHook("sleep 4"))), "main")
		ref, begin := y.ref(), time.Now()
		if err := y.r.apply(y.Context(), nil, plan.DeletePod{PodRef: ref, Grace: 10 * time.Second}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin).Round(time.Second); took != 10*time.Second {
			t.Errorf("took %s", took)
		}
		calls := y.calls("Exec", "StopContainer", "RemoveSandbox")
		if want := "Exec default/one/main StopContainer default/one/main RemoveSandbox default/one"; strings.Join(calls, " ") != want {
			t.Errorf("%v", calls)
		}
	})
}

func TestAPreStopHookThatTakesTooLongLeavesTwoSeconds(t *testing.T) {
	inYard(t, map[string]fake.Program{"main:1": {IgnoreTERM: true}}, func(y *yard) {
		y.create(onePod(withPreStop("main", sleepHook(60))), "main")
		ref, begin := y.ref(), time.Now()
		if err := y.r.apply(y.Context(), nil, plan.DeletePod{PodRef: ref, Grace: 10 * time.Second}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin).Round(time.Second); took != 12*time.Second {
			t.Errorf("took %s", took)
		}
		if got := y.event("FailedPreStopHook"); got != "preStop hook of container main failed: it was not done within the grace period of 10s" {
			t.Errorf("event %q", got)
		}
	})
}

// TestAPreStopHookThatFailsStopsNothing, and is not run again when the stop has to be repeated.
func TestAPreStopHookThatFailsStopsNothing(t *testing.T) {
	inYard(t, map[string]fake.Program{"main:1": {}}, func(y *yard) {
		y.create(onePod(withPreStop("main", execHook("false"))), "main")
		action := plan.DeletePod{PodRef: y.ref(), Grace: 10 * time.Second}
		y.engine.Inject(fake.Fault{Verb: "StopContainer", Times: 1})
		if err := y.r.apply(y.Context(), nil, action); !errors.Is(err, fake.ErrInjected) {
			t.Fatal(err)
		}
		if err := y.r.apply(y.Context(), nil, action); err != nil {
			t.Fatal(err)
		}
		if n := len(y.calls("Exec")); n != 1 || len(y.state().Pods) != 0 {
			t.Errorf("%d hooks, %d pods", n, len(y.state().Pods))
		}
		if got := y.event("FailedPreStopHook"); got != "preStop hook of container main failed: its command ended with exit code 1" {
			t.Errorf("event %q", got)
		}
	})
}

func TestWithoutAGracePeriodThereIsNoPreStopHook(t *testing.T) {
	inYard(t, map[string]fake.Program{"main:1": {IgnoreTERM: true}}, func(y *yard) {
		y.create(onePod(withPreStop("main", execHook("sleep 4"))), "main")
		begin := time.Now()
		if err := y.r.apply(y.Context(), nil, plan.KillPod{PodRef: y.ref()}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > time.Second || len(y.calls("Exec")) != 0 {
			t.Errorf("took %s, %v", took, y.calls("Exec"))
		}
	})
}

// TestHooksAskServers: any answer will do, a port may have a name, and nobody at home is a failure.
func TestHooksAskServers(t *testing.T) {
	get := func(port intstr.IntOrString, path string) *corev1.LifecycleHandler {
		return &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{Port: port, Path: path}}
	}
	for name, c := range map[string]struct {
		hook *corev1.LifecycleHandler
		want string
	}{
		"200":          {hook: get(intstr.FromString("web"), "/up")},
		"404":          {hook: get(intstr.FromInt(8080), "/nowhere")},
		"refused":      {hook: get(intstr.FromInt(81), "/up"), want: "connect to port 81: connection refused"},
		"unknown port": {hook: get(intstr.FromString("admin"), "/up"), want: "container main has no port named admin"},
		"tcp":          {hook: &corev1.LifecycleHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromString("web")}}},
	} {
		t.Run(name, func(t *testing.T) {
			inYard(t, map[string]fake.Program{"main:1": {Ports: []int{8080}, Paths: map[string]int{"/up": 200}}}, func(y *yard) {
				main := withPostStart("main", c.hook)
				main.Ports = []corev1.ContainerPort{{Name: "web", ContainerPort: 8080}}
				pod := onePod(main)
				y.pull(pod)
				err := y.r.apply(y.Context(), &manifests.Set{}, plan.CreatePod{Pod: pod, Containers: []string{"main"}})
				if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasSuffix(err.Error(), c.want)) {
					t.Errorf("%v, want %q", err, c.want)
				}
			})
		})
	}
}
