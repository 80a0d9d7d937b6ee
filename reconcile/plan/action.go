package plan

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Action is one thing to do. The set of its types is closed: PullImage, CreatePod, StartContainer, StopContainer,
// RemoveContainer, StartSandbox, DeletePod.
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
	Image  string
	Reason string
}

// CreatePod creates a sandbox and starts the containers that may start at once.
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

// StartContainer creates and starts one attempt of a container.
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

// StopContainer stops a running container; a later plan starts the next attempt.
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

// DeletePod takes a pod out of its Services, stops its containers within the grace period, and removes it.
type DeletePod struct {
	PodRef
	Grace  time.Duration
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
func (a DeletePod) String() string { return "delete pod " + a.PodRef.String() }

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
func (a DeletePod) Why() string { return a.Reason }

func (PullImage) isAction()       {}
func (CreatePod) isAction()       {}
func (StartSandbox) isAction()    {}
func (StartContainer) isAction()  {}
func (StopContainer) isAction()   {}
func (RemoveContainer) isAction() {}
func (DeletePod) isAction()       {}

func podKey(p *corev1.Pod) string { return "pod/" + p.Namespace + "/" + p.Name + "/" + string(p.UID) }
