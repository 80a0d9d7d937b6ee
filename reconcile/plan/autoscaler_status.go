package plan

import (
	"fmt"
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// reportAutoscaler says what kubectl get and kubectl describe say. One that has no metrics is no failure of the commit: the
// target keeps its pods.
func (p *planner) reportAutoscaler(a *autoscaler) {
	status := ObjectStatus{Ref: a.root, Health: Ready, Summary: map[string]string{
		"reference": a.Spec.ScaleTargetRef.Kind + "/" + a.Spec.ScaleTargetRef.Name,
		"targets":   a.targets(),
		"minpods":   fmt.Sprint(*a.Spec.MinReplicas),
		"maxpods":   fmt.Sprint(a.Spec.MaxReplicas),
		"replicas":  fmt.Sprint(a.current),
	}}
	for _, c := range a.status.Conditions {
		status.Conditions = append(status.Conditions, metav1.Condition{Type: string(c.Type), Status: metav1.ConditionStatus(c.Status),
			LastTransitionTime: c.LastTransitionTime, Reason: c.Reason, Message: c.Message})
	}
	active := hpaCondition(a.status.Conditions, autoscalingv2.ScalingActive)
	switch {
	case a.target == nil:
		status.Health, status.Message = a.unhealthy, "FailedGetScale: "+a.failure
	case active != nil && active.Status == corev1.ConditionFalse:
		status.Message = active.Reason + ": " + active.Message
	case active == nil:
		status.Message = "waits for metrics"
	}
	if a.noted && a.note.Written != a.written && a.written != 0 {
		ignored := fmt.Sprintf("replicas of %s went from %d to %d in git, which changes nothing: it has %d pods by this autoscaler",
			a.target.Ref, a.note.Written, a.written, a.current)
		status.Message = strings.TrimPrefix(status.Message+"; "+ignored, "; ")
	}
	p.report(a.root, status)
}

// targets are each metric's value and target, as kubectl prints them (k8s.io/kubectl/pkg/describe and
// pkg/printers/internalversion, formatHPAMetrics).
func (a *autoscaler) targets() string {
	var out []string
	for i, m := range a.Spec.Metrics {
		var current autoscalingv2.MetricStatus
		if i < len(a.status.CurrentMetrics) {
			current = a.status.CurrentMetrics[i]
		}
		switch {
		case m.Resource != nil:
			var value autoscalingv2.MetricValueStatus
			if current.Resource != nil {
				value = current.Resource.Current
			}
			out = append(out, target(string(m.Resource.Name), value, m.Resource.Target))
		case m.ContainerResource != nil:
			var value autoscalingv2.MetricValueStatus
			if current.ContainerResource != nil {
				value = current.ContainerResource.Current
			}
			out = append(out, target(string(m.ContainerResource.Name), value, m.ContainerResource.Target))
		default:
			out = append(out, "<unknown>/<unknown>")
		}
	}
	return strings.Join(out, ", ")
}

func target(name string, current autoscalingv2.MetricValueStatus, wanted autoscalingv2.MetricTarget) string {
	value := "<unknown>"
	if wanted.AverageValue != nil {
		if current.AverageValue != nil {
			value = current.AverageValue.String()
		}
		return fmt.Sprintf("%s: %s/%s", name, value, wanted.AverageValue)
	}
	if current.AverageUtilization != nil {
		value = fmt.Sprintf("%d%%", *current.AverageUtilization)
	}
	return fmt.Sprintf("%s: %s/%d%%", name, value, *wanted.AverageUtilization)
}
