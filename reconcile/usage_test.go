package reconcile

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/runtime/fake"
)

// scales says how large every volume is, and counts how often it was asked.
type scales struct {
	*fake.Engine
	size  atomic.Int64
	asked atomic.Int64
}

func (s *scales) VolumeUsage(_ context.Context, _ string, volumes []string) (map[string]int64, error) {
	s.asked.Add(1)
	out := map[string]int64{}
	for _, name := range volumes {
		out[name] = s.size.Load()
	}
	return out, nil
}

// TestEmptyDirsWithALimitAreMeasuredOnceAMinute: those on disk; and the loop looks again as soon as one is too large.
func TestEmptyDirsWithALimitAreMeasuredOnceAMinute(t *testing.T) {
	inYard(t, map[string]fake.Program{"main:1": {}}, func(y *yard) {
		scales := &scales{Engine: y.engine}
		var rounds []time.Time
		y.r = New(scales, Options{Changed: func(Status) { rounds = append(rounds, time.Now()) }})
		limit := pointer(resource.MustParse("1Ki"))
		pod := onePod(corev1.Container{Name: "main"})
		pod.Spec.Volumes = []corev1.Volume{
			{Name: "cache", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: limit}}},
			{Name: "free", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			{Name: "memory", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory, SizeLimit: limit}}},
		}
		y.run(commitOf(pod))
		y.after(10*time.Minute + 30*time.Second)
		if n := scales.asked.Load(); n < 10 || n > 11 {
			t.Errorf("measured %d times in ten and a half minutes", n)
		}
		if usage := y.state().Pods[0].Usage; !slices.Equal(sortedKeys(usage), []string{"cache"}) {
			t.Errorf("measured: %v", usage)
		}
		quiet := len(rounds)
		scales.size.Store(4096)
		y.after(time.Minute)
		if n := len(rounds) - quiet; n < 2 || rounds[len(rounds)-1] != rounds[len(rounds)-2] {
			t.Errorf("%d rounds; not at once after the excess was measured", n)
		}
		if usage := y.state().Pods[0].Usage; usage["cache"] != 4096 {
			t.Errorf("measured: %v", usage)
		}
	})
}

// TestAPodThatFillsItsEmptyDirIsEvicted: its containers are stopped, and it stays so, also for a daemon that starts anew.
func TestAPodThatFillsItsEmptyDirIsEvicted(t *testing.T) {
	inYard(t, map[string]fake.Program{"main:1": {}}, func(y *yard) {
		pod := onePod(corev1.Container{Name: "main", VolumeMounts: []corev1.VolumeMount{{Name: "cache", MountPath: "/cache"}}})
		pod.Spec.Volumes = []corev1.Volume{{Name: "cache", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{
			SizeLimit: pointer(resource.MustParse("1Ki"))}}}}
		stop := y.start(commitOf(pod))
		y.after(10 * time.Second)
		y.engine.FillVolume("default", "one", "cache", 4096)
		y.after(2 * time.Minute)
		evicted := func() {
			t.Helper()
			if c := y.container("main"); c.State != runtime.Exited || c.Attempt != 0 {
				t.Errorf("%+v", c)
			}
			if status := y.r.Status().Result.Objects[0].Pod; status.Phase != corev1.PodFailed || status.Reason != "Evicted" {
				t.Errorf("%+v", status)
			}
		}
		evicted()
		if got := y.event("Evicted"); got == "" {
			t.Errorf("%+v", y.events)
		}
		stop()
		y.r = New(y.engine, Options{})
		y.run(commitOf(pod))
		y.after(2 * time.Minute)
		evicted()
	})
}
