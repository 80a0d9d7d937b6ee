package e2e

import (
	"strings"
	"syscall"
	"testing"

	"github.com/podyard/podyard/status"
)

// busy burns a fifth of a core at most while there is /tmp/work.
func busy(version string) map[string]string {
	return map[string]string{"app.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: busy}
spec:
  selector: {matchLabels: {app: busy}}
  template:
    metadata: {labels: {app: busy}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: ` + toolsImage + `
        command: [sh, -c, "while :; do if [ -e /tmp/work ]; then i=0; while [ $i -lt 5000 ]; do i=$((i+1)); done; else sleep 0.2; fi; done"]
        resources: {requests: {cpu: 50m}, limits: {cpu: 200m}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: busy}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: busy}
  maxReplicas: 3
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]
  behavior: {scaleDown: {stabilizationWindowSeconds: 5}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: other}
data: {version: ` + version + `}
`}
}

// TestAnAutoscaledProgram: one that burns CPU becomes three pods, which stay through a crash of the daemon and a commit about
// something else, and one again when there is nothing to do.
func TestAnAutoscaledProgram(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.commit("Busy", busy("one"))
	h.start()
	h.awaitOutcome("Busy", status.Succeeded)
	if n := len(h.pods("busy-")); n != 1 {
		t.Fatalf("it begins with %d pods", n)
	}
	if _, err := h.exec("busy-", "touch", "/tmp/work"); err != nil {
		t.Fatal(err)
	}
	h.await("three pods", func() bool { return len(h.pods("busy-")) == 3 })
	h.stop(syscall.SIGKILL)
	h.commit("Other", busy("two"))
	h.start()
	h.awaitOutcome("Other", status.Succeeded)
	if n := len(h.pods("busy-")); n != 3 {
		t.Errorf("a new daemon and another commit make them %d pods", n)
	}
	targets := ""
	h.await("the metrics", func() bool {
		targets = h.object("HorizontalPodAutoscaler").Summary["targets"]
		return !strings.Contains(targets, "<unknown>")
	})
	if !strings.HasPrefix(targets, "cpu: ") || !strings.HasSuffix(targets, "%/50%") {
		t.Errorf("the targets are %q", targets)
	}
	for _, name := range h.names("busy-") {
		if _, err := h.exec(name, "rm", "-f", "/tmp/work"); err != nil {
			t.Fatal(err)
		}
	}
	h.await("one pod", func() bool { return len(h.pods("busy-")) == 1 })
}

// object is the first of a kind.
func (h *host) object(kind string) status.Object {
	h.Helper()
	for _, o := range h.snapshot().Objects {
		if o.Kind == kind {
			return o
		}
	}
	h.Fatalf("no %s is shown", kind)
	return status.Object{}
}
