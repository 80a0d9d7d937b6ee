package docker

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/podyard/podyard/runtime"
)

// TestOneShimServesAPod, where the engine can be told; elsewhere each container has its own.
func TestOneShimServesAPod(t *testing.T) {
	e := ensuredEngine(t)
	ref := busybox(t, e.cli)
	sandbox := startPod(t, e, sandboxOf(testPod("web")))
	shims := map[string]bool{e.shimOf(t, sandbox): true}
	var first string
	for _, name := range []string{"one", "two"} {
		first = startContainer(t, e, sandbox, runtime.ContainerConfig{Name: name, Image: ref, Command: []string{"sleep", "1000"}})
		shims[e.shimOf(t, first)] = true
	}
	want := 3
	if e.facts.annotations {
		want = 1
	}
	if len(shims) != want {
		t.Errorf("the sandbox and two containers have %d shims, want %d", len(shims), want)
	}
	must(t, e.StopContainer(t.Context(), first, 0))
	if pod := podIn(t, e, sandbox); pod.Phase != runtime.Running || pod.Containers[0].State != runtime.Running {
		t.Errorf("when one container ends, the others do: %+v", pod)
	}
}

// shimOf is the parent of a container's first process.
func (e *Engine) shimOf(t *testing.T, id string) string {
	t.Helper()
	found := got(e.cli.ContainerInspect(t.Context(), id))(t)
	status := string(got(os.ReadFile(fmt.Sprintf("/proc/%d/status", found.State.Pid)))(t))
	_, parent, _ := strings.Cut(status, "PPid:")
	parent, _, _ = strings.Cut(parent, "\n")
	return strings.TrimSpace(parent)
}
