package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podyard/podyard/status"
)

// enough is how many requests must be answered while something is rolled out, and a little after.
const enough = 20_000

// TestNothingFailsInARollout: ten pods are updated, and rolled back, under load.
func TestNothingFailsInARollout(t *testing.T) {
	h := newLoadHost(t)
	h.commit("One", map[string]string{"web.yaml": web(10, "--version=1"), "load.yaml": load})
	h.start()
	h.awaitOutcome("One", status.Succeeded)
	h.underLoad("rolling update", func() {
		h.commit("Two", map[string]string{"web.yaml": web(10, "--version=2")})
		h.awaitOutcome("Two", status.Succeeded)
		h.awaitAnswers("2")
	})
	h.underLoad("rollback", func() {
		if out, code := h.podyard("rollback", "r1"); code != 0 {
			t.Fatalf("rollback: %s", out)
		}
		h.awaitAnswers("1")
	})
}

// TestACanaryIsPromoted: one pod in ten is of the next version; then all are, and the canary goes.
func TestACanaryIsPromoted(t *testing.T) {
	h := newLoadHost(t)
	stable, canary := example(t, "canary/stable.yaml"), example(t, "canary/canary.yaml")
	h.commit("Canary", map[string]string{"web.yaml": example(t, "canary/web.yaml"), "stable.yaml": stable, "canary.yaml": canary, "load.yaml": load})
	h.start()
	h.awaitOutcome("Canary", status.Succeeded)
	h.await("both versions to answer", func() bool { return h.tally().Versions["two"] > 0 })
	if got := h.tally().Versions; got["one"] < 3*got["two"] {
		t.Errorf("one pod in ten is the canary, and the answers are %v", got)
	}
	h.underLoad("canary promotion", func() {
		h.commit("Promote", map[string]string{"stable.yaml": strings.Replace(stable, "value: one", "value: two", 1)})
		h.awaitOutcome("Promote", status.Succeeded)
		h.commit("No canary", map[string]string{"canary.yaml": strings.Replace(canary, "replicas: 1", "replicas: 0", 1)})
		h.awaitOutcome("No canary", status.Succeeded)
		h.awaitAnswers("two")
	})
}

// TestASelectorSwitchesFromBlueToGreen: all new connections move at once, and back.
func TestASelectorSwitchesFromBlueToGreen(t *testing.T) {
	h := newLoadHost(t)
	service := example(t, "blue-green/web.yaml")
	h.commit("Blue", map[string]string{"web.yaml": service, "blue.yaml": example(t, "blue-green/blue.yaml"),
		"green.yaml": example(t, "blue-green/green.yaml"), "load.yaml": load, "tools.yaml": tools})
	h.start()
	h.awaitOutcome("Blue", status.Succeeded)
	h.awaitAnswers("blue")
	if out, err := h.exec("tools", "/podyard", "hello", "get", "http://web-next/"); err != nil || !strings.Contains(out, `"version":"green"`) {
		t.Errorf("before the switch, web-next answers %q, %v", out, err)
	}
	before := h.tally()
	h.underLoad("switch to green and back", func() {
		h.commit("Green", map[string]string{"web.yaml": strings.Replace(service, "color: blue", "color: green", 1)})
		h.awaitAnswers("green")
		h.git(h.work, "revert", "--no-edit", "HEAD")
		h.push()
		h.awaitAnswers("blue")
	})
	if turns := h.tally().Turns - before.Turns; turns != 2*workers/2 {
		t.Errorf("the %d workers with fresh connections saw another version %d times; want each twice", workers/2, turns)
	}
}

// newLoadHost has an engine of its own: old ones may lose count of a network's endpoints when many pods come and go, and
// then keep the network until they are restarted.
func newLoadHost(t *testing.T) *host {
	h := newHost(t)
	h.ownEngine([]string{helloImage, toolsImage})
	return h
}

const workers = 8

// load is a pod that asks http://web without end: half of its workers over connections that they keep, half over fresh ones.
var load = fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: load}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: %q, command: [server, load, "http://web", "%d"]}]
`, toolsImage, workers)

// example reads one, with an image that is here and tells its version.
func example(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../examples", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(string(text), "image: traefik/whoami:v1.11",
		fmt.Sprintf("image: %q\n          args: [hello, \"--listen=:80\", \"--version=$(WHOAMI_NAME)\"]", helloImage), 1)
}

// tally is what the load has seen so far.
type tally struct {
	Kept, Fresh, Failed, Turns int
	Versions                   map[string]int
	LastError                  string
}

func (h *host) tally() (t tally) {
	h.Helper()
	out, _ := h.command("docker", "logs", "--tail", "1", h.container("load", "main")).Output() // it may not run yet
	if len(out) > 0 {
		if err := json.Unmarshal(out, &t); err != nil {
			h.Fatalf("the load says %q: %v", out, err)
		}
	}
	return t
}

// awaitAnswers waits until every answer of the last 200 ms over a fresh connection was of one version.
func (h *host) awaitAnswers(version string) {
	h.Helper()
	h.await("answers of version "+version, func() bool {
		got := h.tally().Versions
		return len(got) == 1 && got[version] > 0
	})
}

// underLoad does something and goes on until enough requests were sent since it began; none may fail.
func (h *host) underLoad(what string, do func()) {
	h.Helper()
	h.await("the load to begin", func() bool { return h.tally().Fresh > 0 })
	before, begin := h.tally(), time.Now()
	do()
	took, during := time.Since(begin), h.tally()
	h.await("enough requests", func() bool { now := h.tally(); return now.Kept+now.Fresh-before.Kept-before.Fresh >= enough })
	after := h.tally()
	h.Logf("%s: %.1f s, in which %d requests were sent; in all %d over kept and %d over fresh connections, %d failed", what, took.Seconds(),
		during.Kept+during.Fresh-before.Kept-before.Fresh, after.Kept-before.Kept, after.Fresh-before.Fresh, after.Failed-before.Failed)
	if after.Failed > before.Failed {
		h.Errorf("%s: %d requests failed, the last one at %s", what, after.Failed-before.Failed, after.LastError)
	}
}
