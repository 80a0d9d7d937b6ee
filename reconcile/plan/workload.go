package plan

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
)

// workload is what ReplicaSets, ReplicationControllers, StatefulSets and DaemonSets have in common. How they keep their
// pods differs; how they report does not.
type workload struct {
	key      ownerKey
	root     manifests.Ref
	template *corev1.PodTemplateSpec
	replicas int
	minReady time.Duration
	now      time.Time
	// pods are its own, stopping ones included.
	pods []*podView
	// pending are the pods that are wanted and cannot be made; waiting says why old ones are not replaced yet.
	pending []ObjectStatus
	waiting string
}

// progress is how far a workload is.
type progress struct {
	complete bool
	// updated and old count pods by their template, of the kinds that replace them; excess are those too many.
	rolls                bool
	updated, old, excess int
	// remark is what a complete one has to say.
	remark string
}

func (p *planner) workload(object *manifests.Object) *workload {
	spec, _ := manifests.WorkloadOf(object.Value)
	key := keyOf(object)
	w := &workload{
		key: key, root: object.Ref, template: spec.Template, replicas: 1,
		minReady: time.Duration(spec.MinReadySeconds) * time.Second, now: p.now, pods: p.owned[key],
	}
	if spec.Replicas != nil {
		w.replicas = int(*spec.Replicas)
	}
	for _, v := range w.pods {
		v.claimed = true
	}
	return w
}

// podSelector is validated, so it can be read.
func podSelector(object *manifests.Object) labels.Selector {
	spec, _ := manifests.WorkloadOf(object.Value)
	if _, plain := object.Value.(*corev1.ReplicationController); plain {
		return labels.SelectorFromSet(spec.Selector.MatchLabels)
	}
	selector, err := metav1.LabelSelectorAsSelector(spec.Selector)
	if err != nil {
		return labels.Nothing()
	}
	return selector
}

func (w *workload) count(which func(*podView) bool) int {
	n := 0
	for _, v := range w.pods {
		n += order(v.live() && which(v))
	}
	return n
}

func (w *workload) ready() int { return w.count(func(v *podView) bool { return v.ready }) }

func (w *workload) available() int { return w.count(w.isAvailable) }

func (w *workload) isAvailable(v *podView) bool { return v.live() && v.available(w.minReady, w.now) }

// progressDeadline is for how long a workload may make no progress until it is called stalled. Upstream has none for these
// kinds; it is a Deployment's default.
const progressDeadline = 600 * time.Second

func noProgress(message string) string {
	return fmt.Sprintf("made no progress for %.0f s: %s", progressDeadline.Seconds(), message)
}

// reportWorkload says how far a workload is, and of each of its pods.
func (p *planner) reportWorkload(w *workload, at progress) {
	status := ObjectStatus{Ref: w.root, Health: Ready, Message: at.remark, Summary: map[string]string{
		"ready": fmt.Sprintf("%d/%d", w.ready(), w.replicas), "available": fmt.Sprint(w.available()), "images": images(&w.template.Spec)}}
	if at.rolls {
		status.Summary["updated"] = fmt.Sprint(at.updated)
	}
	if !at.complete {
		status.Health, status.Message = Reconciling, w.message(at)
		if deadline := p.stallsAt(w); !deadline.IsZero() && !p.now.Before(deadline) && !w.restarting() {
			status.Health, status.Message = Stalled, noProgress(status.Message)
		} else {
			p.checkAt(deadline)
		}
	}
	status.Conditions = workloadConditions(w, at, &status)
	p.report(w.root, status)
	for _, v := range w.pods {
		if v.ready && !v.deleted {
			p.checkAt(v.readySince.Add(w.minReady))
		}
		if !v.fixed { // else the commit holds it, and it is reported there
			p.report(w.root, p.podStatus(v, w.root))
		}
	}
	for _, pending := range w.pending {
		pending.Owner = w.root
		p.report(w.root, pending)
	}
}

// message is one sentence on what the workload waits for.
func (w *workload) message(at progress) string {
	message := fmt.Sprintf("%d of %d pods available", w.available(), w.replicas)
	if at.rolls {
		message = fmt.Sprintf("%d of %d pods updated, %d available", at.updated, w.replicas, w.available())
	}
	if at.old > 0 {
		message += fmt.Sprintf(", %d old", at.old)
	}
	if at.excess > 0 {
		message += fmt.Sprintf(", %d too many", at.excess)
	}
	if w.waiting != "" {
		return message + "; " + w.waiting
	}
	for _, pending := range w.pending {
		return fmt.Sprintf("%s; pod %s: %s", message, pending.Name, pending.Message)
	}
	for _, v := range w.pods {
		if v.problem != "" && v.live() {
			return fmt.Sprintf("%s; pod %s: %s", message, v.Manifest.Name, v.problem)
		}
	}
	return message
}

// stallsAt counts from the last progress: a commit, a pod that was created, became ready or stopped being so.
func (p *planner) stallsAt(w *workload) time.Time {
	if p.desired.Since.IsZero() {
		return time.Time{}
	}
	last := p.since(w.key)
	for _, v := range w.pods {
		last = later(later(last, v.CreatedAt), v.StartedAt)
		if v.ready {
			last = later(last, v.readySince)
		}
		for i := range v.Containers {
			last = later(last, v.Containers[i].UnreadySince)
		}
	}
	return last.Add(progressDeadline)
}

// restarting tells that a container ended and has not reached the longest back-off yet. A pod that crashes after hours gets
// time to come back: that of five restarts, about five minutes.
func (w *workload) restarting() bool {
	for _, v := range w.pods {
		for c := range serving(&v.Manifest.Spec) {
			latest := Latest(v.Pod, c.Name)
			if v.live() && latest != nil && !ready(v.Pod, latest) && (latest.State == runtime.Exited || latest.Attempt > 0) && latest.Backoff < maxBackoff {
				return true
			}
		}
	}
	return false
}

// workloadConditions are those of a Deployment: upstream has none for these kinds.
func workloadConditions(w *workload, at progress, status *ObjectStatus) []metav1.Condition {
	available := condition("Available", w.available() >= w.replicas, "MinimumReplicasAvailable", "MinimumReplicasUnavailable", status.Message)
	progressing := metav1.Condition{Type: "Progressing", Status: metav1.ConditionTrue, Reason: "PodsUpdated", Message: status.Message}
	switch {
	case at.complete:
		progressing.Reason, progressing.Message = "PodsAvailable", ""
	case status.Health == Stalled:
		progressing.Status, progressing.Reason = metav1.ConditionFalse, "ProgressDeadlineExceeded"
	}
	return append([]metav1.Condition{available, progressing}, replicaFailure(w.pending)...)
}

// replicaFailure is the condition of a ReplicaSet, and so of its Deployment, of which pods were refused; empty if none was.
// Upstream: calculateStatus (pkg/controller/replicaset/replica_set_utils.go).
func replicaFailure(pending []ObjectStatus) []metav1.Condition {
	for _, pod := range pending {
		for _, c := range pod.Conditions {
			if c.Reason == reasonFailedCreate {
				return []metav1.Condition{{Type: "ReplicaFailure", Status: metav1.ConditionTrue,
					Reason: c.Reason, Message: c.Message, LastTransitionTime: c.LastTransitionTime}}
			}
		}
	}
	return nil
}
