package manifests

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestTheChildSeesNothing runs a program in the child's place: no environment, nowhere to connect to.
func TestTheChildSeesNothing(t *testing.T) {
	t.Setenv("PODYARD_TEST_TOKEN", "canary")
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	out, errOut := &bounded{limit: 1 << 16}, &bounded{limit: 1 << 16}
	script := `while read -r line || [ -n "$line" ]; do echo "env $line"; done </proc/$$/environ
while read -r line; do echo "net $line"; done </proc/net/dev
pwd`
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := runFenced(ctx, []string{shell, "-c", script}, nil, out, errOut); err != nil {
		t.Fatal(err, errOut.String())
	}
	if strings.Contains(out.String(), "env ") || strings.Contains(out.String(), "canary") {
		t.Errorf("the child has an environment:\n%s", out)
	}
	if !strings.HasSuffix(out.String(), "\n/\n") {
		t.Errorf("the child does not run in /:\n%s", out)
	}
	if isolations[isolation.Load()] == 0 {
		t.Log("this kernel gives no network namespaces: the child's empty PATH and refusing transport have to do")
		return
	}
	for line := range strings.Lines(out.String()) {
		if device, _, ok := strings.Cut(strings.TrimPrefix(line, "net "), ":"); ok && strings.TrimSpace(device) != "lo" {
			t.Errorf("the child has the network device %s", device)
		}
	}
}

// TestTheChildFencesItself looks at a child that waits for its input.
func TestTheChildFencesItself(t *testing.T) {
	command, err := NewRenderer(RendererOptions{Memory: 256 << 20, Timeout: 7 * time.Second}).command()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(command[0], command[1:]...)
	child.Env = []string{}
	input, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer input.Close()
	want := []string{"NoNewPrivs:\t1", "Max data size 268435456 268435456", "Max cpu time 8 9", "Max file size 0 0", "Max core file size 0 0", "Max open files 16 16"}
	if os.Geteuid() == 0 {
		want = append(want, "Uid:\t65534\t65534\t65534\t65534", "Gid:\t65534\t65534\t65534\t65534", "CapEff:\t0000000000000000")
	}
	var missing []string
	for range 100 {
		missing = slices.DeleteFunc(slices.Clone(want), func(line string) bool { return strings.Contains(fences(t, child.Process.Pid), line) })
		if len(missing) == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("the child lacks %q:\n%s", missing, fences(t, child.Process.Pid))
}

// fences is what the kernel says about a process, with single spaces between the columns of its limits.
func fences(t *testing.T, pid int) string {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	if err != nil {
		t.Fatal(err)
	}
	return string(status) + strings.Join(strings.Fields(string(limits)), " ")
}
