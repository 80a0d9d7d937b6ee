package runtime

import (
	"context"
	"errors"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
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

// State is everything of one instance that the engine holds.
type State struct {
	// Instance names the Podyard instance that owns all of this. It salts pod UIDs, so that two instances on one
	// engine cannot collide.
	Instance string
	// Host holds the labels of the one node there is: kubernetes.io/hostname, /os and /arch; reconcile adds the user's.
	Host map[string]string
	// Capacity is what the host has of cpu and memory: the limits of a container that has none (downward API).
	Capacity corev1.ResourceList
	// Runtimes are the names of the engine's OCI runtimes, for RuntimeClass: "runc", "runsc", …
	Runtimes []string
	// CDI: the engine hands out devices by their names in the Container Device Interface.
	CDI bool
	// AppArmor: the engine's host holds containers to AppArmor profiles. Where it does not, the engine takes a profile and
	// says nothing.
	AppArmor bool
	// Pods, sorted by namespace, name and UID.
	Pods []Pod
	// Images by the reference a manifest uses, for every reference that was pulled or asked for.
	Images map[string]Image
	// Volumes are the persistent volumes of this instance, sorted by name.
	Volumes []PersistentVolume
	// OtherVolumes are the names of the engine's volumes that are nobody's pod's and not of this instance, sorted: a claim may
	// adopt one.
	OtherVolumes []string
	// Routes in force in the gateway, which forgets labels and annotations.
	Routes Routes
	// Publications are what is published on the host, sorted by namespace and name. Reconcile says of those that Publish has not
	// returned for that they do not run yet.
	Publications []Published
	// Problems says why the last action on a pod failed, by "namespace/name", and on a Service's publication, by
	// "Service namespace/name". Reconcile fills it; runtimes leave it nil.
	Problems map[string]Problem
	// Notes are what plan.WriteNote wrote, by name: what outlives pods. Reconcile fills it; runtimes leave it nil.
	Notes map[string]string
	// Sampled is when the pods that HorizontalPodAutoscalers look at were asked last for what they use (Pod.Metrics); zero
	// if they were not yet. Reconcile fills it; runtimes leave it zero.
	Sampled time.Time
	// HostIP is the host's address as pods see it; empty before the network is made.
	HostIP string
	// ExternalIPs are the addresses at which clients outside reach the host's ports. Reconcile fills it; runtimes leave it nil.
	ExternalIPs []string
	// HTTPPort and HTTPSPort are the host's ports for Ingresses; 0 for none. Reconcile fills them; runtimes leave them zero.
	HTTPPort, HTTPSPort int32
	// ServiceCIDR is the slice of the pod network from which ClusterIPs are taken, as "10.89.192.0/18".
	ServiceCIDR string
	// Certificates are those that the proxy for Ingresses obtains by itself, sorted by host.
	Certificates []AutomaticCertificate
}

// Problem is why an action on a pod or on a publication failed.
type Problem struct {
	// Container is empty if it is the whole pod's.
	Container string
	// Reason is upstream's word: CreateContainerConfigError, CreateContainerError, RunContainerError,
	// PostStartHookError, FailedCreatePodSandBox, FailedMount, … (pkg/kubelet/kuberuntime, pkg/kubelet/events).
	Reason  string
	Message string
}

// PersistentVolume is a volume of Kind Persistent as the engine has it.
type PersistentVolume struct {
	// Name on the engine; Labels as Volume.Labels had them when it was made.
	Name      string
	Labels    map[string]string
	CreatedAt time.Time
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

	// Reconcile fills these; runtimes leave them zero.

	// Stopping: the pod is being removed.
	Stopping bool
	// Written has, for each volume of Kind Files, the hash of what was written last (plan.FilesHash); no entry where
	// that is not known, as after a restart of the daemon.
	Written map[string]string
	// Usage is the size on disk in bytes of the emptyDirs that have a limit, by name, as it was measured last.
	Usage map[string]int64
	// Metrics is what its containers used when they were asked last; nil if that is not known of all of them.
	Metrics *PodMetrics
}

// PodMetrics is what the containers of a pod use, as k8s.io/metrics has it. Times are of this machine.
type PodMetrics struct {
	// At is when they were asked, Window for how long before that CPU is the mean of.
	At     time.Time
	Window time.Duration
	// Containers by name: the app containers and sidecars.
	Containers map[string]ContainerMetrics
}

// ContainerMetrics are thousandths of a CPU, rounded up, and bytes.
type ContainerMetrics struct{ CPU, Memory int64 }

// Stats are those of one container, in CRI's terms.
type Stats struct {
	// At is the engine's time.
	At time.Time
	// CPU is the time of all cores together since the container started.
	CPU time.Duration
	// Memory is the working set in bytes: what is in use, without what the kernel could take back at once.
	Memory int64
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
	// Message is the termination message of an exited container, at most 4096 bytes, as its
	// terminationMessagePath and -Policy ask for.
	Message string
	// Backoff and Ephemeral are what ContainerConfig said when it was created.
	Backoff   time.Duration
	Ephemeral bool

	// Reconcile fills these from its probes; runtimes leave them zero.

	// Starting: it runs, and its postStart hook does still. Nothing of it is probed until the hook has ended.
	Starting bool
	// Started: the startup probe succeeded, or there is none and the container runs.
	Started bool
	// Ready: it runs, is started, and its readiness probe succeeds or there is none. ReadySince says for how long, and
	// UnreadySince for how long it has not been ready any more; zero if it never was.
	Ready                    bool
	ReadySince, UnreadySince time.Time
	// Unhealthy says why a liveness or startup probe wants the container restarted; empty if none does. UnhealthyProbe
	// says which, "liveness" or "startup".
	Unhealthy, UnhealthyProbe string
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
	// Hostname inside the pod. With Domain, /etc/hosts has the address as "hostname.domain hostname".
	Hostname, Domain string
	// RuntimeHandler is the engine's OCI runtime for all containers of the pod; empty for its default.
	RuntimeHandler string
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
	// HostPath and HostPathType for Kind HostPath, and for Kind Persistent if the bytes are at a hostPath: such a volume
	// is not given to an fsGroup.
	HostPath     string
	HostPathType corev1.HostPathType
	// Claim is the volume's name on the engine, Labels are kept on it, for Kind Persistent.
	Claim  string
	Labels map[string]string
	// Adopted: the volume was made by somebody else and the manifest names it. It must exist, and is never removed.
	Adopted bool
	// Options of the engine's local driver ("type", "o", "device") for Kind NFS, and for Kind Persistent where the bytes
	// are elsewhere; none for a directory of the engine's own.
	Options map[string]string
	// Files for Kind Files.
	Files []File
}

// VolumeKind says where a volume's bytes come from and how long they live.
type VolumeKind string

// The kinds of Volume.
const (
	// EmptyDir lives as long as the pod, mode 0777 (with an fsGroup, that group's and setgid).
	EmptyDir VolumeKind = "EmptyDir"
	// Files lives as long as the pod and holds what WriteVolume put there.
	Files VolumeKind = "Files"
	// HostPath is a path of the engine's host.
	HostPath VolumeKind = "HostPath"
	// NFS is a directory of a server.
	NFS VolumeKind = "NFS"
	// Persistent outlives the pod; only RemoveVolume and Teardown with volumes remove it.
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
	// StopSignal, as SIGUSR1; empty for the image's, or SIGTERM.
	StopSignal string
	// TerminationMessagePath and -Policy say where Container.Message comes from.
	TerminationMessagePath   string
	TerminationMessagePolicy corev1.TerminationMessagePolicy
	// Ephemeral: a container for debugging that is in no manifest. Target is the ID of the container whose processes it
	// sees; empty for none.
	Ephemeral bool
	Target    string
}

// EnvVar is a variable with its value, which may be secret: never print it.
type EnvVar struct{ Name, Value string }

// Mount puts a volume of the sandbox into a container.
type Mount struct {
	Volume   string
	Path     string
	SubPath  string
	ReadOnly bool
	// Recursive: what is mounted below is read-only, too (recursiveReadOnly).
	Recursive corev1.RecursiveReadOnlyMode
	// Propagation of mounts between the host and the container; empty is None.
	Propagation corev1.MountPropagationMode
}

// Routes are the Services with their addresses, and what is behind them.
type Routes struct {
	// Services with spec.clusterIP filled in. What they hold is shared with the manifests and must not be changed.
	Services []*corev1.Service
	// Endpoints carry the label kubernetes.io/service-name and conditions ready, serving, terminating, as
	// k8s.io/api/discovery/v1 defines them. A Service has several while its pods differ in their ports.
	Endpoints []*discoveryv1.EndpointSlice
	// Ingresses lead from hosts and paths to Services of the same namespace.
	Ingresses []*networkingv1.Ingress
	// Certificates of the Secrets that Ingresses name, by "namespace/name". They do not come back with State.
	Certificates map[string]Certificate
}

// Publication is what Publish makes of one Service, or of all Ingresses.
type Publication struct {
	// Namespace and Name of the Service. The Ingress publication has IngressPublication for a name and no namespace.
	Namespace, Name string
	// To is the address to which connections are forwarded, a ClusterIP; empty for the Ingress publication.
	To string
	// Ports, in the order of the Service's.
	Ports []PublishedPort
	// SourceRanges are the CIDRs from which clients may connect; none means from anywhere.
	SourceRanges []string
}

// IngressPublication is the name of the publication of all Ingresses. No Service has it: theirs have a namespace.
const IngressPublication = "ingress"

// PublishedPort is a port of the host, on all its addresses, and where it leads.
type PublishedPort struct {
	Protocol corev1.Protocol
	HostPort int32
	// Port at Publication.To. Of the Ingress publication it is 80 (plain HTTP) or 443 (TLS), whatever the host's port.
	Port int32
}

// Published is a publication as the engine has it.
type Published struct {
	Publication
	// Running: the ports are open. If not, Error says why in the engine's words, as far as it knows.
	Running bool
	Error   string
}

// Certificate is what a Secret of type kubernetes.io/tls holds, in PEM. It prints and encodes as nothing.
type Certificate struct{ Chain, Key []byte }

// String implements fmt.Stringer and tells nothing.
func (Certificate) String() string { return "(secret)" }

// GoString implements fmt.GoStringer and tells nothing.
func (Certificate) GoString() string { return "(secret)" }

// MarshalJSON implements json.Marshaler and tells nothing.
func (Certificate) MarshalJSON() ([]byte, error) { return []byte("{}"), nil }

// AutomaticCertificate is how the certificate of a host fares for which an Ingress asks an ACME server.
type AutomaticCertificate struct {
	Host  string
	Phase CertificatePhase
	// Message says why there is none yet, or why it is not renewed, and of CertificateWaiting what a person is to do.
	Message string
	// NotAfter is the end of its validity, Next when it is tried again; zero if there is none.
	NotAfter, Next time.Time
}

// CertificatePhase is the life of an AutomaticCertificate.
type CertificatePhase string

// The phases. One that cannot be renewed is Ready until it ends, with a message.
const (
	CertificateWaiting   CertificatePhase = "Waiting"
	CertificateObtaining CertificatePhase = "Obtaining"
	CertificateReady     CertificatePhase = "Ready"
	CertificateFailed    CertificatePhase = "Failed"
)

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

// Credential is a login of a registry.
type Credential struct {
	// Registry as it is written in a dockerconfigjson Secret: "registry.example.com", "https://index.docker.io/v1/",
	// "*.example.com/team". Never print the rest.
	Registry                     string
	Username, Password           string
	IdentityToken, RegistryToken string
}

// ExecOptions say what to run in a container.
type ExecOptions struct {
	Command []string
	// Stdin may be nil; a read of it may be under way still when Exec returns. TTY gives the command a terminal, as large
	// as Resize says; its output is all stdout then.
	Stdin  io.Reader
	TTY    bool
	Resize <-chan TerminalSize
}

// AttachOptions say how to connect to a container's main process.
type AttachOptions struct {
	// Stdin may be nil; a read of it may be under way still when Attach returns.
	Stdin  io.Reader
	Resize <-chan TerminalSize
	// Logs asks for what the container has written so far, before what it writes from now on.
	Logs bool
}

// TerminalSize is a terminal's, in characters.
type TerminalSize struct{ Width, Height uint16 }
