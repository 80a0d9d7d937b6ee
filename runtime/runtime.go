package runtime

import (
	"context"
	"errors"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Runtime is an engine that runs pods. reconcile drives it; runtimetest says what each method must do.
//
// Every method may be called from several goroutines at once. Every verb is safe to repeat: asked for what is already
// so, it succeeds and changes nothing. No verb touches anything that does not carry this instance's label.
type Runtime interface {
	Setup
	Observer
	Images
	Sandboxes
	Volumes
	Containers
	Streams
	Router
	Publisher
}

// Setup makes what all pods share, and removes what Podyard made.
type Setup interface {
	// Ensure makes the infra image, the network and the gateway, or finds them as they are. It never replaces a
	// running gateway's namespace holder. progress may be nil; it receives one short line per slow step.
	Ensure(ctx context.Context, progress func(string)) error

	// Teardown removes exactly what this instance made: pods, gateway, network, infra image, and the volumes of pods
	// that are gone. Persistent volumes are removed only with volumes set. It reports what it removes, a line each.
	Teardown(ctx context.Context, volumes bool, report func(string)) error
}

// Observer reports what runs.
type Observer interface {
	// Watch sends on the returned channel whenever something of ours may have changed, from before the first State
	// call on: subscribe first, then list. Signals are coalesced and mean no more than "look again". The channel is
	// closed when ctx ends.
	Watch(ctx context.Context) (<-chan struct{}, error)

	// State returns everything of ours, sorted. It reflects every verb that has returned. The caller owns the slices
	// and the Pod and Container structs; the corev1.Pod behind Pod.Manifest is shared and must not be changed.
	State(ctx context.Context) (*State, error)
}

// Images pulls, inspects and keeps images.
type Images interface {
	// PullImage makes sure that the registry's current image for the reference is here. It tries the credentials given
	// that fit the registry, in their order, then those of the Docker client configuration, then none. The error names
	// the reference and never a credential.
	PullImage(ctx context.Context, ref string, credentials []Credential) (Image, error)

	// ImageStatus returns the image as it is here, or ErrNotFound.
	ImageStatus(ctx context.Context, ref string) (Image, error)

	// KeepImages protects these images, named by digest or ID, from being pruned, and lets go of those that only an earlier
	// call protected. One that is not here is passed over.
	KeepImages(ctx context.Context, contents []string) error
}

// Sandboxes are what a pod's containers share: network, IPC, volumes. In the order of their life.
type Sandboxes interface {
	// CreateSandbox creates the sandbox and its volumes and allots its address. A sandbox that exists under the same
	// namespace, name and UID is returned as it is. Volumes of Kind Files may come with their Files, which the first
	// StartSandbox writes: that is cheaper than WriteVolume for each, which may follow and then finds nothing to do.
	CreateSandbox(ctx context.Context, config SandboxConfig) (id string, err error)
	StartSandbox(ctx context.Context, id string) error
	// WriteVolume replaces the files of a volume of Kind Files in a running sandbox: atomically, as the kubelet does
	// with its ..data symbolic link, so that a reader sees all old or all new files.
	WriteVolume(ctx context.Context, id string, volume Volume) error
	// VolumeUsage is the size on disk, in bytes, of volumes of Kind EmptyDir in a running sandbox, by name.
	VolumeUsage(ctx context.Context, id string, volumes []string) (map[string]int64, error)
	// StopSandbox stops a sandbox in which no container runs any more. It keeps its address and its volumes, and stays
	// stopped when the engine restarts, until StartSandbox.
	StopSandbox(ctx context.Context, id string) error
	// RemoveSandbox stops and removes the sandbox, whatever containers are left in it, and its pod-scoped volumes.
	RemoveSandbox(ctx context.Context, id string) error
}

// Volumes of Kind Persistent are made with the first sandbox that has them.
type Volumes interface {
	// RemoveVolume removes a persistent volume of this instance with all its data. It fails while a sandbox has it, and is
	// ErrInvalid for a volume that this instance did not make, which it leaves alone.
	RemoveVolume(ctx context.Context, name string) error
}

// Containers run inside a sandbox. In the order of their life.
type Containers interface {
	// CreateContainer creates one attempt of a container in a sandbox that exists (running or not). The attempt that
	// exists already is returned as it is.
	CreateContainer(ctx context.Context, sandboxID string, config ContainerConfig) (id string, err error)
	StartContainer(ctx context.Context, id string) error
	// StopContainer sends the stop signal and, after the grace period, SIGKILL. It returns when the container is
	// stopped. A grace period of zero kills at once.
	StopContainer(ctx context.Context, id string, grace time.Duration) error
	RemoveContainer(ctx context.Context, id string) error
	// ContainerStats is what a running container uses.
	ContainerStats(ctx context.Context, id string) (Stats, error)
}

// Streams talk to what runs inside.
type Streams interface {
	// Logs copies a container's output; stdout and stderr are kept apart. With options.Follow it returns when the
	// container ends or ctx does.
	Logs(ctx context.Context, id string, options LogOptions, stdout, stderr io.Writer) error
	// Exec runs a command in a running container and waits for it. The error is about running it at all; of a program that
	// is not there or cannot be executed it is ErrNoProgram, and the exit code that of a shell, 127 or 126. When ctx ends it
	// returns at once, and the command is killed with what it has started.
	Exec(ctx context.Context, id string, options ExecOptions, stdout, stderr io.Writer) (exitCode int, err error)
	// Attach connects to the main process of a running container until it ends, ctx does, or it closes its output. With
	// options.Logs the container may have ended already. One with a terminal has no stderr of its own.
	Attach(ctx context.Context, id string, options AttachOptions, stdout, stderr io.Writer) error
	// Probe asks a running container once, as the handler says, within ctx. An exec handler runs inside the
	// container; httpGet, tcpSocket and grpc go to the pod's address from the pod network. Ports are numbers by now.
	Probe(ctx context.Context, pod *Pod, containerID string, handler corev1.ProbeHandler) (ProbeResult, error)
}

// Router makes Services reachable by address and name.
type Router interface {
	// Route replaces the Services and endpoints that the data plane serves. When it returns they are in force.
	// Established connections to endpoints that remain are not disturbed.
	Route(ctx context.Context, routes Routes) error
}

// Publisher makes Services reachable from outside, at ports of the engine's host.
type Publisher interface {
	// Publish has connections to ports of the host go on to a Service's address or, for the Ingress publication, be served by the
	// proxy for Routes.Ingresses. What is published under the same name is left alone if it is the same, and replaced
	// if not, which interrupts it for a moment. It goes on without the daemon and after a restart of the engine.
	// ErrPortTaken: a port of the host is in use by somebody else. Then the publication is in State, not Running, in place of what
	// it was before, and the next Publish of it tries again.
	Publish(ctx context.Context, publication Publication) error
	// Unpublish ends that. The ports are free when it returns.
	Unpublish(ctx context.Context, namespace, name string) error
}

// Errors on which callers act differently. Everything else is an engine error: back off and try again.
var (
	// ErrNotFound: the thing is not there (any more).
	ErrNotFound = errors.New("not found")
	// ErrInvalid: the engine refuses what was asked for, and will again.
	ErrInvalid = errors.New("invalid")
	// ErrNoProgram: the container has no such program, or it cannot be executed.
	ErrNoProgram = errors.New("no such program")
	// ErrPortTaken: a port of the host is in use. The error names the port.
	ErrPortTaken = errors.New("port of the host is taken")
)
