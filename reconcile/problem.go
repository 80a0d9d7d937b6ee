package reconcile

import (
	"errors"
	"strings"

	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

// Reasons of failed steps, in upstream's words: pkg/kubelet/container/sync_result.go, pkg/kubelet/kuberuntime
// (kuberuntime_container.go) and pkg/kubelet/events.
const (
	createContainerConfigError = "CreateContainerConfigError"
	createContainerError       = "CreateContainerError"
	runContainerError          = "RunContainerError"
	killContainerError         = "KillContainerError"
	postStartHookError         = "PostStartHookError"
	failedCreatePodSandBox     = "FailedCreatePodSandBox"
	failedKillPod              = "FailedKillPod"
	failedMount                = "FailedMount"
	failedPostStartHook        = "FailedPostStartHook"
	failedPreStopHook          = "FailedPreStopHook"
)

// stepError is the failure of one step of an action.
type stepError struct {
	reason, container string
	// port: somebody else has a port of the host that the pod or the publication wants.
	port bool
	err  error
}

func (e *stepError) Error() string { return e.err.Error() }

func (e *stepError) Unwrap() error { return e.err }

// failed names the step that failed, unless the error does so already; nil stays nil.
func failed(reason, container string, err error) error {
	var named *stepError
	if err == nil || errors.As(err, &named) {
		return err
	}
	return &stepError{reason: reason, container: container, err: err}
}

// problemOf is what a failed action says of its pod.
func problemOf(a plan.Action, err error) runtime.Problem {
	problem := runtime.Problem{Message: words(err)}
	var named *stepError
	if errors.As(err, &named) {
		problem.Reason, problem.Container = named.reason, named.container
		return problem
	}
	_, problem.Reason = reasons(a)
	problem.Container = containerOf(a)
	return problem
}

// words are an error's without the name of its kind at the end, which is for callers and tells a reader nothing.
func words(err error) string {
	return strings.TrimSuffix(err.Error(), ": "+runtime.ErrInvalid.Error())
}

// engineError names a step that the engine would not take. Some things upstream finds out one step earlier: a volume when
// it mounts it, and a user or a subPath when it makes a container's configuration.
func engineError(step, container string, err error) error {
	if err == nil {
		return nil
	}
	switch text := err.Error(); {
	case strings.Contains(text, ": volume "):
		return failed(failedMount, "", err)
	case strings.Contains(text, "runAsNonRoot"), strings.Contains(text, "non-root policy"), strings.Contains(text, "subPath"):
		return failed(createContainerConfigError, container, err)
	}
	return failed(step, container, err)
}

// sandboxError: Docker notices at the start that a port of the host is taken, and the engine says by whom. The pod waits,
// and is tried again as soon as one of ours is gone.
func sandboxError(err error) error {
	text := strings.ToLower(err.Error())
	if strings.Contains(text, "port is already allocated") || strings.Contains(text, "address already in use") {
		return &stepError{reason: failedCreatePodSandBox, port: true, err: err}
	}
	return engineError(failedCreatePodSandBox, "", err)
}

// publishError: a publication, too, waits for a port that somebody else has. The plan knows of all that Podyard has there itself.
func publishError(err error) error {
	if errors.Is(err, runtime.ErrPortTaken) {
		return &stepError{reason: plan.PortAlreadyAllocated, port: true, err: err}
	}
	return err
}
