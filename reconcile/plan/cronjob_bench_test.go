package plan_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/podyard/podyard/reconcile/plan"
)

// BenchmarkCronJobs plans CronJobs with four Jobs each that have ended, when nothing is due.
func BenchmarkCronJobs(b *testing.B) {
	for _, n := range []int{10, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := newWorld(b)
			yaml := ""
			for i := range n {
				yaml += fmt.Sprintf(`
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: c%d}
spec:
  schedule: "* * * * *"
  successfulJobsHistoryLimit: 4
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: 'app:1', env: [{name: A, value: b}], command: [a, b]}]}}}}
`, i)
			}
			w.use(load(b, "a.yaml", []byte(yaml), w.now))
			for range 5 {
				w.settle()
				for i := range w.state.Pods {
					for j := range w.state.Pods[i].Containers {
						end(&w.state.Pods[i].Containers[j], 0, w.now)
					}
				}
				w.settle()
				w.now = w.now.Add(time.Minute)
			}
			set, state := w.set, w.observed()
			b.ReportMetric(float64(len(state.Notes)), "notes")
			for b.Loop() {
				plan.Plan(set, state, w.now.Add(-time.Minute))
			}
		})
	}
}
