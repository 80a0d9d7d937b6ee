package plan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/podyard/podyard/reconcile/plan"
)

// A round of the loop plans all that there is, so it must not take long where nothing is to be done: less than 20 ms for a
// thousand pods. And twice as many pods take twice as long.
var benchSizes = []int{10, 100, 1000, 5000}

// BenchmarkPlan plans for Deployments of ten pods with a sidecar, each with a Service and a ConfigMap, that all run.
func BenchmarkPlan(b *testing.B) {
	benchPlan(b, func(pods int) []byte { return manyDeployments(pods/10, 10) })
}

// BenchmarkBarePods plans for pods that stand in the commit by themselves.
func BenchmarkBarePods(b *testing.B) {
	benchPlan(b, func(pods int) []byte {
		var yaml strings.Builder
		for i := range pods {
			fmt.Fprintf(&yaml, "---\napiVersion: v1\nkind: Pod\nmetadata: {name: one-%d}\nspec:\n  containers: [{name: main, image: app:1}]\n", i)
		}
		return []byte(yaml.String())
	})
}

// BenchmarkMixed plans for all kinds that keep pods, with labels that all of them have, claims and Services.
func BenchmarkMixed(b *testing.B) {
	benchPlan(b, func(pods int) []byte {
		var yaml strings.Builder
		for i := range pods / 10 {
			fmt.Fprintf(&yaml, mixed, i)
		}
		return []byte(yaml.String())
	})
}

func benchPlan(b *testing.B, yaml func(pods int) []byte) {
	for _, pods := range benchSizes {
		b.Run(fmt.Sprint(pods), func(b *testing.B) {
			w := newWorld(b)
			w.use(load(b, "bench.yaml", yaml(pods), w.now))
			w.bringUp()
			state := w.observed()
			if n := len(state.Pods); n != pods {
				b.Fatalf("%d pods run", n)
			}
			b.ReportAllocs()
			for b.Loop() {
				if result := plan.Plan(w.set, state, w.now); len(result.Actions) != 0 {
					b.Fatalf("wants to %s: %s", result.Actions[0], result.Actions[0].Why())
				}
			}
		})
	}
}

// bringUp settles without printing, and without planning twice.
func (w *world) bringUp() {
	for range 50 {
		done := w.endInits()
		result := plan.Plan(w.set, w.observed(), w.now)
		w.carryOut(result)
		if len(result.Actions) == 0 && !done {
			return
		}
	}
	w.t.Fatal("does not settle")
}

// TestPlanGrowsWithWhatThereIs: eight times the pods take about eight times the memory, and not sixty-four. Memory is counted,
// for it is the same on every machine and at any load; what loops over all pods for each shows in the benchmarks.
func TestPlanGrowsWithWhatThereIs(t *testing.T) {
	allocations := func(pods int) float64 {
		w := newWorld(t)
		var yaml strings.Builder
		for i := range pods / 10 {
			fmt.Fprintf(&yaml, mixed, i)
		}
		w.use(load(t, "many.yaml", []byte(yaml.String()), w.now))
		w.bringUp()
		state := w.observed()
		return testing.AllocsPerRun(3, func() { plan.Plan(w.set, state, w.now) })
	}
	if few, many := allocations(50), allocations(400); many > 10*few {
		t.Errorf("a plan for 50 pods makes %.0f allocations, one for 400 makes %.0f", few, many)
	}
}

func manyDeployments(n, replicas int) []byte {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, `---
apiVersion: v1
kind: ConfigMap
metadata: {name: web-%[1]d}
data: {a: "1", b: "2"}
---
apiVersion: v1
kind: Service
metadata: {name: web-%[1]d}
spec: {selector: {app: web-%[1]d}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web-%[1]d}
spec:
  replicas: %[2]d
  selector: {matchLabels: {app: web-%[1]d}}
  template:
    metadata: {labels: {app: web-%[1]d}}
    spec:
      initContainers:
      - {name: setup, image: app:1}
      - {name: proxy, image: app:1, restartPolicy: Always}
      containers:
      - name: main
        image: app:1
        ports: [{name: http, containerPort: 8080}]
        resources: {limits: {cpu: 100m, memory: 64Mi}}
        volumeMounts: [{name: config, mountPath: /config}]
      volumes: [{name: config, configMap: {name: web-%[1]d}}]
`, i, replicas)
	}
	return []byte(out.String())
}

// mixed is ten pods: a StatefulSet's three with a claim each, three of a ReplicaSet, two of a Deployment, one of a DaemonSet, and
// one by itself.
const mixed = `---
apiVersion: v1
kind: Service
metadata: {name: db-%[1]d}
spec: {clusterIP: None, selector: {app: db-%[1]d, all: "yes"}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: web-%[1]d}
spec: {selector: {all: "yes", app: web-%[1]d}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db-%[1]d}
spec:
  serviceName: db-%[1]d
  replicas: 3
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: db-%[1]d}}
  template:
    metadata: {labels: {app: db-%[1]d, all: "yes"}}
    spec: {containers: [{name: main, image: app:1, volumeMounts: [{name: data, mountPath: /data}]}]}
  volumeClaimTemplates:
  - {metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: set-%[1]d}
spec:
  replicas: 3
  selector: {matchLabels: {app: set-%[1]d}}
  template:
    metadata: {labels: {app: set-%[1]d, all: "yes"}}
    spec: {containers: [{name: main, image: app:1}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web-%[1]d}
spec:
  replicas: 2
  selector: {matchLabels: {app: web-%[1]d}}
  template:
    metadata: {labels: {app: web-%[1]d, all: "yes"}}
    spec: {containers: [{name: main, image: app:1}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent-%[1]d}
spec:
  selector: {matchLabels: {app: agent-%[1]d}}
  template:
    metadata: {labels: {app: agent-%[1]d, all: "yes"}}
    spec: {containers: [{name: main, image: app:1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: one-%[1]d, labels: {all: "yes"}}
spec: {containers: [{name: main, image: app:1}]}
`
