package deploy_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podyard/podyard/runtime/fake"
	"github.com/podyard/podyard/status"
)

const manyContainers = `apiVersion: v1
kind: Pod
metadata: {name: app}
spec:
  terminationGracePeriodSeconds: 1
  initContainers:
  - {name: prepare, image: "done:1"}
  - {name: proxy, image: "app:2", restartPolicy: Always}
  containers:
  - {name: main, image: "copy:1", stdin: true, stdinOnce: true}
`

// inside is a bench with the pod above, initialized.
func inside(t *testing.T, yaml string) *bench {
	b := newBench(t)
	b.engine.Push("done:1", fake.Program{Local: true, ExitAfter: time.Millisecond, Output: []fake.Line{{Text: "prepared"}}})
	b.engine.Push("copy:1", fake.Program{Local: true, Copies: true})
	b.engine.Push("tools:1", fake.Program{Local: true, ExitAfter: 50 * time.Millisecond, ExitCode: 3, Output: []fake.Line{{Text: "looked into"}}})
	b.commit("First", yaml)
	b.start()
	b.await("First", status.Succeeded)
	return b
}

func in(container string) status.ContainerName {
	return status.ContainerName{Namespace: "default", Pod: "app", Container: container}
}

func (b *bench) events(reason string) (messages []string) {
	b.Helper()
	s, err := b.deployer.Snapshot(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range s.Events {
		if e.Reason == reason {
			messages = append(messages, e.Object.String()+": "+e.Message)
		}
	}
	return messages
}

func TestACommandRunsInTheContainerThatIsMeant(t *testing.T) {
	b := inside(t, manyContainers)
	var stdout, stderr bytes.Buffer
	streams := status.Streams{Stdin: strings.NewReader("typed"), Stdout: &stdout, Stderr: &stderr}
	code, err := b.deployer.Exec(t.Context(), status.ExecRequest{ContainerName: in(""), Command: []string{"cat"}, Stdin: true}, streams)
	if err != nil || code != 0 || stdout.String() != "typed" {
		t.Errorf("cat in the only app container: %q, %d, %v", stdout.String(), code, err)
	}
	code, err = b.deployer.Exec(t.Context(), status.ExecRequest{ContainerName: in("proxy"), Command: []string{"sh", "-c", "exit 5"}}, streams)
	if err != nil || code != 5 {
		t.Errorf("exit 5 in the sidecar: %d, %v", code, err)
	}
}

func TestAnEventSaysThatACommandWasRunAndKeepsItsArguments(t *testing.T) {
	b := inside(t, manyContainers)
	request := status.ExecRequest{ContainerName: in("main"), Command: []string{"echo", "--password", "correct-horse"}}
	if _, err := b.deployer.Exec(t.Context(), request, status.Streams{Stdout: io.Discard, Stderr: io.Discard}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); len(b.events("Exec")) == 0 && time.Now().Before(deadline); {
		time.Sleep(50 * time.Millisecond) // events are written in the background
	}
	want := []string{"Pod default/app: command echo is run in container main, by podyard exec"}
	if got := b.events("Exec"); !slices.Equal(got, want) {
		t.Errorf("events: %q; want %q", got, want)
	}
}

func TestWhatCannotBeEntered(t *testing.T) {
	b := inside(t, manyContainers)
	for _, c := range []struct {
		name status.ContainerName
		kind error
		want string
	}{
		{status.ContainerName{Namespace: "default", Pod: "web", Container: "main"}, status.ErrNotFound, "pod default/web: not found; podyard status lists"},
		{in("cache"), status.ErrNotFound, "pod app has no container cache; it has main, prepare (init), proxy (init)"},
		{in("prepare"), status.ErrConflict, "container prepare of pod app does not run; podyard status app says why"},
	} {
		_, execErr := b.deployer.Exec(t.Context(), status.ExecRequest{ContainerName: c.name, Command: []string{"true"}}, status.Streams{})
		_, attachErr := b.deployer.Attach(t.Context(), status.AttachRequest{ContainerName: c.name}, status.Streams{})
		for _, err := range []error{execErr, attachErr} {
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v: %v; want %q", c.name, err, c.want)
			}
		}
	}
	if _, err := b.deployer.Exec(t.Context(), status.ExecRequest{ContainerName: in("main")}, status.Streams{}); !errors.Is(err, status.ErrInvalid) {
		t.Errorf("no command: %v", err)
	}
}

func TestOfSeveralContainersTheAnnotationNamesTheDefault(t *testing.T) {
	several := strings.Replace(strings.Replace(manyContainers, "stdinOnce: true}\n", "}\n  - {name: side, image: \"app:1\"}\n", 1), "{name: app}", "{name: app, annotations: {A}}", 1)
	b := inside(t, strings.Replace(several, "{A}", "{}", 1))
	exec := func() error {
		_, err := b.deployer.Exec(t.Context(), status.ExecRequest{ContainerName: in(""), Command: []string{"true"}}, status.Streams{})
		return err
	}
	if err := exec(); !errors.Is(err, status.ErrInvalid) || !strings.Contains(err.Error(), "say which with -c: main, side, prepare (init), proxy (init)") {
		t.Errorf("without an annotation: %v", err)
	}
	b.commit("Second", strings.Replace(several, "{A}", `{kubectl.kubernetes.io/default-container: side}`, 1))
	b.await("Second", status.Succeeded)
	if err := exec(); err != nil {
		t.Errorf("with an annotation: %v", err)
	}
}

func TestAttachingTellsHowTheContainerEnded(t *testing.T) {
	b := inside(t, manyContainers)
	var stdout bytes.Buffer
	streams := status.Streams{Stdin: strings.NewReader("hello"), Stdout: &stdout, Stderr: io.Discard}
	code, err := b.deployer.Attach(t.Context(), status.AttachRequest{ContainerName: in("main"), Stdin: true}, streams)
	if err != nil || code != 0 || stdout.String() != "hello" {
		t.Errorf("attached until the input ended: %q, %d, %v", stdout.String(), code, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := b.deployer.Attach(ctx, status.AttachRequest{ContainerName: in("proxy")}, streams); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("attached until the caller went: %v", err)
	}
}

func TestAContainerThatReadsNothingIsNotTypedInto(t *testing.T) {
	b := inside(t, manyContainers)
	for _, c := range []struct {
		request status.AttachRequest
		want    string
	}{
		{status.AttachRequest{ContainerName: in("proxy"), Stdin: true}, "container proxy of pod app reads no input: attach without -i"},
		{status.AttachRequest{ContainerName: in("main"), Stdin: true, TTY: true}, "container main of pod app has no terminal: attach without -t"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := b.deployer.Attach(ctx, c.request, status.Streams{Stdin: strings.NewReader("hello"), Stdout: io.Discard, Stderr: io.Discard})
		if cancel(); !errors.Is(err, status.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v; want %q", c.request, err, c.want)
		}
	}
	if got := b.events("Attach"); len(got) > 0 {
		t.Errorf("events: %q", got)
	}
}

func TestADebugContainerIsSeenAndItsLogIsKept(t *testing.T) {
	b := inside(t, manyContainers)
	request := status.DebugRequest{ContainerName: in("debugger-abcde"), Image: "tools:1", Target: "main"}
	if err := b.deployer.Debug(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond) // until it has ended
	var stdout bytes.Buffer
	code, err := b.deployer.Attach(t.Context(), status.AttachRequest{ContainerName: in("debugger-abcde"), Logs: true}, status.Streams{Stdout: &stdout, Stderr: &stdout})
	if err != nil || code != 3 || stdout.String() != "looked into\n" {
		t.Errorf("attached after its end: %q, %d, %v", stdout.String(), code, err)
	}
	stdout.Reset()
	if err := b.deployer.Logs(t.Context(), status.LogRequest{Namespace: "default", Pod: "app", Container: "debugger-abcde", Tail: -1}, &stdout); err != nil || stdout.String() != "looked into\n" {
		t.Errorf("its log: %q, %v", stdout.String(), err)
	}
	for name, wrong := range map[string]status.DebugRequest{
		"has a container debugger-abcde already": request,
		"has a container prepare already":        {ContainerName: in("prepare"), Image: "tools:1"},
		"container name \"De Bug\"":              {ContainerName: in("De Bug"), Image: "tools:1"},
		"say which image":                        {ContainerName: in("other")},
		"has no container cache to look into":    {ContainerName: in("other"), Image: "tools:1", Target: "cache"},
		"container prepare of pod app does not run, so there is nothing to look into": {ContainerName: in("other"), Image: "tools:1", Target: "prepare"},
		"image missing:1": {ContainerName: in("other"), Image: "missing:1"},
	} {
		if err := b.deployer.Debug(t.Context(), wrong); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%+v: %v; want %q", wrong, err, name)
		}
	}
	if got := b.events("Debug"); len(got) != 1 || !strings.Contains(got[0], "container debugger-abcde with image tools:1 was added") {
		t.Errorf("events: %q", got)
	}
}

func TestLogsOfInitContainersAndOfWhatHasNotStarted(t *testing.T) {
	b := inside(t, manyContainers)
	var out bytes.Buffer
	if err := b.deployer.Logs(t.Context(), status.LogRequest{Namespace: "default", Pod: "app", Container: "prepare", Tail: -1}, &out); err != nil || out.String() != "prepared\n" {
		t.Errorf("the log of an init container: %q, %v", out.String(), err)
	}
	b.engine.Push("stuck:1", fake.Program{Local: true})
	b.commit("Second", strings.Replace(manyContainers, "done:1", "stuck:1", 1))
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := b.deployer.Logs(t.Context(), status.LogRequest{Namespace: "default", Pod: "app", Container: "main", Tail: -1}, io.Discard)
		if errors.Is(err, status.ErrConflict) && strings.Contains(err.Error(), "was not started yet; podyard status app says what it waits for") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the log of a container that waits: %v", err)
		}
	}
}
