package plan_test

import (
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

// uses says what every container of a pod uses.
func (w *world) uses(p *runtime.Pod, args []string) {
	if args[0] == "nothing" {
		delete(w.used, p.ID)
		return
	}
	cpu, err := resource.ParseQuantity(args[0])
	w.must(err)
	memory, err := resource.ParseQuantity(args[1])
	w.must(err)
	m := &runtime.PodMetrics{Window: plan.SamplePeriod, Containers: map[string]runtime.ContainerMetrics{}}
	for _, c := range p.Manifest.Spec.Containers {
		m.Containers[c.Name] = runtime.ContainerMetrics{CPU: cpu.MilliValue(), Memory: memory.Value()}
	}
	w.used[p.ID] = m
}

// sample reads the metrics after a while.
func (w *world) sample(args []string) {
	times := 1
	if len(args) > 0 {
		n, err := strconv.Atoi(args[0])
		w.must(err)
		times = n
	}
	for range times {
		w.now = w.now.Add(plan.SamplePeriod)
		w.state.Sampled = w.now
		for i := range w.state.Pods {
			pod := &w.state.Pods[i]
			if pod.Metrics = nil; w.used[pod.ID] != nil {
				m := *w.used[pod.ID]
				m.At, pod.Metrics = w.now, &m
			}
		}
		for steps := 0; w.do(); steps++ {
			if steps == 10 {
				w.t.Fatal("one sample gives no rest")
			}
		}
	}
}

// restart forgets what only the daemon knew.
func (w *world) restart() {
	w.state.Sampled = time.Time{}
	for i := range w.state.Pods {
		w.state.Pods[i].Metrics, w.state.Pods[i].Written = nil, nil
	}
}
