package reconcile

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/runtime/fake"
)

// cronJob has one container and the defaults that matter.
func cronJob(name, schedule, image string) *batchv1.CronJob {
	c := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	c.Spec = batchv1.CronJobSpec{Schedule: schedule, ConcurrencyPolicy: batchv1.AllowConcurrent, Suspend: pointer(false),
		SuccessfulJobsHistoryLimit: pointer(int32(3)), FailedJobsHistoryLimit: pointer(int32(1))}
	c.Spec.JobTemplate.Spec = batchv1.JobSpec{Completions: pointer(int32(1)), Parallelism: pointer(int32(1)), BackoffLimit: pointer(int32(0)),
		CompletionMode: pointer(batchv1.NonIndexedCompletion), Suspend: pointer(false), ManualSelector: pointer(false),
		PodReplacementPolicy: pointer(batchv1.TerminatingOrFailed)}
	c.Spec.JobTemplate.Spec.Template.Spec = corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever,
		TerminationGracePeriodSeconds: pointer(int64(10)),
		Containers:                    []corev1.Container{{Name: "main", Image: image, ImagePullPolicy: corev1.PullIfNotPresent}}}
	return c
}

func cronCommit(c *batchv1.CronJob) *manifests.Set {
	set := &manifests.Set{Since: time.Now()}
	add(set, "CronJob", c.Name, c)
	return set
}

// jumpingClock is a clock on the wall that can be set.
func (y *yard) jumpingClock() (set func(by time.Duration)) {
	var offset atomic.Int64
	y.r.clock = func() time.Time { return wallClock().Add(time.Duration(offset.Load())) }
	return func(by time.Duration) { offset.Add(int64(by)) }
}

// runs are the names of the Jobs whose pods there are.
func runsIn(state *runtime.State) []string {
	var out []string
	for i := range state.Pods {
		out = append(out, strings.TrimPrefix(state.Pods[i].Manifest.Annotations["podyard.dev/owner"], "Job/"))
	}
	slices.Sort(out)
	return out
}

// The bubble's clock begins at minute 15778080 since 1970.
func TestACronJobStartsWhenTheClockSaysSo(t *testing.T) {
	inYard(t, map[string]fake.Program{"good:1": {}}, func(y *yard) {
		set := y.jumpingClock()
		y.run(cronCommit(cronJob("web", "0 * * * *", "good:1")))
		expect := func(after time.Duration, what string, want ...string) {
			y.Helper()
			if got := runsIn(y.after(after)); !slices.Equal(got, want) {
				y.Errorf("%s: runs %v, want %v", what, got, want)
			}
		}
		expect(59*time.Minute+59*time.Second, "before the hour")
		expect(2*time.Second, "after the hour", "web-15778140")
		rounds := len(y.calls("State"))
		set(58*time.Minute + 50*time.Second) // 1:58:51
		expect(clockTick, "the clock is set forward, but not far enough", "web-15778140")
		if n := len(y.calls("State")) - rounds; n > 2 {
			y.Errorf("the engine was asked %d times in %s", n, clockTick)
		}
		set(-30 * time.Minute)
		expect(clockTick+time.Second, "the clock is set back", "web-15778140")
		set(31 * time.Minute) // beyond 2:00
		expect(clockTick+time.Second, "the machine slept beyond the hour", "web-15778140", "web-15778200")
		set(-30 * time.Minute)
		expect(40*time.Minute, "the hour comes for a second time", "web-15778140", "web-15778200")
	})
}

func TestAJobGoesOnWithTheImageItWasMadeFor(t *testing.T) {
	inYard(t, map[string]fake.Program{"good:1": {}, "good:2": {}}, func(y *yard) {
		notes := &memory{}
		y.r = New(y.engine, Options{Workers: 4, Notes: notes})
		stop := y.start(cronCommit(cronJob("web", "@every 1h", "good:1")))
		state := y.after(time.Hour + time.Second)
		if len(state.Pods) != 1 {
			y.Fatalf("runs %v", runsIn(state))
		}
		stop()
		for _, c := range state.Pods[0].Containers {
			y.engine.RemoveBehindBack(c.ID)
		}
		y.engine.RemoveBehindBack(state.Pods[0].ID)
		y.engine.Reconnect() // another daemon, which has not asked for any image yet
		y.r = New(y.engine, Options{Workers: 4, Notes: notes})
		y.run(cronCommit(cronJob("web", "@every 1h", "good:2")))
		pulls := len(y.calls("PullImage"))
		state = y.after(5 * time.Minute)
		if n := len(y.calls("PullImage")) - pulls; n > 0 {
			y.Errorf("%d images are pulled, although the one of the Job is here", n)
		}
		if len(state.Pods) != 1 || len(state.Pods[0].Containers) != 1 || state.Pods[0].Containers[0].Image != "good:1" {
			y.Errorf("the Job has %+v, want a pod of good:1", state.Pods)
		}
		state = y.after(time.Hour)
		if n := len(state.Pods); n != 2 || !slices.ContainsFunc(state.Pods, func(p runtime.Pod) bool { return p.Containers[0].Image == "good:2" }) {
			y.Errorf("the next Job is not of the new template: %v", runsIn(state))
		}
	})
}

func TestARunThatWaitsIsAnEventOnce(t *testing.T) {
	inYard(t, map[string]fake.Program{"good:1": {}}, func(y *yard) {
		c := cronJob("web", "* * * * *", "good:1")
		c.Spec.ConcurrencyPolicy = batchv1.ForbidConcurrent
		y.run(cronCommit(c))
		y.after(2*time.Minute + 30*time.Second)
		n := 0
		for _, e := range y.events {
			if e.Reason == "JobAlreadyActive" && e.Object == "CronJob default/web" && e.Type == corev1.EventTypeNormal {
				n++
			}
		}
		if want := "the run due at 2000-01-01T00:02:00Z waits: web-15778081 has not ended, and concurrencyPolicy is Forbid"; n != 1 || y.event("JobAlreadyActive") != want {
			y.Errorf("%d events, the last: %q", n, y.event("JobAlreadyActive"))
		}
	})
}
