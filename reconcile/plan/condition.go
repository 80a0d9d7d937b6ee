package plan

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podyard/podyard/runtime"
)

// Reasons of a pod's conditions, in upstream's words (pkg/kubelet/status/generate.go).
const (
	reasonNotReady       = "ContainersNotReady"
	reasonNotInitialized = "ContainersNotInitialized"
	reasonPodCompleted   = "PodCompleted"
	reasonPodFailed      = "PodFailed"
)

// podConditions are those of a pod on this host, in upstream's order; those that readiness gates ask for come first.
func podConditions(v *podView, status *corev1.PodStatus) []corev1.PodCondition {
	conditions := make([]corev1.PodCondition, 0, 5+len(v.Manifest.Spec.ReadinessGates))
	for _, gate := range v.Manifest.Spec.ReadinessGates {
		conditions = append(conditions, corev1.PodCondition{Type: gate.ConditionType, Status: corev1.ConditionUnknown,
			Reason: "NoController", Message: "no controller sets it here; the pod does not wait for it"})
	}
	containers := containersReady(v, status)
	ready := containers
	ready.Type = corev1.PodReady
	return append(conditions, sandboxReady(v), initialized(v, status), ready, containers,
		corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(v.CreatedAt)})
}

// sandboxReady is upstream's GeneratePodReadyToStartContainersCondition.
func sandboxReady(v *podView) corev1.PodCondition {
	c := corev1.PodCondition{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionFalse}
	switch v.Phase {
	case runtime.Running:
		c.Status, c.LastTransitionTime = corev1.ConditionTrue, metav1.NewTime(v.StartedAt)
	case runtime.Exited:
		c.LastTransitionTime = metav1.NewTime(v.FinishedAt)
	default:
		c.LastTransitionTime = metav1.NewTime(v.CreatedAt)
	}
	return c
}

// initialized is upstream's GeneratePodInitializedCondition. Once an app container has run it holds for good.
func initialized(v *podView, status *corev1.PodStatus) corev1.PodCondition {
	c := corev1.PodCondition{Type: corev1.PodInitialized, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(v.CreatedAt)}
	if v.phase == corev1.PodSucceeded {
		c.Reason = reasonPodCompleted
	}
	if len(v.Manifest.Spec.InitContainers) == 0 {
		return c
	}
	var incomplete []string
	for i, s := range status.InitContainerStatuses {
		done := s.Ready
		if sidecar(&v.Manifest.Spec.InitContainers[i]) {
			done = *s.Started
		}
		if !done {
			incomplete = append(incomplete, s.Name)
		}
	}
	if len(incomplete) == 0 || anyAppStarted(status) || c.Reason != "" {
		c.LastTransitionTime = metav1.NewTime(initializedAt(v))
		return c
	}
	c.Status, c.Reason = corev1.ConditionFalse, reasonNotInitialized
	c.Message = fmt.Sprintf("containers with incomplete status: %s", incomplete)
	return c
}

func anyAppStarted(status *corev1.PodStatus) bool {
	for i := range status.ContainerStatuses {
		s := &status.ContainerStatuses[i]
		if s.State.Running != nil || s.State.Terminated != nil || s.LastTerminationState.Terminated != nil {
			return true
		}
	}
	return false
}

// initializedAt is when the last init container was done: it ended, or, a sidecar, was started.
func initializedAt(v *podView) time.Time {
	at := v.CreatedAt
	for i := range v.Manifest.Spec.InitContainers {
		spec := &v.Manifest.Spec.InitContainers[i]
		for j := range v.Containers {
			switch c := &v.Containers[j]; {
			case c.Name != spec.Name:
			case !sidecar(spec):
				at = later(at, c.FinishedAt)
			case c.Attempt == 0: // a restart of it changes nothing
				at = later(at, c.StartedAt)
			}
		}
	}
	return at
}

// containersReady is upstream's GenerateContainersReadyCondition. Readiness gates hold nothing up here, so Ready is the
// same.
func containersReady(v *podView, status *corev1.PodStatus) corev1.PodCondition {
	c := corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionFalse}
	switch {
	case v.phase == corev1.PodSucceeded:
		c.Reason, c.LastTransitionTime = reasonPodCompleted, metav1.NewTime(lastFinished(v.Pod))
	case v.phase == corev1.PodFailed:
		c.Reason, c.LastTransitionTime = reasonPodFailed, metav1.NewTime(lastFinished(v.Pod))
	default:
		unready, since := unreadyContainers(v, status)
		if len(unready) == 0 {
			c.Status, c.LastTransitionTime = corev1.ConditionTrue, metav1.NewTime(v.readySince)
			return c
		}
		c.Reason, c.LastTransitionTime = reasonNotReady, metav1.NewTime(since)
		c.Message = fmt.Sprintf("containers with unready status: [%s]", strings.Join(unready, " "))
	}
	return c
}

// unreadyContainers are the names of sidecars and app containers that are not ready, and since when at least one is not.
func unreadyContainers(v *podView, status *corev1.PodStatus) (names []string, since time.Time) {
	note := func(s *corev1.ContainerStatus) {
		if s.Ready {
			return
		}
		names = append(names, s.Name)
		if at := unreadySince(v, s.Name); since.IsZero() || at.Before(since) {
			since = at
		}
	}
	for i := range status.InitContainerStatuses {
		if sidecar(&v.Manifest.Spec.InitContainers[i]) {
			note(&status.InitContainerStatuses[i])
		}
	}
	for i := range status.ContainerStatuses {
		note(&status.ContainerStatuses[i])
	}
	return names, since
}

// unreadySince is when a container stopped being ready: as its probe says, with its end or that of the attempt before, or
// with the pod's creation if it never was.
func unreadySince(v *podView, name string) time.Time {
	latest, past := attempts(v.Pod, name)
	switch {
	case latest == nil:
		return v.CreatedAt
	case latest.Ready && v.Phase == runtime.Exited:
		return v.FinishedAt
	case latest.Ready:
		return v.StartedAt // the sandbox was started anew
	case !latest.UnreadySince.IsZero():
		return latest.UnreadySince
	case latest.State == runtime.Exited:
		return latest.FinishedAt
	case past != nil && past.State == runtime.Exited:
		return past.FinishedAt
	default:
		return v.CreatedAt
	}
}
