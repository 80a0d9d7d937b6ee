package reconcile

import (
	"fmt"
	"strings"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

// tell records what the plan and the probes say of pods, autoscalers and Services, each thing once for as long as it holds. The words are
// upstream's: those of the scheduler, of the kubelet's image and pod workers, of its prober, and of the autoscaler.
func (r *Reconciler) tell(objects []plan.ObjectStatus, state *runtime.State) {
	now := map[string]Event{}
	for i := range objects {
		switch o := &objects[i]; {
		case o.Kind == "Pod" && o.Pod != nil:
			podHappenings(o, now)
		case o.Kind == "Job":
			jobHappenings(o, now)
		case o.Kind == "HorizontalPodAutoscaler":
			autoscalerHappenings(o, now)
		case o.Kind == "CronJob":
			cronHappenings(o, now)
		case o.Kind == "Service":
			serviceHappenings(o, now)
		}
	}
	for i := range state.Pods {
		probeHappenings(&state.Pods[i], now)
	}
	for _, key := range sortedKeys(now) {
		if _, before := r.told[key]; !before {
			r.record(now[key])
		}
	}
	r.told = now
}

// podHappenings are what a pod's status tells: it cannot be placed, it was stopped, a container of it waits.
func podHappenings(o *plan.ObjectStatus, out map[string]Event) {
	say := func(kind, reason, message, once string) {
		e := Event{Type: kind, Reason: reason, Object: o.Ref.String(), Message: message}
		out[strings.Join([]string{e.Object, reason, once}, "\x00")] = e
	}
	for _, c := range o.Pod.Conditions {
		switch {
		case c.Type != corev1.PodScheduled || c.Status != corev1.ConditionFalse:
		case c.Reason != corev1.PodReasonUnschedulable && c.Reason != corev1.PodReasonSchedulingGated: // it was refused before
			say(corev1.EventTypeWarning, c.Reason, c.Message, c.Message)
		default:
			message := c.Message
			if o.Message != "" {
				message += " " + o.Message
			}
			say(corev1.EventTypeWarning, "FailedScheduling", message, message)
		}
	}
	switch o.Pod.Reason {
	case "Evicted":
		say(corev1.EventTypeWarning, o.Pod.Reason, o.Pod.Message, "")
	case "DeadlineExceeded":
		say(corev1.EventTypeNormal, o.Pod.Reason, o.Pod.Message, "")
	}
	for _, list := range [][]corev1.ContainerStatus{o.Pod.InitContainerStatuses, o.Pod.ContainerStatuses} {
		for i := range list {
			if list[i].State.Waiting != nil {
				waitHappening(&list[i], say)
			}
		}
	}
}

// jobHappenings are a Job's end, and that it was suspended or resumed, each when it happens: what holds since long ago was told
// by a daemon before. Upstream: pkg/controller/job/job_controller.go.
func jobHappenings(o *plan.ObjectStatus, out map[string]Event) {
	for _, c := range o.Conditions {
		e := Event{Type: corev1.EventTypeNormal, Object: o.Ref.String(), Message: c.Message}
		switch holds := c.Status == metav1.ConditionTrue; {
		case c.Type == string(batchv1.JobComplete) && holds:
			e.Reason, e.Message = "Completed", "Job completed"
		case c.Type == string(batchv1.JobFailed) && holds:
			e.Type, e.Reason = corev1.EventTypeWarning, c.Reason
		case c.Type == string(batchv1.JobSuspended) && holds:
			e.Reason = "Suspended"
		case c.Type == string(batchv1.JobSuspended):
			e.Reason = "Resumed"
		}
		if e.Reason != "" && time.Since(c.LastTransitionTime.Time) < slowRound {
			out[strings.Join([]string{e.Object, e.Reason}, "\x00")] = e
		}
	}
}

// cronHappenings are the starts of a CronJob that were missed, or have to wait, each for as long as it does. The reasons are
// those of upstream's events: pkg/controller/cronjob/cronjob_controllerv2.go.
func cronHappenings(o *plan.ObjectStatus, out map[string]Event) {
	for _, c := range o.Conditions {
		e := Event{Type: corev1.EventTypeWarning, Reason: c.Reason, Object: o.Ref.String(), Message: c.Message}
		if c.Reason == "JobAlreadyActive" {
			e.Type = corev1.EventTypeNormal
		}
		out[strings.Join([]string{e.Object, e.Reason, e.Message}, "\x00")] = e
	}
}

// serviceHappenings are that a Service waits for ports of the host, for as long as it does for the same reason. What failed was told
// of when it did.
func serviceHappenings(o *plan.ObjectStatus, out map[string]Event) {
	for _, c := range o.Conditions {
		if c.Reason == plan.SyncLoadBalancerFailed {
			continue
		}
		e := Event{Type: corev1.EventTypeWarning, Reason: c.Reason, Object: o.Ref.String(), Message: c.Message}
		out[strings.Join([]string{e.Object, e.Reason, e.Message}, "\x00")] = e
	}
}

// waitHappening is why a container waits, where upstream has an event for it (pkg/kubelet/images/image_manager.go,
// pkg/kubelet/kuberuntime/kuberuntime_manager.go doBackOff).
func waitHappening(c *corev1.ContainerStatus, say func(kind, reason, message, once string)) {
	w := c.State.Waiting
	switch w.Reason {
	case "CrashLoopBackOff":
		_, pod, _ := strings.Cut(w.Message, " pod=")
		message := fmt.Sprintf("Back-off restarting failed container %s in pod %s", c.Name, pod)
		say(corev1.EventTypeWarning, "BackOff", message, fmt.Sprint(c.Name, c.RestartCount))
	case "ImagePullBackOff":
		say(corev1.EventTypeNormal, "BackOff", w.Message, c.Name+w.Message)
	case "ErrImageNeverPull":
		say(corev1.EventTypeWarning, w.Reason, w.Message, c.Name)
	case "InvalidImageName":
		say(corev1.EventTypeWarning, "InspectFailed", w.Message, c.Name)
	}
}

// autoscalerHappenings are upstream's events of horizontal.go on why the number of replicas cannot be told or changed.
func autoscalerHappenings(o *plan.ObjectStatus, out map[string]Event) {
	for _, c := range o.Conditions {
		if c.Status == metav1.ConditionFalse && c.Type != string(autoscalingv2.ScalingLimited) {
			out[o.Ref.String()+"\x00"+c.Reason] = Event{Type: corev1.EventTypeWarning, Reason: c.Reason, Object: o.Ref.String(), Message: c.Message}
		}
	}
}

// probeHappenings are probes that have failed often enough to count.
func probeHappenings(pod *runtime.Pod, out map[string]Event) {
	for i := range pod.Containers {
		c := &pod.Containers[i]
		message := c.Unhealthy
		if message == "" && c.NotReady != "" && !c.Ready {
			message = "readiness probe failed: " + c.NotReady
		}
		if message == "" || pod.Stopping {
			continue
		}
		probe, _, _ := strings.Cut(message, " ")
		out[strings.Join([]string{c.ID, "Unhealthy", probe}, "\x00")] = Event{
			Type: corev1.EventTypeWarning, Reason: "Unhealthy",
			Object:  "Pod " + pod.Manifest.Namespace + "/" + pod.Manifest.Name,
			Message: fmt.Sprintf("container %s: %s", c.Name, message),
		}
	}
}
