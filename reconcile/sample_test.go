package reconcile

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/runtime/fake"
)

// autoscaledSet is a Deployment whose containers ask for 100m, and an autoscaler to half of it.
func autoscaledSet(replicas, most int32) *manifests.Set {
	d := &appsv1.Deployment{}
	d.TypeMeta, d.ObjectMeta, d.Spec.Selector = typed("Deployment", "web")
	d.Spec.Replicas, d.Spec.Template.Labels = &replicas, map[string]string{"app": "web"}
	d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	d.Spec.Template.Spec = corev1.PodSpec{TerminationGracePeriodSeconds: pointer(int64(1)), Containers: []corev1.Container{{
		Name: "main", Image: "main:1", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}}}}}
	set := &manifests.Set{Since: time.Now()}
	add(set, "Deployment", "web", d)
	add(set, "HorizontalPodAutoscaler", "web", autoscalerOf("Deployment", "web", 1, most))
	return set
}

func autoscalerOf(kind, name string, least, most int32) *autoscalingv2.HorizontalPodAutoscaler {
	a := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	a.Spec.ScaleTargetRef = autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: kind, Name: name}
	a.Spec.MinReplicas, a.Spec.MaxReplicas = &least, most
	a.Spec.Metrics = []autoscalingv2.MetricSpec{{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
		Name: corev1.ResourceCPU, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: pointer(int32(50))}}}}
	return a
}

// diary counts what is written.
type diary struct {
	memory
	writes atomic.Int64
}

func (d *diary) PutNote(name, text string) error {
	d.writes.Add(1)
	return d.memory.PutNote(name, text)
}

// TestAnAutoscaledDeploymentFollowsItsLoad: 300m of work at 50m a pod are six pods; what it settles at is written once and
// survives the daemon; nothing is asked for where nothing is autoscaled.
func TestAnAutoscaledDeploymentFollowsItsLoad(t *testing.T) {
	inYard(t, map[string]fake.Program{"main:1": {}}, func(y *yard) {
		notes := &diary{}
		y.r = New(y.engine, Options{Notes: notes, Record: y.record})
		stop := y.start(autoscaledSet(1, 10))
		y.after(10 * time.Minute)
		y.wantPods(1)
		y.engine.SetLoad("main:1", fake.Load{CPU: 300, Memory: 1 << 20})
		y.after(20 * time.Second)
		y.wantPods(4)
		y.after(time.Minute)
		y.wantPods(6)
		if got := y.event("SuccessfulRescale"); got != "New size: 6; reason: cpu resource utilization (percentage of request) above target" {
			t.Errorf("event %q", got)
		}
		y.after(10 * time.Minute)
		written, asked := notes.writes.Load(), len(y.calls("ContainerStats"))
		y.after(10 * time.Minute)
		if n := notes.writes.Load() - written; n != 0 {
			t.Errorf("%d notes were written although nothing changed", n)
		}
		if n := len(y.calls("ContainerStats")) - asked; n < 6*39 || n > 6*41 {
			t.Errorf("statistics of 6 containers were read %d times in 10 minutes, not 40 times each", n)
		}
		if m := y.state().Pods[0].Metrics; m == nil || m.Containers["main"] != (runtime.ContainerMetrics{CPU: 50, Memory: 1 << 20}) || m.Window.Round(time.Second) != 15*time.Second {
			t.Errorf("metrics %+v", m)
		}
		stop()
		events := len(y.events)
		y.r = New(y.engine, Options{Notes: notes, Record: y.record})
		stop = y.start(autoscaledSet(3, 10))
		y.after(14 * time.Second)
		y.wantPods(6)
		y.after(time.Hour)
		y.wantPods(6)
		for _, e := range y.events[events:] {
			if e.Reason == "SuccessfulRescale" {
				t.Errorf("a new daemon tells again: %s", e.Message)
			}
		}
		if o := y.object("HorizontalPodAutoscaler"); !strings.Contains(o.Message, "from 1 to 3 in git, which changes nothing") {
			t.Errorf("%+v", o)
		}
		y.engine.SetLoad("main:1", fake.Load{CPU: 40})
		y.after(4 * time.Minute)
		y.wantPods(6)
		y.after(2 * time.Minute)
		y.wantPods(1)
		stop()
		y.r = New(y.engine, Options{Notes: notes})
		asked = len(y.calls("ContainerStats"))
		y.run(commitOf(onePod(corev1.Container{Name: "main"})))
		y.after(10 * time.Minute)
		if n := len(y.calls("ContainerStats")); n != asked {
			t.Errorf("statistics were read %d times for nobody", n-asked)
		}
		if left, err := notes.Notes(); len(left) != 0 || err != nil {
			t.Errorf("notes left: %v, %v", left, err)
		}
	})
}

// TestMetricsOfAPod: the mean between two samples, or since a container started, if that is not too short; nothing unless it
// is known of all containers.
func TestMetricsOfAPod(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	pod := func(started time.Duration) *runtime.Pod {
		p := &runtime.Pod{Manifest: onePod(corev1.Container{Name: "main"}, corev1.Container{Name: "side"})}
		for _, name := range []string{"main", "side"} {
			p.Containers = append(p.Containers, runtime.Container{ID: name, Name: name, State: runtime.Running, StartedAt: now.Add(-started)})
		}
		return p
	}
	stats := func(ago, main, side time.Duration) map[string]runtime.Stats {
		return map[string]runtime.Stats{"main": {At: now.Add(-ago), CPU: main, Memory: 1}, "side": {At: now.Add(-ago), CPU: side, Memory: 2}}
	}
	second := time.Second
	for _, c := range []struct {
		name        string
		started     time.Duration
		now, before map[string]runtime.Stats
		want        string
	}{
		{"between samples", time.Hour, stats(0, 103*second, 20*second), stats(15*second, 100*second, 20*second), "15s 200 0"},
		{"rounded up", time.Hour, stats(0, second+1, second), stats(15*second, second, second), "15s 1 0"},
		{"since the start", 12 * second, stats(0, 6*second, 0), map[string]runtime.Stats{}, "12s 500 0"},
		{"since a start just now", 9 * second, stats(0, 6*second, 0), map[string]runtime.Stats{}, "none"},
		{"since a start long ago, of which no sample told", time.Hour, stats(0, 6*second, 0), map[string]runtime.Stats{}, "none"},
		{"one container is unknown", time.Hour, map[string]runtime.Stats{"main": {At: now}}, stats(15*second, 0, 0), "none"},
	} {
		got := "none"
		if m := metricsOf(pod(c.started), c.now, c.before, now.Add(-15*second)); m != nil {
			got = fmt.Sprintf("%s %d %d", m.Window, m.Containers["main"].CPU, m.Containers["side"].CPU)
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
