package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podyard/podyard/status"
)

// roomy is a pod with several containers, one of which reads its input.
var roomy = `apiVersion: v1
kind: Pod
metadata: {name: web-0, annotations: {kubectl.kubernetes.io/default-container: main}}
spec:
  terminationGracePeriodSeconds: 0
  initContainers:
  - {name: prepare, image: ` + toolsImage + `, command: [sh, -c, "echo prepared"]}
  containers:
  - {name: main, image: ` + toolsImage + `, command: [sh, -c, "echo serving; echo a file of main >/tmp/file; exec sleep 54321"]}
  - {name: console, image: ` + toolsImage + `, command: [sh, -c, "while read line; do echo you said $line; done"], stdin: true}
`

func newRoomy(t *testing.T) *host {
	h := newHost(t)
	h.commit("Pod", map[string]string{"pod.yaml": roomy})
	h.start()
	h.awaitOutcome("Pod", status.Succeeded)
	return h
}

// line is a command line that is not run yet.
func (h *host) line(args ...string) *exec.Cmd {
	return exec.CommandContext(h.Context(), binary, append([]string{"--data-dir", h.data}, args...)...)
}

// typed runs a command line with input.
func (h *host) typed(input string, args ...string) (stdout, stderr string, code int) {
	h.Helper()
	var out, errOut bytes.Buffer
	c := h.line(args...)
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(input), &out, &errOut
	var exit *exec.ExitError
	if err := c.Run(); err != nil && !errors.As(err, &exit) {
		h.Fatal(err)
	}
	return out.String(), errOut.String(), c.ProcessState.ExitCode()
}

// TestExec: outputs apart, input, exit codes, the container that is meant.
func TestExec(t *testing.T) {
	t.Parallel()
	h := newRoomy(t)
	for _, c := range []struct {
		input, args    string
		stdout, stderr string
		code           int
	}{
		{"", "exec web-0 -- sh -c|echo out; echo err >&2; exit 7", "out\n", "err\n", 7},
		{"typed\n", "exec -i web -c console -- cat", "typed\n", "", 0},
		{"typed\n", "exec web -- cat", "", "", 0},
		{"", "exec default/web-0 -- hostname", "web-0\n", "", 0},
		{"", "exec web-0 -c prepare -- true", "", "podyard: container prepare of pod web-0 does not run; podyard status web-0 says why\n", 1},
		{"", "exec web-0 -- nope", "", "podyard: exec in container default/web-0/main: exec: \"nope\": executable file not found in $PATH\n" +
			"podyard debug web-0 --image busybox:1.37 --target main brings programs that the image has not\n", 127},
		{"typed\n", "attach -i web-0", "", "podyard: container main of pod web-0 reads no input: attach without -i to see what it writes, " +
			"or set stdin: true in its manifest; podyard exec -i web-0 runs a command that reads some\n", 1},
		{"", "exec -it web-0 -- busybox true", "", "Unable to use a TTY - input is not a terminal or the right kind of file\n", 0},
	} {
		head, script, _ := strings.Cut(c.args, "|")
		args := strings.Fields(head)
		if script != "" {
			args = append(args, script)
		}
		if stdout, stderr, code := h.typed(c.input, args...); stdout != c.stdout || stderr != c.stderr || code != c.code {
			t.Errorf("podyard %s: %q, %q, %d; want %q, %q, %d", c.args, stdout, stderr, code, c.stdout, c.stderr, c.code)
		}
	}
	if out, _ := h.podyard("logs", "web-0", "-c", "prepare"); out != "prepared\n" {
		t.Errorf("the log of the init container: %q", out)
	}
	if out, _ := h.podyard("logs", "web-0"); out != "serving\n" {
		t.Errorf("the log of the default container: %q", out)
	}
	h.await("the event", func() bool {
		out, _ := h.podyard("status", "web-0")
		return strings.Contains(out, "command sh is run in container main")
	})
	if strings.Contains(h.log.String(), "echo out") {
		t.Error("the log tells a command's arguments")
	}
}

// TestAnExecEndsWithItsClient, however that goes, and an attached container runs on.
func TestAnExecEndsWithItsClient(t *testing.T) {
	t.Parallel()
	h := newRoomy(t)
	for _, signal := range []os.Signal{os.Interrupt, os.Kill} {
		c := h.line("exec", "web-0", "--", "sh", "-c", "sleep 4321; echo never")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		h.await("the command to run", func() bool { return strings.Contains(h.processes(), "sleep 4321") })
		if err := c.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if err := c.Wait(); signal == os.Interrupt && c.ProcessState.ExitCode() != 130 {
			t.Errorf("after ctrl-c it ends with %v; want exit code 130", err)
		}
		h.await("the command to be gone", func() bool { return !strings.Contains(h.processes(), "sleep 4321") })
	}

	attached := h.line("attach", "-i", "web-0", "-c", "console")
	stdin, err := attached.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out logBuffer
	attached.Stdout = &out
	if err := attached.Start(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(stdin, "hello")
	h.await("an answer", func() bool { return strings.Contains(out.String(), "you said hello") })
	if err := attached.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = attached.Wait() // it was killed
	if stdout, _, _ := h.typed("again\n", "exec", "-i", "web-0", "-c", "console", "--", "cat"); stdout != "again\n" {
		t.Errorf("after that the container says %q", stdout)
	}
	if p := h.pods("web-0")[0]; p.Restarts != 0 || p.State != "Running" {
		t.Errorf("after that the pod is %s with %d restarts", p.State, p.Restarts)
	}
}

func (h *host) processes() string {
	return h.run("docker", "top", h.container("web-0", "main"), "-eo", "pid,args")
}

// TestDebug: a container with tools sees the network and the processes of one without.
func TestDebug(t *testing.T) {
	t.Parallel()
	h := newRoomy(t)
	stdout, stderr, code := h.typed("", "debug", "web-0", "-i", "--image", toolsImage, "--target", "main", "--",
		"sh", "-c", "hostname; busybox ps -o args; busybox cat /proc/1/root/tmp/file; exit 5")
	if code != 5 || !strings.HasPrefix(stdout, "web-0\n") || !strings.Contains(stdout, "sleep 54321") || !strings.HasSuffix(stdout, "a file of main\n") {
		t.Errorf("the debug container says %q and ends with %d; want the host name, main's process, its file and 5", stdout, code)
	}
	name, found := strings.CutPrefix(strings.SplitN(stderr, ".\n", 2)[0], "Defaulting debug container name to ")
	if !found || !strings.HasPrefix(name, "debugger-") || len(name) != len("debugger-")+5 || !strings.Contains(stderr, "Targeting container \"main\".\n") {
		t.Errorf("stderr: %q", stderr)
	}
	if out, code := h.podyard("logs", "web-0", "-c", name); code != 0 || !strings.HasPrefix(out, "web-0\n") {
		t.Errorf("its log: %q, exit code %d", out, code)
	}
	h.await("the debug container to be shown", func() bool {
		containers := h.pods("web-0")[0].Containers
		last := containers[len(containers)-1]
		return last.Name == name && last.Ephemeral && last.State == "Terminated" && last.ExitCode != nil && *last.ExitCode == 5
	})
	if p := h.pods("web-0")[0]; p.State != "Running" || p.Ready != "2/2" || p.Health != status.Ready {
		t.Errorf("with it the pod is %s, %s, ready %s", p.State, p.Health, p.Ready)
	}
	if _, stderr, code := h.typed("", "debug", "web-0", "-c", name, "--image", toolsImage); code != 1 || !strings.Contains(stderr, "has a container "+name+" already") {
		t.Errorf("the same name again: %q, %d", stderr, code)
	}
	if stdout, stderr, code := h.typed("", "debug", "web-0", "-c", "watcher", "--image", toolsImage, "--", "sleep", "1000"); code != 0 || stdout+stderr != "" {
		t.Errorf("without -i: %q, %q, %d", stdout, stderr, code)
	}
	h.commit("Gone", map[string]string{"pod.yaml": strings.Replace(roomy, "web-0", "web-1", 1)})
	h.awaitOutcome("Gone", status.Succeeded)
	h.await("the debug containers to go with their pod", func() bool {
		return h.run("docker", "ps", "--all", "--quiet", "--filter", "name=k8s_"+name, "--filter", "label=podyard.dev/instance="+h.instance) == ""
	})
}

// TestATerminal is what somebody sees who works in one: a prompt, its size, ctrl-c, an exit code.
func TestATerminal(t *testing.T) {
	t.Parallel()
	h := newRoomy(t)
	keyboard, tty := openTerminal(t)
	resizeTerminal(t, keyboard, 30, 100)
	c := h.line("exec", "-it", "web-0", "--", "sh")
	c.Stdin, c.Stdout, c.Stderr = tty, tty, tty
	screen := &logBuffer{}
	go func() {
		data := make([]byte, 4096)
		for {
			n, err := keyboard.Read(data)
			if err != nil {
				return
			}
			screen.Write(data[:n])
		}
	}()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	sees := func(words string) {
		t.Helper()
		h.await(fmt.Sprintf("%q on the screen", words), func() bool { return strings.Contains(screen.String(), words) })
	}
	write := func(keys string) {
		t.Helper()
		if _, err := keyboard.WriteString(keys); err != nil {
			t.Fatal(err)
		}
	}
	sees("# ")
	write("while [ \"$(busybox stty size)\" != '30 100' ]; do sleep 0.1; done; echo large\r")
	sees("\r\nlarge\r\n")
	resizeTerminal(t, keyboard, 20, 90)
	if err := c.Process.Signal(unix.SIGWINCH); err != nil { // the test's terminal is nobody's controlling terminal
		t.Fatal(err)
	}
	write("while [ \"$(busybox stty size)\" != '20 90' ]; do sleep 0.1; done; echo small\r")
	sees("\r\nsmall\r\n")
	write("sleep 7654\r")
	h.await("the command to run", func() bool { return strings.Contains(h.processes(), "sleep 7654") })
	write("\x03echo interrupted with $?\r")
	sees("interrupted with 130")
	write("exit 9\r")
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatalf("the session does not end; the screen: %q", screen)
	}
	if code := c.ProcessState.ExitCode(); code != 9 {
		t.Errorf("exit code %d; want 9; the screen: %q", code, screen)
	}
}

// openTerminal returns both ends of a new pseudo terminal.
func openTerminal(t *testing.T) (keyboard, tty *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keyboard.Close() })
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return keyboard, tty
}

func resizeTerminal(t *testing.T, terminal *os.File, rows, columns uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}); err != nil {
		t.Fatal(err)
	}
}
