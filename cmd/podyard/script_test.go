package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/status"
)

var update = flag.Bool("update", false, "write what the scripts print into their files")

func TestMain(m *testing.M) {
	manifests.RunChildIfAsked() // the renderer runs this very binary
	testscript.Main(m, map[string]func(){"podyard": main, "podyard-in-memory": inMemory})
}

// TestScripts runs the command line as a person would, in testdata/script. Run with -update to accept what it prints.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", UpdateScripts: *update, Cmds: map[string]func(*testscript.TestScript, bool, []string){
		"daemon": daemon, "ask": ask,
	}})
}

// daemon runs podyard-in-memory on a directory until the script ends, as the daemon to which the other commands talk, and
// waits until everything is ready.
func daemon(ts *testscript.TestScript, _ bool, args []string) {
	// A socket's path is short.
	data, err := os.MkdirTemp("", "podyard-script-")
	ts.Check(err)
	ts.Defer(func() { os.RemoveAll(data) })
	command := exec.Command("podyard-in-memory", ts.MkAbs(args[0]), data)
	command.Env = append(os.Environ(), "PATH="+ts.Getenv("PATH"))
	command.Stderr = os.Stderr
	ts.Check(command.Start())
	ts.Defer(func() {
		_ = command.Process.Kill()
		_ = command.Wait() // it was killed
	})
	ts.Setenv("DATA", data)
	client := status.NewClient(filepath.Join(data, "podyard.sock"))
	defer client.Close()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		snapshot, err := client.Snapshot(context.Background())
		if err == nil && len(snapshot.Revisions) > 0 && snapshot.Revisions[0].Outcome == status.Succeeded {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the daemon is not ready: %v, %+v", err, snapshot.Sources)
		}
	}
}

// ask runs a command line that talks to the daemon. With =N as the first word it must end with that exit code.
func ask(ts *testscript.TestScript, neg bool, args []string) {
	want := 0
	if code, given := strings.CutPrefix(args[0], "="); given {
		var err error
		want, err = strconv.Atoi(code)
		ts.Check(err)
		args = args[1:]
	}
	err := ts.Exec("podyard", append([]string{"--data-dir", ts.Getenv("DATA")}, args...)...)
	var exit *exec.ExitError
	code := 0
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if neg && code == 0 || !neg && code != want {
		ts.Fatalf("exit code %d", code)
	}
}
