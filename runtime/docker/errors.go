package docker

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	cerrdefs "github.com/containerd/errdefs"

	"github.com/podyard/podyard/runtime"
)

// errNotEnsured is what needs the network or the gateway gets before Ensure made them.
var errNotEnsured = errors.New("the pod network is not there: Ensure makes it")

// errForeign is what has a name that we need and is not ours. It is left alone.
var errForeign = errors.New("it exists and is not of this Podyard instance")

// engineError keeps the engine's error for errors.Is and says only its useful part. kind is runtime.ErrNotFound,
// runtime.ErrInvalid or nil.
type engineError struct {
	err, kind error
}

func (e *engineError) Error() string { return useful(e.err.Error()) }

func (e *engineError) Unwrap() []error {
	if e.kind == nil {
		return []error{e.err}
	}
	return []error{e.err, e.kind}
}

// wrap words an error as "verb object: reason" and tells its kind. No error stays none.
func wrap(verb, object string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", verb, object, &engineError{err, kindOf(err)})
}

// wrapStart is wrap for the start of a container, where the engine says "bad request" also of what a later attempt may
// find in order, such as a missing executable.
func wrapStart(object string, err error) error {
	if err == nil {
		return nil
	}
	kind := kindOf(err)
	if errors.Is(kind, runtime.ErrInvalid) || !strings.Contains(err.Error(), "No such container") {
		kind = nil
	}
	return fmt.Errorf("start %s: %w", object, &engineError{err, kind})
}

func kindOf(err error) error {
	switch {
	case errors.Is(err, runtime.ErrNotFound), errors.Is(err, runtime.ErrInvalid):
		return nil // said already
	case cerrdefs.IsNotFound(err):
		return runtime.ErrNotFound
	case cerrdefs.IsInvalidArgument(err) && !strings.Contains(err.Error(), noSource): // a path may come
		return runtime.ErrInvalid
	}
	return nil
}

// boilerplate is what Docker, containerd and runc put around what went wrong, as in "failed to create shim: OCI runtime
// create failed: container_linux.go:380: starting container process caused: exec: "x": executable file not found in
// $PATH: unknown".
var boilerplate = regexp.MustCompile(`(?i)(error response from daemon: |failed to create (?:shim|task)[a-z ]*: |` +
	`OCI runtime (?:create|exec|start) failed: |[a-z_]+_linux\.go:\d+: |starting container process caused: |` +
	`runc (?:create|exec|start|run) failed: |unable to start container process: |exec failed: )`)

func useful(message string) string {
	message = boilerplate.ReplaceAllString(message, "")
	return strings.TrimSuffix(strings.TrimSpace(message), ": unknown")
}
