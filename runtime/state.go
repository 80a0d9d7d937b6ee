package runtime

import (
	"time"

	corev1 "k8s.io/api/core/v1"
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
