package reconcile

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/runtime/fake"
)

// yard is a fake engine with a Reconciler, in fake time.
type yard struct {
	*testing.T
	engine *fake.Engine
	r      *Reconciler
	begin  time.Time

	mu     sync.Mutex
	events []Event
}

// inYard runs a test in a bubble.
func inYard(t *testing.T, images map[string]fake.Program, test func(y *yard)) {
	synctest.Test(t, func(t *testing.T) {
		y := &yard{T: t, begin: time.Now()}
		y.engine = fake.New(fake.Options{Images: images})
		if err := y.engine.Ensure(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		y.r = New(y.engine, Options{Workers: 4, Record: y.record})
		test(y)
	})
}

func (y *yard) record(e Event) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.events = append(y.events, e)
}

// event is the message of the last event with a reason; empty if there was none.
func (y *yard) event(reason string) string {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, e := range slices.Backward(y.events) {
		if e.Reason == reason {
			return e.Message
		}
	}
	return ""
}

// run runs the loop for a commit until the test ends.
func (y *yard) run(set *manifests.Set) { y.Cleanup(y.start(set)) }

// start runs the loop for a commit until it is told to stop.
func (y *yard) start(set *manifests.Set) (stop func()) {
	ctx, cancel := context.WithCancel(y.Context())
	y.r.SetDesired(set)
	done := make(chan struct{})
	go func() {
		defer close(done)
		y.r.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// create makes a pod without the loop, with the containers named.
func (y *yard) create(pod *corev1.Pod, containers ...string) string {
	y.Helper()
	y.pull(pod)
	if err := y.r.apply(y.Context(), &manifests.Set{}, plan.CreatePod{Pod: pod, Containers: containers}); err != nil {
		y.Fatal(err)
	}
	return y.state().Pods[0].ID
}

func (y *yard) pull(pod *corev1.Pod) {
	y.Helper()
	for _, c := range containersOf(&pod.Spec) {
		if _, err := y.engine.PullImage(y.Context(), c.Image, nil); err != nil {
			y.Fatal(err)
		}
	}
}

// after lets time pass and returns what the loop sees then.
func (y *yard) after(d time.Duration) *runtime.State {
	time.Sleep(d)
	synctest.Wait()
	return y.state()
}

func (y *yard) state() *runtime.State {
	y.Helper()
	state, err := y.r.observe(y.Context(), &manifests.Set{})
	if err != nil {
		y.Fatal(err)
	}
	return state
}

// container is the newest attempt of a container of the only pod; a zero one if there is none.
func (y *yard) container(name string) runtime.Container {
	y.Helper()
	state := y.state()
	if len(state.Pods) == 0 {
		return runtime.Container{}
	}
	if c := plan.Latest(&state.Pods[0], name); c != nil {
		return *c
	}
	return runtime.Container{}
}

// calls lists those of some verbs, as "StopContainer default/one/main".
func (y *yard) calls(verbs ...string) []string {
	var out []string
	for _, c := range y.engine.Calls() {
		if slices.Contains(verbs, c.Verb) {
			out = append(out, c.Verb+" "+c.Object)
		}
	}
	return out
}

// ref of the only pod.
func (y *yard) ref() plan.PodRef {
	pod := y.state().Pods[0]
	return plan.PodRef{Namespace: pod.Manifest.Namespace, Name: pod.Manifest.Name, UID: string(pod.Manifest.UID), SandboxID: pod.ID}
}

// onePod is default/one with containers that stand in for their names: "main" runs image "main:1".
func onePod(containers ...corev1.Container) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "one", UID: types.UID("uid-one")}}
	pod.Spec.RestartPolicy, pod.Spec.TerminationGracePeriodSeconds = corev1.RestartPolicyAlways, pointer(int64(10))
	for _, c := range containers {
		c.ImagePullPolicy = corev1.PullIfNotPresent
		if c.Image == "" {
			c.Image = c.Name + ":1"
		}
		if isSidecar(&c) {
			pod.Spec.InitContainers = append(pod.Spec.InitContainers, c)
		} else {
			pod.Spec.Containers = append(pod.Spec.Containers, c)
		}
	}
	return pod
}

func commitOf(pod *corev1.Pod) *manifests.Set {
	set := &manifests.Set{Since: time.Now()}
	add(set, "Pod", pod.Name, pod)
	return set
}

func execHook(command string) *corev1.LifecycleHandler {
	return &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: strings.Fields(command)}}
}

func sleepHook(seconds int64) *corev1.LifecycleHandler {
	return &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: seconds}}
}

// wantPods counts the pods that stay.
func (y *yard) wantPods(want int) {
	y.Helper()
	n := 0
	for _, pod := range y.state().Pods {
		if !pod.Stopping {
			n++
		}
	}
	if n != want {
		y.Errorf("%d pods after %s, want %d", n, time.Since(y.begin), want)
	}
}

// object is the status of the first object of a kind.
func (y *yard) object(kind string) plan.ObjectStatus {
	y.Helper()
	for _, o := range y.r.Status().Result.Objects {
		if o.Kind == kind {
			return o
		}
	}
	y.Fatalf("no %s in the status", kind)
	return plan.ObjectStatus{}
}
