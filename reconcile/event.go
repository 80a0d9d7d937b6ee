package reconcile

import (
	"context"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

// Event is something that happened to an object, in Kubernetes' words.
type Event struct {
	Time time.Time
	// Type is Normal or Warning (core/v1).
	Type string
	// Reason is a CamelCase word, upstream's where it has one (pkg/kubelet/events, pkg/controller).
	Reason string
	// Object is "Pod default/web-…" or "Image nginx:1.27".
	Object  string
	Message string
}

// note logs a finished action and records it.
func (r *Reconciler) note(ctx context.Context, a plan.Action, err error, took time.Duration) {
	if ctx.Err() != nil {
		return // the daemon stops; the next one finishes
	}
	e := Event{Type: corev1.EventTypeNormal, Object: object(a), Message: a.String() + ": " + a.Why()}
	e.Reason, _ = reasons(a)
	if n, ok := a.(plan.WriteNote); ok && n.Event != "" {
		e.Reason, e.Message = n.Event, n.Reason
	}
	if err != nil {
		e.Type, e.Reason, e.Message = corev1.EventTypeWarning, eventReason(problemOf(a, err).Reason), failureOf(a, err)
		if e.Reason == failedContainer {
			e.Message = "Error: " + words(err) // the error names the step and the container, as upstream's event does
		}
		r.log.Warn("action failed", "action", a.String(), "reason", a.Why(), "err", err, "took", took.Round(time.Millisecond))
	} else {
		r.log.Info("action done", "action", a.String(), "reason", a.Why(), "took", took.Round(time.Millisecond))
	}
	r.record(e)
}

// failureOf is what was to be done and why it was not; an error often says the first itself.
func failureOf(a plan.Action, err error) string {
	if text := words(err); strings.HasPrefix(text, a.String()+": ") {
		return text
	}
	return a.String() + ": " + words(err)
}

// warn logs and records what happened to a pod and stops nothing.
func (r *Reconciler) warn(pod *runtime.Pod, reason, message string) {
	name := pod.Manifest.Namespace + "/" + pod.Manifest.Name
	r.log.Warn("pod in trouble", "pod", name, "reason", reason, "message", message)
	r.record(Event{Type: corev1.EventTypeWarning, Reason: reason, Object: "Pod " + name, Message: message})
}

func (r *Reconciler) record(e Event) {
	if r.options.Record != nil {
		e.Time = time.Now()
		r.options.Record(e)
	}
}

func object(a plan.Action) string {
	if p, ok := a.(plan.PullImage); ok {
		return "Image " + p.Image
	}
	if v, ok := a.(plan.RemoveVolume); ok {
		return "PersistentVolumeClaim " + v.Claim.String()
	}
	if n, ok := a.(plan.WriteNote); ok {
		return n.Object.String()
	}
	if name := publicationOf(a); name != "" {
		return name
	}
	ref, _ := refOf(a)
	return "Pod " + ref.String()
}

// reasons are the words for an action that was done and for one that failed.
func reasons(a plan.Action) (done, failed string) {
	switch a.(type) {
	case plan.PullImage:
		return "Pulled", "ErrImagePull"
	case plan.CreatePod:
		return "SuccessfulCreate", "FailedCreate"
	case plan.StartSandbox:
		return "SandboxChanged", failedCreatePodSandBox
	case plan.StartContainer:
		return "Started", runContainerError
	case plan.StopContainer:
		return "Killing", killContainerError
	case plan.KillPod, plan.DeletePod:
		return "Killing", failedKillPod
	case plan.UpdateVolume:
		return "VolumeUpdated", failedMount
	case plan.PublishPorts: // upstream: k8s.io/cloud-provider/controllers/service/controller.go
		return "EnsuredLoadBalancer", plan.SyncLoadBalancerFailed
	case plan.UnpublishPorts:
		return "DeletedLoadBalancer", plan.SyncLoadBalancerFailed
	case plan.WriteNote:
		return "Noted", "FailedNote"
	case plan.RemoveVolume:
		return "VolumeDelete", "VolumeFailedDelete"
	default:
		return "Removed", "FailedRemove"
	}
}

// failedContainer is upstream's word for a container that was not created or not started.
const failedContainer = "Failed"

// eventReason is the word that upstream's events use for a container's reason (pkg/kubelet/events/event.go).
func eventReason(problem string) string {
	switch problem {
	case createContainerConfigError, createContainerError, runContainerError:
		return failedContainer
	case postStartHookError:
		return failedPostStartHook
	case killContainerError:
		return failedKillPod
	case plan.PortAlreadyAllocated:
		return plan.SyncLoadBalancerFailed
	default:
		return problem
	}
}
