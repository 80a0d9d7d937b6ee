package reconcile

import (
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/runtime/fake"
)

// count is how many events with a reason there were.
func (y *yard) count(reason string) (n int) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, e := range y.events {
		if e.Reason == reason {
			n++
		}
	}
	return n
}

// TestAPodThatCannotBePlacedIsAnEventOnce, in the scheduler's words and ours; and again when it cannot be placed anew.
func TestAPodThatCannotBePlacedIsAnEventOnce(t *testing.T) {
	inYard(t, map[string]fake.Program{"main:1": {}}, func(y *yard) {
		pod := onePod(corev1.Container{Name: "main"})
		pod.Spec.NodeSelector = map[string]string{"disk": "ssd"}
		y.run(commitOf(pod))
		y.after(30 * time.Minute)
		want := "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
		if got := y.event("FailedScheduling"); !strings.HasPrefix(got, want) || !strings.Contains(got, "--node-label disk=ssd") || y.count("FailedScheduling") != 1 {
			t.Errorf("%d events, the last: %s", y.count("FailedScheduling"), got)
		}
		fits := onePod(corev1.Container{Name: "main"})
		y.r.SetDesired(commitOf(fits))
		y.after(time.Minute)
		y.r.SetDesired(commitOf(pod))
		y.after(time.Minute)
		if y.count("FailedScheduling") > 2 {
			t.Errorf("%d events", y.count("FailedScheduling"))
		}
	})
}

// TestNodeLabelsPlaceAPod: those of the host, and the user's.
func TestNodeLabelsPlaceAPod(t *testing.T) {
	inYard(t, map[string]fake.Program{"main:1": {}}, func(y *yard) {
		y.r = New(y.engine, Options{NodeLabels: map[string]string{"disk": "ssd", corev1.LabelHostname: "other"}})
		pod := onePod(corev1.Container{Name: "main"})
		pod.Spec.NodeSelector = map[string]string{"disk": "ssd", corev1.LabelHostname: "fake"}
		y.run(commitOf(pod))
		if state := y.after(5 * time.Second); len(state.Pods) != 1 {
			t.Errorf("%+v", y.r.Status().Result.Objects)
		}
	})
}

func TestEachCrashIsABackOffEvent(t *testing.T) {
	inYard(t, map[string]fake.Program{"main:1": {ExitAfter: time.Second, ExitCode: 1}}, func(y *yard) {
		y.run(commitOf(onePod(corev1.Container{Name: "main"})))
		y.after(2 * time.Minute) // waits after the second crash for 10 s, then 20 s, 40 s, 80 s
		if n := y.count("BackOff"); n != 4 {
			t.Errorf("%d events: %+v", n, y.events)
		}
		if got := y.event("BackOff"); !strings.HasPrefix(got, "Back-off restarting failed container main in pod one_default(") {
			t.Error(got)
		}
	})
}

// TestAProbeThatFailedIsAnEvent of its pod, once until it succeeds again.
func TestAProbeThatFailedIsAnEvent(t *testing.T) {
	var y yard
	r := New(fake.New(fake.Options{}), Options{Record: y.record})
	pod := runtime.Pod{Manifest: onePod(), Containers: []runtime.Container{{ID: "c", Name: "main", NotReady: "connection refused"}}}
	state := &runtime.State{Pods: []runtime.Pod{pod}}
	r.tell(nil, state)
	r.tell(nil, state)
	if got := y.event("Unhealthy"); got != "container main: readiness probe failed: connection refused" || y.count("Unhealthy") != 1 {
		t.Errorf("%+v", y.events)
	}
	pod.Containers[0].NotReady, pod.Containers[0].Ready = "", true
	r.tell(nil, state)
	pod.Containers[0].Unhealthy = "liveness probe failed: timed out"
	r.tell(nil, state)
	if got := y.event("Unhealthy"); got != "container main: liveness probe failed: timed out" || y.count("Unhealthy") != 2 {
		t.Errorf("%+v", y.events)
	}
}

// TestWhatThePlanSaysOfAPodIsAnEvent: evicted, late, and without an image.
func TestWhatThePlanSaysOfAPodIsAnEvent(t *testing.T) {
	var y yard
	r := New(fake.New(fake.Options{}), Options{Record: y.record})
	object := func(status corev1.PodStatus) []plan.ObjectStatus {
		o := plan.ObjectStatus{Pod: &status}
		o.Kind, o.Namespace, o.Name = "Pod", "default", "one"
		return []plan.ObjectStatus{o}
	}
	waits := func(reason, message string) corev1.PodStatus {
		return corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{
			Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}}}
	}
	for _, c := range []struct {
		status       corev1.PodStatus
		reason, kind string
	}{
		{corev1.PodStatus{Reason: "Evicted", Message: "too much"}, "Evicted", "Warning"},
		{corev1.PodStatus{Reason: "DeadlineExceeded", Message: "too long"}, "DeadlineExceeded", "Normal"},
		{waits("ErrImageNeverPull", "not present"), "ErrImageNeverPull", "Warning"},
		{waits("ImagePullBackOff", "Back-off pulling image"), "BackOff", "Normal"},
		{waits("InvalidImageName", "no name"), "InspectFailed", "Warning"},
	} {
		r.tell(object(c.status), &runtime.State{})
		if e := y.events[len(y.events)-1]; e.Reason != c.reason || e.Type != c.kind || e.Object != "Pod default/one" || e.Message == "" {
			t.Errorf("%+v", e)
		}
	}
}

// TestAJobsEndIsAnEventOnce, also when the daemon starts anew long after.
func TestAJobsEndIsAnEventOnce(t *testing.T) {
	inYard(t, map[string]fake.Program{"main:1": {ExitAfter: 3 * time.Second}, "main:2": {ExitAfter: time.Second, ExitCode: 3, Message: "no such table"}}, func(y *yard) {
		job := func(name, image string) *batchv1.Job {
			pod := onePod(corev1.Container{Name: "main", Image: image, TerminationMessagePath: corev1.TerminationMessagePathDefault})
			pod.Spec.RestartPolicy = corev1.RestartPolicyNever
			return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: batchv1.JobSpec{
				Completions: pointer(int32(1)), Parallelism: pointer(int32(1)), BackoffLimit: pointer(int32(0)), Suspend: pointer(false),
				ManualSelector: pointer(false), CompletionMode: pointer(batchv1.NonIndexedCompletion),
				PodReplacementPolicy: pointer(batchv1.TerminatingOrFailed), Template: corev1.PodTemplateSpec{Spec: pod.Spec}}}
		}
		set := &manifests.Set{Since: time.Now()}
		add(set, "Job", "good", job("good", "main:1"))
		add(set, "Job", "bad", job("bad", "main:2"))
		stop := y.start(set)
		y.after(time.Hour)
		stop()
		y.r = New(y.engine, Options{Record: y.record, Notes: y.r.options.Notes})
		y.run(set)
		y.after(time.Hour)
		want := "Job has reached the specified backoff limit; pod bad-"
		if got := y.event("BackoffLimitExceeded"); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "exit code 3: no such table") {
			t.Errorf("the event is %q", got)
		}
		if y.count("BackoffLimitExceeded") != 1 || y.count("Completed") != 1 || y.count("SuccessfulCreate") != 2 {
			t.Errorf("%d, %d and %d events", y.count("BackoffLimitExceeded"), y.count("Completed"), y.count("SuccessfulCreate"))
		}
	})
}
