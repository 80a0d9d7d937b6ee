package e2e

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/podyard/podyard/status"
)

// shards is an Indexed Job of three pods; each says what it sees, in a volume that outlives it and on its output.
func shards(version string) map[string]string {
	return map[string]string{"app.yaml": fmt.Sprintf(`apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: log}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: shard}
spec:
  completionMode: Indexed
  completions: 3
  parallelism: 2
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 0
      volumes: [{name: log, persistentVolumeClaim: {claimName: log}}]
      containers:
      - name: main
        image: %s
        command: [sh, -c, "echo %s $JOB_COMPLETION_INDEX $(hostname) | tee -a /log/runs"]
        volumeMounts: [{name: log, mountPath: /log}]
---
apiVersion: v1
kind: Pod
metadata: {name: reader}
spec:
  terminationGracePeriodSeconds: 0
  volumes: [{name: log, persistentVolumeClaim: {claimName: log}}]
  containers: [{name: main, image: %[1]s, command: [sleep, "1000"], volumeMounts: [{name: log, mountPath: /log}]}]
`, toolsImage, version)}
}

// TestAJobRunsOnce for each version of it: not again when the daemon starts anew, for another commit, or when its containers are
// removed.
func TestAJobRunsOnce(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.commit("First", shards("v1"))
	h.start()
	h.awaitOutcome("First", status.Succeeded)
	first := []string{"v1 0 shard-0", "v1 1 shard-1", "v1 2 shard-2"}
	h.expectRuns(first)
	for i, pod := range h.names("shard-") {
		if out, code := h.podyard("logs", pod); code != 0 || strings.TrimSpace(out) != first[i] {
			t.Errorf("the log of %s is %q, want %q", pod, out, first[i])
		}
	}
	if out, _ := h.podyard("status"); !strings.Contains(out, "3/3") {
		t.Errorf("the status does not say how far the Job is:\n%s", out)
	}

	h.stop(syscall.SIGKILL)
	h.start()
	h.commit("Unrelated", map[string]string{"other.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n"})
	h.awaitOutcome("Unrelated", status.Succeeded)
	h.run("docker", "container", "prune", "--force", "--filter", "label=podyard.dev/instance="+h.instance)
	h.await("the Job's pods to be gone", func() bool { return len(h.pods("shard-")) == 0 })
	h.stop(syscall.SIGTERM)
	h.start()
	h.commit("More", map[string]string{"other.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\n"})
	h.awaitOutcome("More", status.Succeeded)
	h.expectRuns(first)

	h.commit("Second", shards("v2"))
	h.awaitOutcome("Second", status.Succeeded)
	h.expectRuns(append(first, "v2 0 shard-0", "v2 1 shard-1", "v2 2 shard-2"))
}

// expectRuns compares what the Job's pods have written, in whatever order they ran.
func (h *host) expectRuns(want []string) {
	h.Helper()
	out, err := h.exec("reader", "cat", "/log/runs")
	got := strings.Split(out, "\n")
	slices.Sort(got)
	if err != nil || !slices.Equal(got, want) {
		h.Errorf("the pods have written %q, %v; want %q", got, err, want)
	}
}

// TestAJobThatFailsFailsTheRevision, with what its container said.
func TestAJobThatFailsFailsTheRevision(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.commit("Bad", map[string]string{"app.yaml": `apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
      - {name: main, image: ` + toolsImage + `, command: [sh, -c, "echo no such table > /dev/termination-log; exit 3"]}
`})
	h.start()
	message := h.awaitOutcome("Bad", status.Failed).Message
	for _, want := range []string{"Job default/migrate: BackoffLimitExceeded", "exit code 3: no such table"} {
		if !strings.Contains(message, want) {
			t.Errorf("the revision failed with %q, want %q in it", message, want)
		}
	}
}
