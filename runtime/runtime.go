package runtime

import (
	"context"
	"errors"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
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
	Containers
	Streams
	Router
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

// Images pulls and inspects images.
type Images interface {
	// PullImage makes sure that the registry's current image for the reference is here, with credentials from the
	// Docker client configuration. The error names the reference and never a credential.
	PullImage(ctx context.Context, ref string) (Image, error)

	// ImageStatus returns the image as it is here, or ErrNotFound.
	ImageStatus(ctx context.Context, ref string) (Image, error)
}

// Sandboxes are what a pod's containers share: network, IPC, volumes. In the order of their life.
type Sandboxes interface {
	// CreateSandbox creates the sandbox and its volumes and allots its address. A sandbox that exists under the same
	// namespace, name and UID is returned as it is.
	CreateSandbox(ctx context.Context, config SandboxConfig) (id string, err error)
	StartSandbox(ctx context.Context, id string) error
	// WriteVolume replaces the files of a volume of Kind Files in a running sandbox: atomically, as the kubelet does
	// with its ..data symbolic link, so that a reader sees all old or all new files.
	WriteVolume(ctx context.Context, id string, volume Volume) error
	// RemoveSandbox stops and removes the sandbox, whatever containers are left in it, and its pod-scoped volumes.
	RemoveSandbox(ctx context.Context, id string) error
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
}

// Streams talk to what runs inside.
type Streams interface {
	// Logs copies a container's output; stdout and stderr are kept apart. With options.Follow it returns when the
	// container ends or ctx does.
	Logs(ctx context.Context, id string, options LogOptions, stdout, stderr io.Writer) error
	// Exec runs a command in a running container and waits for it. The error is about running it at all.
	Exec(ctx context.Context, id string, command []string, stdout, stderr io.Writer) (exitCode int, err error)
	// Probe asks a running container once, as the handler says, within ctx. An exec handler runs inside the
	// container; httpGet and tcpSocket go to the pod's address from the pod network. Ports are numbers by now.
	Probe(ctx context.Context, pod *Pod, containerID string, handler corev1.ProbeHandler) (ProbeResult, error)
}

// Router makes Services reachable by address and name.
type Router interface {
	// Route replaces the Services and endpoints that the data plane serves. When it returns they are in force.
	// Established connections to endpoints that remain are not disturbed.
	Route(ctx context.Context, routes Routes) error
}

// Errors on which callers act differently. Everything else is an engine error: back off and try again.
var (
	// ErrNotFound: the thing is not there (any more).
	ErrNotFound = errors.New("not found")
	// ErrInvalid: the engine refuses what was asked for, and will again.
	ErrInvalid = errors.New("invalid")
)

// State is everything of one instance that the engine holds.
type State struct {
	// Instance names the Podyard instance that owns all of this. It salts pod UIDs, so that two instances on one
	// engine cannot collide.
	Instance string
	// Host holds the labels of the one node there is: kubernetes.io/hostname, /os and /arch.
	Host map[string]string
	// Pods, sorted by namespace, name and UID.
	Pods []Pod
	// Images by the reference a manifest uses, for every reference that was pulled or asked for.
	Images map[string]Image
	// Routes in force in the gateway.
	Routes Routes
	// Problems says why the last action on a pod failed, by "namespace/name". Reconcile fills it; runtimes leave it nil.
	Problems map[string]string
	// HostIP is the host's address as pods see it; empty before the network is made.
	HostIP string
	// ServiceCIDR is the slice of the pod network from which ClusterIPs are taken, as "10.89.192.0/18".
	ServiceCIDR string
}

// Pod is one sandbox with every container attempt that is in it.
type Pod struct {
	// Manifest is the pod as it was created: metadata with name, namespace, uid, labels, annotations and
	// ownerReferences, and the defaulted spec. Status is empty.
	Manifest *corev1.Pod
	// ID of the sandbox, IP its address. Reconcile adds the pods whose creation is under way without an ID.
	ID, IP string
	// Phase of the sandbox. A sandbox that was removed behind our back while containers of it are left is Missing;
	// its Manifest then holds only the metadata that those containers' labels tell, and RemoveSandbox clears them away.
	Phase                            ContainerState
	CreatedAt, StartedAt, FinishedAt time.Time
	// Containers, sorted by name, then attempt.
	Containers []Container
	// Stopping is set by reconcile while it removes the pod. Runtimes leave it false.
	Stopping bool
}

// Container is one attempt of a container.
type Container struct {
	ID, Name string
	// Attempt counts from 0. The latest is the container; earlier ones are its past.
	Attempt                          int
	State                            ContainerState
	CreatedAt, StartedAt, FinishedAt time.Time
	// ExitCode, OOMKilled and Error (the engine's words) speak of an exited container, or of one that would not start.
	ExitCode  int
	OOMKilled bool
	Error     string
	// Image is the reference of the manifest, ImageID the engine's identity of its content.
	Image, ImageID string
	// Backoff is what ContainerConfig said when it was created.
	Backoff time.Duration

	// Reconcile fills these from its probes; runtimes leave them zero.

	// Started: the startup probe succeeded, or there is none and the container runs.
	Started bool
	// Ready: it runs, is started, and its readiness probe succeeds or there is none. ReadySince says for how long.
	Ready      bool
	ReadySince time.Time
	// Unhealthy says why a liveness or startup probe wants the container restarted; empty if none does.
	Unhealthy string
	// NotReady is the last failure of the readiness probe, in words.
	NotReady string
}

// ContainerState is the life of a container or sandbox.
type ContainerState string

// The states of CRI, runtime/v1 ContainerState, and Missing.
const (
	Created ContainerState = "Created"
	Running ContainerState = "Running"
	Exited  ContainerState = "Exited"
	// Missing is a sandbox of which only containers are left.
	Missing ContainerState = "Missing"
)

// Image is an image as the engine has it, or the last attempt to get it.
type Image struct {
	// ID is the engine's identity of the content, "sha256:…"; empty if the image is not here.
	ID string
	// Digest is the repository digest, "name@sha256:…"; empty if it was never pulled from a registry.
	Digest string
	// PulledAt is when the registry was last asked with success.
	PulledAt time.Time
	// User is the image's USER, for runAsNonRoot.
	User string

	// Reconcile fills these while it pulls; runtimes leave them zero.

	Pulling bool
	// Failures counts pulls that failed in a row, Error is the last one, FailedAt when.
	Failures int
	Error    string
	FailedAt time.Time
}

// SandboxConfig says what a pod's containers share.
type SandboxConfig struct {
	// Pod as the planner wants it; it comes back as Pod.Manifest. It must hold no secret: those are in Volumes.
	Pod *corev1.Pod
	// Hostname inside the pod.
	Hostname string
	// Search is the DNS search list; the name server is the gateway.
	Search []string
	// Ports published on the host (hostPort).
	Ports []corev1.ContainerPort
	// Volumes, by name.
	Volumes []Volume
}

// Volume is something mountable into the containers of one pod.
type Volume struct {
	Name string
	Kind VolumeKind
	// Memory asks for tmpfs (Files of Secrets, emptyDir with medium Memory). SizeLimit in bytes, 0 for none.
	Memory    bool
	SizeLimit int64
	// HostPath for Kind HostPath; Claim, the volume's name on the engine, for Kind Persistent.
	HostPath string
	Claim    string
	// Files for Kind Files.
	Files []File
}

// VolumeKind says where a volume's bytes come from and how long they live.
type VolumeKind string

// The kinds of Volume.
const (
	// EmptyDir lives as long as the pod, mode 0777.
	EmptyDir VolumeKind = "EmptyDir"
	// Files lives as long as the pod and holds what WriteVolume put there.
	Files VolumeKind = "Files"
	// HostPath is a path of the engine's host.
	HostPath VolumeKind = "HostPath"
	// Persistent outlives the pod; only Teardown with volumes removes it.
	Persistent VolumeKind = "Persistent"
)

// File is one file of a volume.
type File struct {
	// Path inside the volume, slash-separated, relative, without "..".
	Path string
	Data []byte
	// Mode holds permission bits.
	Mode int32
}

// ContainerConfig is one attempt of a container, with every reference resolved.
type ContainerConfig struct {
	Name    string
	Attempt int
	// Backoff to wait after this attempt exits; kept as a label, so that nothing need be remembered.
	Backoff time.Duration
	Image   string
	// ImageID pins the content where it is known (a restart); empty means whatever Image names now.
	ImageID          string
	Command, Args    []string
	WorkingDir       string
	Env              []EnvVar
	Mounts           []Mount
	Resources        corev1.ResourceRequirements
	SecurityContext  *corev1.SecurityContext
	PodSecurity      *corev1.PodSecurityContext
	Stdin, StdinOnce bool
	TTY              bool
	// GracePeriod the engine grants when it stops the container by itself (its own shutdown).
	GracePeriod time.Duration
}

// EnvVar is a variable with its value, which may be secret: never print it.
type EnvVar struct{ Name, Value string }

// Mount puts a volume of the sandbox into a container.
type Mount struct {
	Volume   string
	Path     string
	SubPath  string
	ReadOnly bool
}

// Routes are the Services with their addresses, and what is behind them.
type Routes struct {
	// Services with spec.clusterIP filled in.
	Services []*corev1.Service
	// Endpoints carry the label kubernetes.io/service-name and conditions ready, serving, terminating, as
	// k8s.io/api/discovery/v1 defines them.
	Endpoints []*discoveryv1.EndpointSlice
}

// ProbeResult is the answer to one probe.
type ProbeResult struct {
	OK bool
	// Message is the output or the reason of a failure, at most 1 KiB.
	Message string
}

// LogOptions say which part of a container's log is wanted.
type LogOptions struct {
	Follow     bool
	Timestamps bool
	// Tail is the number of last lines; negative for all.
	Tail  int
	Since time.Time
}
