package reconcile

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/reconcile/plan"
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
	e := Event{Time: time.Now(), Type: corev1.EventTypeNormal, Object: object(a), Message: a.String() + ": " + a.Why()}
	var failed string
	e.Reason, failed = reasons(a)
	if err != nil {
		e.Type, e.Reason, e.Message = corev1.EventTypeWarning, failed, a.String()+": "+err.Error()
		r.log.Warn("action failed", "action", a.String(), "reason", a.Why(), "err", err, "took", took.Round(time.Millisecond))
	} else {
		r.log.Info("action done", "action", a.String(), "reason", a.Why(), "took", took.Round(time.Millisecond))
	}
	if r.options.Record != nil {
		r.options.Record(e)
	}
}

func object(a plan.Action) string {
	if p, ok := a.(plan.PullImage); ok {
		return "Image " + p.Image
	}
	return "Pod " + podOf(a)
}

// reasons are the words for an action that was done and for one that failed.
func reasons(a plan.Action) (done, failed string) {
	switch a.(type) {
	case plan.PullImage:
		return "Pulled", "ErrImagePull"
	case plan.CreatePod:
		return "SuccessfulCreate", "FailedCreate"
	case plan.StartSandbox:
		return "SandboxChanged", "FailedCreatePodSandBox"
	case plan.StartContainer:
		return "Started", "Failed"
	case plan.StopContainer, plan.DeletePod:
		return "Killing", "FailedKillPod"
	default:
		return "Removed", "FailedRemove"
	}
}
