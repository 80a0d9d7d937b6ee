package reaper

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestWhatBearsTheMarkIsKilledAndNothingElse(t *testing.T) {
	run := func(mark, script string) (*exec.Cmd, <-chan error) {
		command := exec.Command("sh", "-c", script)
		command.Env = append(os.Environ(), mark)
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- command.Wait() }()
		t.Cleanup(func() { _ = command.Process.Kill() })
		return command, ended
	}
	_, marked := run("MARK=one", "sleep 600 & sleep 600")
	_, other := run("MARK=one-more", "exec sleep 600")
	for len(find("/proc", "MARK=one")) < 3 {
		time.Sleep(time.Millisecond) // until the shell has started both
	}
	var stderr bytes.Buffer
	if code := Main([]string{"MARK=one"}, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	<-marked
	select {
	case <-other:
		t.Error("a process with another mark is gone")
	default:
	}
}

func TestAProcessThatCannotBeReadIsPassedOver(t *testing.T) {
	proc := t.TempDir()
	for name, environment := range map[string]string{"7": "A=1\x00MARK=one\x00", "8": "MARK=one-more\x00", "9": "XMARK=one\x00", "self": "MARK=one\x00"} {
		if err := os.MkdirAll(filepath.Join(proc, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(proc, name, "environ"), []byte(environment), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(proc, "10", "environ"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := find(proc, "MARK=one"); !slices.Equal(got, []int{7}) {
		t.Errorf("found %v; want 7", got)
	}
}

func TestAWrongCommandLine(t *testing.T) {
	for _, args := range [][]string{nil, {"MARK"}, {"A=1", "B=2"}} {
		if code := Main(args, io.Discard); code != 2 {
			t.Errorf("%q: exit code %d", args, code)
		}
	}
}
