package plan

import (
	"strings"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podyard/podyard/runtime"
)

var sampled = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// measured is a pod of the tables: it asks for one CPU in each of two containers. The zero value is ready for an hour and has
// no metrics.
type measured struct {
	cpu                                        int64 // of each container
	hot, pending, failed, deleted, unrequested bool
	neverReady, unready                        bool
}

func (m measured) view(name string) *podView {
	began := sampled.Add(-time.Hour)
	if m.hot {
		began = sampled.Add(-time.Minute)
	}
	v := &podView{Pod: &runtime.Pod{Manifest: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}},
		Phase: runtime.Running, CreatedAt: began, StartedAt: began}, phase: corev1.PodRunning, deleted: m.deleted,
		ready: !m.neverReady && !m.unready, readySince: began}
	if m.hot {
		v.readySince = sampled.Add(-10 * time.Second)
	}
	state := runtime.Container{State: runtime.Running, Started: true, Ready: v.ready, StartedAt: began}
	if m.unready {
		state.UnreadySince = sampled.Add(-3 * time.Minute)
	}
	switch {
	case m.pending:
		v.phase, v.ready = corev1.PodPending, false
	case m.failed:
		v.phase, v.ready = corev1.PodFailed, false
	}
	metrics := &runtime.PodMetrics{At: sampled, Window: SamplePeriod, Containers: map[string]runtime.ContainerMetrics{}}
	for _, c := range []string{"one", "two"} {
		spec := corev1.Container{Name: c}
		if !m.unrequested {
			spec.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourceMemory: resource.MustParse("1k")}
		}
		v.Manifest.Spec.Containers = append(v.Manifest.Spec.Containers, spec)
		metrics.Containers[c] = runtime.ContainerMetrics{CPU: m.cpu, Memory: m.cpu}
		state.Name = c
		v.Containers = append(v.Containers, state)
	}
	if m.cpu > 0 {
		v.Metrics = metrics
	}
	return v
}

func cpus(levels ...int64) (out []measured) {
	for _, cpu := range levels {
		out = append(out, measured{cpu: cpu})
	}
	return out
}

// TestReplicasOfAUtilization has upstream's cases and numbers (pkg/controller/podautoscaler/replica_calculator_test.go), and
// those of the bounds between.
func TestReplicasOfAUtilization(t *testing.T) {
	cold := func(cpu int64) measured { return measured{cpu: cpu} }
	for _, c := range []struct {
		name                  string
		current, target, want int32
		pods                  []measured
		percent               int32
		err                   string
	}{
		{"scale up", 3, 30, 5, cpus(300, 500, 700), 50, ""},
		{"scale up less for an unready pod", 3, 30, 4, []measured{{cpu: 300, neverReady: true}, cold(500), cold(700)}, 60, ""},
		{"scale up less for a pod that began just now", 3, 30, 4, []measured{{cpu: 300, hot: true}, cold(500), cold(700)}, 60, ""},
		{"no scale up with unready pods", 3, 30, 3, []measured{cold(400), {cpu: 500, neverReady: true}, {cpu: 700, neverReady: true}}, 40, ""},
		{"no scale up with pods that began just now", 3, 30, 3, []measured{cold(400), {cpu: 500, hot: true}, {cpu: 700, hot: true}}, 40, ""},
		{"a pod that was ready once counts", 3, 30, 5, []measured{{cpu: 300, unready: true}, cold(500), cold(700)}, 50, ""},
		{"failed pods are ignored", 2, 30, 4, []measured{cold(500), cold(700), {failed: true}, {failed: true}}, 60, ""},
		{"pods that are deleted are ignored", 2, 30, 4, []measured{cold(500), cold(700), {cpu: 900, deleted: true}, {deleted: true}}, 60, ""},
		{"scale down", 5, 50, 3, cpus(100, 300, 500, 250, 250), 28, ""},
		{"scale down with unready pods", 5, 50, 2, []measured{cold(100), cold(300), cold(500), {cpu: 250, neverReady: true}, {cpu: 250, neverReady: true}}, 30, ""},
		{"tolerance", 3, 100, 3, cpus(1010, 1030, 1020), 102, ""},
		{"the end of the tolerance above", 2, 100, 2, cpus(1100, 1100), 110, ""},
		{"beyond the tolerance above", 2, 100, 3, cpus(1110, 1110), 111, ""},
		{"beyond the tolerance below", 10, 100, 9, cpus(890, 890, 890, 890, 890, 890, 890, 890, 890, 890), 89, ""},
		{"superfluous metrics: a pod without them on the way up counts nothing", 4, 100, 4, []measured{cold(1300), cold(1300), cold(1300), {}}, 130, ""},
		{"missing metrics on the way up", 2, 100, 2, []measured{cold(1950), {}}, 195, ""},
		{"missing metrics on the way down", 2, 100, 2, []measured{cold(400), {}}, 40, ""},
		{"missing metrics on the way down, above a full request", 4, 200, 4, []measured{cold(1500), cold(1500), cold(1500), {}}, 150, ""},
		{"an unready pod does not turn the way", 3, 50, 3, []measured{cold(600), {cpu: 1, neverReady: true}, {pending: true}}, 60, ""},
		{"pending pods", 3, 30, 4, []measured{{pending: true}, cold(500), cold(700)}, 60, ""},
		{"no metrics", 1, 100, 0, []measured{{}}, 0, "unable to get metrics for resource cpu: no metrics returned from resource metrics API"},
		{"no pods", 1, 100, 0, nil, 0, "no pods returned by selector while calculating replica count"},
		{"metrics of unready pods only", 1, 100, 0, []measured{{cpu: 100, neverReady: true}}, 0, "did not receive metrics for targeted pods (pods might be unready)"},
		{"no request", 1, 100, 0, []measured{{cpu: 100, unrequested: true}}, 0, "missing request for cpu in container one of Pod web-a"},
	} {
		u := usageOf(c.current, c.pods)
		u.target.AverageUtilization = &c.target
		got, status, err := u.replicas()
		if told := message(err); told != strings.TrimSpace("failed to get cpu utilization: "+c.err) && (c.err != "" || err != nil) {
			t.Errorf("%s: error %q, want %q", c.name, told, c.err)
		}
		if err != nil {
			continue
		}
		if got != c.want || *status.AverageUtilization != c.percent {
			t.Errorf("%s: %d replicas at %d %%; want %d at %d %%", c.name, got, *status.AverageUtilization, c.want, c.percent)
		}
	}
}

func usageOf(current int32, pods []measured) *usage {
	u := &usage{autoscaler: &autoscaler{HorizontalPodAutoscaler: &autoscalingv2.HorizontalPodAutoscaler{}, current: current, at: sampled},
		resource: corev1.ResourceCPU}
	u.Namespace = "default"
	for i, m := range pods {
		u.pods = append(u.pods, m.view("web-"+string(rune('a'+i))))
	}
	return u
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestReplicasOfAnAverageValue: the value is of whole pods, two containers each; memory counts as it is, ready or not.
func TestReplicasOfAnAverageValue(t *testing.T) {
	for _, c := range []struct {
		name          string
		resource      corev1.ResourceName
		container     string
		target        string
		current, want int32
		pods          []measured
		average       string
	}{
		{"scale up", "cpu", "", "800m", 3, 4, cpus(500, 500, 500), "1"},
		{"scale up to the next whole pod", "cpu", "", "300m", 2, 7, cpus(500, 500), "1"},
		{"scale down", "cpu", "", "2", 5, 3, cpus(600, 600, 600, 600, 600), "1200m"},
		{"one container", "cpu", "two", "1", 4, 2, cpus(500, 500, 500, 500), "500m"},
		{"memory of pods that began just now", "memory", "", "1k", 2, 4, []measured{{cpu: 1000, hot: true}, {cpu: 1000, neverReady: true}}, "2k"},
		{"missing metrics on the way down", "cpu", "", "1", 2, 2, []measured{{cpu: 400}, {}}, "800m"},
		{"missing metrics on the way up", "cpu", "", "100m", 2, 10, []measured{{cpu: 500}, {}}, "1"},
	} {
		u := usageOf(c.current, c.pods)
		u.resource, u.container = c.resource, c.container
		value := resource.MustParse(c.target)
		u.target.AverageValue = &value
		got, status, err := u.replicas()
		if err != nil || got != c.want || status.AverageValue.String() != c.average {
			t.Errorf("%s: %d replicas at %s, %v; want %d at %s", c.name, got, status.AverageValue, err, c.want, c.average)
		}
	}
	u := usageOf(1, cpus(100))
	u.container = "three"
	value := resource.MustParse("1")
	u.target.AverageValue = &value
	if _, _, err := u.replicas(); err == nil || !strings.Contains(err.Error(), "container three not present in metrics for pod default/web-a") {
		t.Errorf("of a container that there is not: %v", err)
	}
}

func rules(window int32, choose autoscalingv2.ScalingPolicySelect, policies ...autoscalingv2.HPAScalingPolicy) *autoscalingv2.HPAScalingRules {
	return &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: &window, SelectPolicy: &choose, Policies: policies}
}

func scalingPolicy(kind autoscalingv2.HPAScalingPolicyType, value, period int32) autoscalingv2.HPAScalingPolicy {
	return autoscalingv2.HPAScalingPolicy{Type: kind, Value: value, PeriodSeconds: period}
}

// TestLimits are upstream's rules (convertDesiredReplicasWithRules, convertDesiredReplicasWithBehaviorRate).
func TestLimits(t *testing.T) {
	pods, percent := autoscalingv2.PodsScalingPolicy, autoscalingv2.PercentScalingPolicy
	usual := rules(0, "Max", scalingPolicy(pods, 4, 15), scalingPolicy(percent, 100, 15))
	all := rules(300, "Max", scalingPolicy(percent, 100, 15))
	ago := func(seconds int, change int32) scaleEvent {
		return scaleEvent{sampled.Add(-time.Duration(seconds) * time.Second), change}
	}
	for _, c := range []struct {
		name           string
		up, down       *autoscalingv2.HPAScalingRules
		events         []scaleEvent
		lowest, most   int32
		current, asked int32
		want           int32
		reason         string
	}{
		{"without a behavior, at most four at first", nil, nil, nil, 1, 100, 1, 9, 4, "ScaleUpLimit"},
		{"without a behavior, at most twice as many", nil, nil, nil, 1, 100, 5, 30, 10, "ScaleUpLimit"},
		{"without a behavior, down at once", nil, nil, nil, 1, 100, 50, 2, 2, "DesiredWithinRange"},
		{"the maximum", nil, nil, nil, 1, 6, 5, 30, 6, "TooManyReplicas"},
		{"the minimum", nil, nil, nil, 3, 6, 5, 1, 3, "TooFewReplicas"},
		{"no change", nil, nil, nil, 3, 6, 5, 5, 5, "DesiredWithinRange"},
		{"four more are the larger policy", usual, all, nil, 1, 100, 3, 30, 7, "ScaleUpLimit"},
		{"doubling is the larger policy", usual, all, nil, 1, 100, 10, 30, 20, "ScaleUpLimit"},
		{"what was added in the period counts", usual, all, []scaleEvent{ago(10, 4)}, 1, 100, 7, 30, 7, "ScaleUpLimit"},
		{"what was added before the period does not", usual, all, []scaleEvent{ago(15, 4)}, 1, 100, 7, 30, 14, "ScaleUpLimit"},
		{"what was removed in the period may come back", usual, all, []scaleEvent{ago(10, -5)}, 1, 100, 5, 30, 20, "ScaleUpLimit"},
		{"the smaller policy", rules(0, "Min", scalingPolicy(pods, 4, 15), scalingPolicy(percent, 50, 15)), all, nil, 1, 100, 3, 30, 5, "ScaleUpLimit"},
		{"disabled upwards", rules(0, "Disabled", scalingPolicy(pods, 4, 15)), all, nil, 1, 100, 3, 30, 3, "ScaleUpLimit"},
		{"pods downwards", usual, rules(0, "Max", scalingPolicy(pods, 2, 60)), nil, 1, 100, 10, 1, 8, "ScaleDownLimit"},
		{"a percentage downwards", usual, rules(0, "Max", scalingPolicy(percent, 10, 60)), nil, 1, 100, 25, 1, 22, "ScaleDownLimit"},
		{"the smaller change downwards", usual, rules(0, "Min", scalingPolicy(pods, 4, 60), scalingPolicy(percent, 10, 60)), nil, 1, 100, 20, 1, 18, "ScaleDownLimit"},
		{"what was removed in the period counts", usual, rules(0, "Max", scalingPolicy(pods, 2, 60)), []scaleEvent{ago(59, -2)}, 1, 100, 8, 1, 8, "ScaleDownLimit"},
		{"disabled downwards", usual, rules(0, "Disabled", scalingPolicy(pods, 2, 60)), nil, 1, 100, 8, 1, 8, "ScaleDownLimit"},
		{"the minimum with a behavior", usual, all, nil, 3, 100, 8, 1, 3, "TooFewReplicas"},
		{"the maximum with a behavior", usual, all, nil, 3, 9, 8, 12, 9, "TooManyReplicas"},
	} {
		a := &autoscaler{HorizontalPodAutoscaler: &autoscalingv2.HorizontalPodAutoscaler{}, current: c.current, at: sampled}
		a.Spec.MinReplicas, a.Spec.MaxReplicas, a.note.ScaleEvents = &c.lowest, c.most, c.events
		if c.up != nil {
			a.Spec.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: c.up, ScaleDown: c.down}
		}
		if got, why := a.limit(c.asked); got != c.want || why.reason != c.reason {
			t.Errorf("%s: %d replicas, %s; want %d, %s", c.name, got, why.reason, c.want, c.reason)
		}
	}
}

// TestStabilisation: steps are made at seconds before now; a step holds until the sample before the next.
func TestStabilisation(t *testing.T) {
	type step struct {
		ago      int
		replicas int32
	}
	for _, c := range []struct {
		name           string
		up, down       int32
		steps          []step
		current, asked int32
		want           int32
		reason         string
		kept           int
	}{
		{"nothing remembered", 0, 300, nil, 5, 2, 2, "ReadyForNewScale", 1},
		{"the highest of the window", 0, 300, []step{{400, 8}, {200, 4}, {100, 3}}, 8, 2, 8, "ScaleDownStabilized", 4},
		{"a step that ended before the window", 0, 300, []step{{900, 8}, {315, 4}, {100, 3}}, 8, 2, 4, "ScaleDownStabilized", 3},
		{"a step that ended just in the window", 0, 300, []step{{900, 8}, {284, 4}, {100, 3}}, 8, 2, 8, "ScaleDownStabilized", 4},
		{"up without a window", 0, 300, []step{{100, 3}}, 3, 6, 6, "ReadyForNewScale", 2},
		{"the lowest of the window for scaling up", 60, 300, []step{{100, 3}, {44, 5}}, 3, 6, 3, "ScaleUpStabilized", 3},
		{"the window for scaling up has passed", 60, 300, []step{{100, 3}, {75, 5}}, 3, 6, 5, "ScaleUpStabilized", 3},
		{"the same as before is no step", 0, 300, []step{{100, 3}}, 3, 3, 3, "ReadyForNewScale", 1},
		{"down at once", 0, 0, []step{{100, 3}}, 3, 1, 1, "ReadyForNewScale", 1},
	} {
		a := &autoscaler{HorizontalPodAutoscaler: &autoscalingv2.HorizontalPodAutoscaler{}, current: c.current, at: sampled}
		a.Spec.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: rules(c.up, "Max"), ScaleDown: rules(c.down, "Max")}
		for _, s := range c.steps {
			a.note.Recommendations = append(a.note.Recommendations, recommendation{sampled.Add(-time.Duration(s.ago) * time.Second), s.replicas})
		}
		got := a.stabilise(c.asked)
		if reason := a.status.Conditions[0].Reason; got != c.want || reason != c.reason {
			t.Errorf("%s: %d replicas, %s; want %d, %s", c.name, got, reason, c.want, c.reason)
		}
		if kept := a.recommended(c.asked); len(kept) != c.kept {
			t.Errorf("%s: remembered %v; want %d steps", c.name, kept, c.kept)
		}
	}
}

// TestTolerances: those of the behavior take the place of 10 %.
func TestTolerances(t *testing.T) {
	u := usageOf(1, nil)
	u.Spec.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: rules(0, "Max"), ScaleDown: rules(0, "Max")}
	up, down := resource.MustParse("0.01"), resource.MustParse("200m")
	u.Spec.Behavior.ScaleUp.Tolerance, u.Spec.Behavior.ScaleDown.Tolerance = &up, &down
	for ratio, want := range map[float64]bool{1.01: true, 1.02: false, 0.8: true, 0.79: false} {
		if got := u.tolerated(ratio); got != want {
			t.Errorf("%v tolerated: %t", ratio, got)
		}
	}
}
