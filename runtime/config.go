package runtime

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

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
