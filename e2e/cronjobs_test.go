package e2e

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/podyard/podyard/status"
)

func ticks(version string) map[string]string {
	return map[string]string{"app.yaml": fmt.Sprintf(`apiVersion: batch/v1
kind: CronJob
metadata: {name: tick}
spec:
  schedule: "@every 5s"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          terminationGracePeriodSeconds: 0
          containers: [{name: main, image: %s, command: [sh, -c, "echo %s; exec sleep 3"]}]
`, toolsImage, version)}
}

// TestACronJobRuns some seconds after it is deployed; neither a daemon that is killed nor another template makes the same run
// again, and all of it goes with the CronJob. There is one run in a minute.
func TestACronJobRuns(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.commit("First", ticks("v1"))
	h.start()
	h.awaitOutcome("First", status.Succeeded)
	var first []string
	h.await("the first run", func() bool {
		first = h.names("tick-")
		return len(first) == 1
	})
	h.stop(syscall.SIGKILL)
	h.start()
	h.commit("Second", ticks("v2"))
	h.awaitOutcome("Second", status.Succeeded)
	h.await("the first run to end", func() bool {
		out, _ := h.podyard("status")
		return strings.Contains(out, " succeeded") && strings.Contains(out, "next run at ")
	})
	job := first[0][:strings.LastIndex(first[0], "-")] // named after the minute
	if pods := h.names(job + "-"); !slices.Equal(pods, first) {
		t.Errorf("pods %v, want %v: it ran twice", pods, first)
	}
	if out, code := h.podyard("logs", first[0]); code != 0 || strings.TrimSpace(out) != "v1" {
		t.Errorf("the log of %s is %q, want that of the template it was made with", first[0], out)
	}
	var second string
	h.await("the second run, in the next minute", func() bool {
		pods := slices.DeleteFunc(h.names("tick-"), func(name string) bool { return name == first[0] })
		if len(pods) > 0 {
			second = pods[0]
		}
		return second != ""
	})
	h.await("the output of the second run", func() bool {
		out, _ := h.podyard("logs", second)
		return strings.TrimSpace(out) == "v2"
	})
	h.commit("None"+approved, map[string]string{"app.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: none}\n"})
	h.await("all pods to be gone", func() bool { return len(h.names("tick-")) == 0 })
}
