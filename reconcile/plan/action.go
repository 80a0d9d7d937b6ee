package plan

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podyard/podyard/manifests"
)

// Action is one thing to do. The set of its types is closed: PullImage, CreatePod, StartSandbox, StartContainer,
// StopContainer, RemoveContainer, UpdateVolume, KillPod, DeletePod, RemoveVolume, PublishPorts, UnpublishPorts, WriteNote.
type Action interface {
	// Key names what the action is about. Two actions with the same key are never under way at once.
	Key() string
	// String is what will be done, as "create pod default/web-5d4f8-x2x9c".
	String() string
	// Why is the reason, as "Deployment default/web wants 3 pods, has 2".
	Why() string
	isAction()
}

// PullImage asks the registry for an image.
type PullImage struct {
	Image string
	// Secrets are the names of those that hold credentials for it (imagePullSecrets), sorted.
	Secrets []types.NamespacedName
	Reason  string
}

// CreatePod creates a sandbox and starts the containers that may start at once, in their order, each with its postStart
// hook.
type CreatePod struct {
	// Pod is complete: name, uid, ownerReferences, defaulted spec.
	Pod        *corev1.Pod
	Containers []string
	Reason     string
}

// StartSandbox starts a sandbox that is created or exited, and its containers anew.
type StartSandbox struct {
	PodRef
	Reason string
}

// StartContainer creates and starts one attempt of a container, and runs its postStart hook.
type StartContainer struct {
	PodRef
	Container string
	Attempt   int
	// Backoff is what the next restart will wait if this attempt fails.
	Backoff time.Duration
	// ImageID pins a restart to the bytes that ran before.
	ImageID string
	Reason  string
}

// StopContainer runs a container's preStop hook and stops it; a later plan starts the next attempt. Without a grace period
// it is killed at once.
type StopContainer struct {
	PodRef
	Container, ContainerID string
	Grace                  time.Duration
	Reason                 string
}

// RemoveContainer forgets a past attempt.
type RemoveContainer struct {
	PodRef
	Container, ContainerID string
	Reason                 string
}

// UpdateVolume writes the files of a volume anew: a ConfigMap or Secret has changed that it shows.
type UpdateVolume struct {
	PodRef
	Volume string
	// Hash is FilesHash of what is to be written.
	Hash   string
	Reason string
}

// KillPod stops the containers of a pod that has come to its end, as DeletePod does, and keeps the pod and its logs.
type KillPod struct {
	PodRef
	Grace time.Duration
	// KeepSandbox: the sandbox goes on, so that its volumes can be looked at.
	KeepSandbox bool
	Reason      string
}

// DeletePod takes a pod out of its Services, stops its containers within the grace period, and removes it.
type DeletePod struct {
	PodRef
	Grace time.Duration
	// Volumes of the engine that are removed with it, with all their data, unless another commit has come by then.
	Volumes []string
	Reason  string
}

// RemoveVolume removes a persistent volume with all its data: that of a claim that a StatefulSet made and says it does not
// want any more.
type RemoveVolume struct {
	// Volume is the engine's name.
	Volume string
	Claim  types.NamespacedName
	Reason string
}

// WriteNote keeps, for good, what a later plan must know and no pod tells: Kubernetes has it in an object's status. A plan
// that relies on a note waits until it is observed (runtime.State.Notes).
type WriteNote struct {
	// Name of the note; Text empty to delete it.
	Name, Text string
	// Object is what it is about.
	Object manifests.Ref
	// Event is upstream's word for what is told of the object once the note is written, with Reason as the message; empty
	// if nothing is.
	Event  string
	Reason string
}

// PodRef names a pod of the observed state. SandboxID is what the runtime knows it by.
type PodRef struct {
	Namespace, Name, UID, SandboxID string
}

func (p PodRef) String() string { return p.Namespace + "/" + p.Name }

// Key implements Action: one action per pod and moment, except that containers of a pod act apart.
func (p PodRef) Key() string { return "pod/" + p.String() + "/" + p.UID }

// Key implements Action.
func (a PullImage) Key() string { return "image/" + a.Image }

// Key implements Action.
func (a CreatePod) Key() string { return podKey(a.Pod) }

// Key implements Action.
func (a StartContainer) Key() string { return a.PodRef.Key() + "/" + a.Container }

// Key implements Action.
func (a StopContainer) Key() string { return a.PodRef.Key() + "/" + a.Container }

// Key implements Action.
func (a UpdateVolume) Key() string { return a.PodRef.Key() + "/volume/" + a.Volume }

// Key implements Action.
func (a RemoveVolume) Key() string { return "volume/" + a.Volume }

// Key implements Action.
func (a WriteNote) Key() string { return "note/" + a.Name }

// Key implements Action.
func (a RemoveContainer) Key() string { return a.PodRef.Key() + "/container/" + a.ContainerID }

func (a PullImage) String() string { return "pull image " + a.Image }
func (a CreatePod) String() string {
	return fmt.Sprintf("create pod %s/%s", a.Pod.Namespace, a.Pod.Name)
}
func (a StartSandbox) String() string { return "restart pod " + a.PodRef.String() }
func (a StartContainer) String() string {
	if a.Attempt == 0 {
		return fmt.Sprintf("start container %s/%s", a.PodRef, a.Container)
	}
	return fmt.Sprintf("restart container %s/%s (restart %d)", a.PodRef, a.Container, a.Attempt)
}
func (a StopContainer) String() string {
	return fmt.Sprintf("stop container %s/%s", a.PodRef, a.Container)
}
func (a RemoveContainer) String() string {
	return fmt.Sprintf("remove past container %s/%s", a.PodRef, a.Container)
}
func (a UpdateVolume) String() string {
	return fmt.Sprintf("update volume %s of pod %s", a.Volume, a.PodRef)
}
func (a KillPod) String() string { return "stop pod " + a.PodRef.String() }
func (a DeletePod) String() string {
	if len(a.Volumes) > 0 {
		return fmt.Sprintf("delete pod %s with %s", a.PodRef, strings.Join(a.Volumes, ", "))
	}
	return "delete pod " + a.PodRef.String()
}
func (a RemoveVolume) String() string { return "remove volume " + a.Volume }
func (a WriteNote) String() string {
	if a.Text == "" {
		return "forget " + a.Name
	}
	return "note " + a.Name
}

// Why implements Action.
func (a PullImage) Why() string { return a.Reason }

// Why implements Action.
func (a CreatePod) Why() string { return a.Reason }

// Why implements Action.
func (a StartSandbox) Why() string { return a.Reason }

// Why implements Action.
func (a StartContainer) Why() string { return a.Reason }

// Why implements Action.
func (a StopContainer) Why() string { return a.Reason }

// Why implements Action.
func (a RemoveContainer) Why() string { return a.Reason }

// Why implements Action.
func (a UpdateVolume) Why() string { return a.Reason }

// Why implements Action.
func (a KillPod) Why() string { return a.Reason }

// Why implements Action.
func (a DeletePod) Why() string { return a.Reason }

// Why implements Action.
func (a RemoveVolume) Why() string { return a.Reason }

// Why implements Action.
func (a WriteNote) Why() string { return a.Reason }

func (PullImage) isAction()       {}
func (CreatePod) isAction()       {}
func (StartSandbox) isAction()    {}
func (StartContainer) isAction()  {}
func (StopContainer) isAction()   {}
func (RemoveContainer) isAction() {}
func (UpdateVolume) isAction()    {}
func (KillPod) isAction()         {}
func (DeletePod) isAction()       {}
func (RemoveVolume) isAction()    {}
func (WriteNote) isAction()       {}

func podKey(p *corev1.Pod) string { return "pod/" + p.Namespace + "/" + p.Name + "/" + string(p.UID) }
