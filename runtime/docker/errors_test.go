package docker

import (
	"errors"
	"strings"
	"testing"

	cerrdefs "github.com/containerd/errdefs"

	"github.com/podyard/podyard/runtime"
)

func TestBoilerplateIsTrimmed(t *testing.T) {
	for in, want := range map[string]string{
		`Error response from daemon: failed to create shim: OCI runtime create failed: container_linux.go:380: starting container process caused: exec: "x": executable file not found in $PATH: unknown`: `exec: "x": executable file not found in $PATH`,
		`failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "x": executable file not found in $PATH: unknown`:                            `exec: "x": executable file not found in $PATH`,
		`failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: no`:              `error during container init: no`,
		"driver failed programming external connectivity on endpoint x: Bind for 0.0.0.0:80 failed: port is already allocated":                                                                            "driver failed programming external connectivity on endpoint x: Bind for 0.0.0.0:80 failed: port is already allocated",
	} {
		if got := useful(in); got != want {
			t.Errorf("%s\nbecame %s\nwant   %s", in, got, want)
		}
	}
}

func TestErrorsTellTheirKindAndKeepTheirCause(t *testing.T) {
	gone := wrap("inspect", "image a", cerrdefs.ErrNotFound.WithMessage("No such image: a"))
	if !errors.Is(gone, runtime.ErrNotFound) || !cerrdefs.IsNotFound(gone) || gone.Error() != "inspect image a: No such image: a" {
		t.Errorf("not found: %v", gone)
	}
	if err := wrap("create", "pod a/b", cerrdefs.ErrInvalidArgument.WithMessage("bad")); !errors.Is(err, runtime.ErrInvalid) {
		t.Errorf("invalid: %v", err)
	}
	if err := wrap("create", "pod a/b", errors.New("no")); errors.Is(err, runtime.ErrInvalid) || errors.Is(err, runtime.ErrNotFound) {
		t.Errorf("anything else: %v", err)
	}
	// An executable that is missing is a bad request to Docker; the next attempt may find another image.
	if err := wrapStart("container a/b/c", cerrdefs.ErrInvalidArgument.WithMessage("executable file not found")); errors.Is(err, runtime.ErrInvalid) {
		t.Errorf("a failed start: %v", err)
	}
	if err := wrapStart("container a/b/c", cerrdefs.ErrNotFound.WithMessage("No such container: x")); !errors.Is(err, runtime.ErrNotFound) {
		t.Errorf("start of nothing: %v", err)
	}
}

func TestTheErrorAmongProgressMessagesIsFound(t *testing.T) {
	for in, want := range map[string]string{
		`{"status":"Pulling"}` + "\n" + `{"status":"done"}`:                                             "",
		`{"status":"Pulling"}{"errorDetail":{"message":"manifest unknown"},"error":"manifest unknown"}`: "manifest unknown",
		`{"error":"old engines"}`: "old engines",
		`{"status":`:              "read the engine's progress: unexpected EOF",
	} {
		err := streamError(strings.NewReader(in))
		if (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%s: %v, want %q", in, err, want)
		}
	}
}
