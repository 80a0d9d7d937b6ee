package manifests

import (
	"fmt"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
)

// converted is a decoded object in the version that the rest of the program knows. Upstream:
// pkg/apis/autoscaling/v1/conversion.go.
func converted(value any) any {
	old, ok := value.(*autoscalingv1.HorizontalPodAutoscaler)
	if !ok {
		return value
	}
	out := &autoscalingv2.HorizontalPodAutoscaler{TypeMeta: old.TypeMeta, ObjectMeta: old.ObjectMeta}
	out.Spec.ScaleTargetRef = autoscalingv2.CrossVersionObjectReference(old.Spec.ScaleTargetRef)
	out.Spec.MinReplicas, out.Spec.MaxReplicas = old.Spec.MinReplicas, old.Spec.MaxReplicas
	if percent := old.Spec.TargetCPUUtilizationPercentage; percent != nil {
		out.Spec.Metrics = []autoscalingv2.MetricSpec{cpuUtilization(*percent)}
	}
	return out
}

func cpuUtilization(percent int32) autoscalingv2.MetricSpec {
	return autoscalingv2.MetricSpec{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
		Name:   corev1.ResourceCPU,
		Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &percent},
	}}
}

// defaultAutoscaler fills in a behavior only where there is one: without, other rules hold.
func defaultAutoscaler(a *autoscalingv2.HorizontalPodAutoscaler) {
	point(defaults{}, &a.Spec.MinReplicas, int32(1))
	if len(a.Spec.Metrics) == 0 {
		a.Spec.Metrics = []autoscalingv2.MetricSpec{cpuUtilization(80)}
	}
	b := a.Spec.Behavior
	if b == nil {
		return
	}
	percent := autoscalingv2.HPAScalingPolicy{Type: autoscalingv2.PercentScalingPolicy, Value: 100, PeriodSeconds: 15}
	pods := autoscalingv2.HPAScalingPolicy{Type: autoscalingv2.PodsScalingPolicy, Value: 4, PeriodSeconds: 15}
	defaultScalingRules(&b.ScaleUp, pods, percent)
	defaultScalingRules(&b.ScaleDown, percent)
	point(defaults{}, &b.ScaleUp.StabilizationWindowSeconds, int32(0))
}

// defaultScalingRules leaves an empty list of policies empty, which is refused then.
func defaultScalingRules(rules **autoscalingv2.HPAScalingRules, policies ...autoscalingv2.HPAScalingPolicy) {
	empty(defaults{}, rules)
	point(defaults{}, &(*rules).SelectPolicy, autoscalingv2.MaxChangePolicySelect)
	if (*rules).Policies == nil {
		(*rules).Policies = policies
	}
}

// IgnoredReplicas warns of numbers of replicas that a commit changes and that an autoscaler decides by now. To write 0, or to
// replace it, does mean something.
func IgnoredReplicas(before, after *Set) []Warning {
	var out []Warning
	for _, a := range All[*autoscalingv2.HorizontalPodAutoscaler](after) {
		ref := a.Spec.ScaleTargetRef
		was, now := before.Find(ref.Kind, a.Namespace, ref.Name), after.Find(ref.Kind, a.Namespace, ref.Name)
		old := before.Find("HorizontalPodAutoscaler", a.Namespace, a.Name)
		if was == nil || now == nil || old == nil {
			continue
		}
		from, to := replicasOf(was), replicasOf(now)
		if scaled, ok := old.Value.(*autoscalingv2.HorizontalPodAutoscaler); ok && scaled.Spec.ScaleTargetRef == ref && from != to && from*to != 0 {
			position := now.positionOf("spec.replicas")
			out = append(out, Warning{Position: position, Object: now.Ref, Field: "spec.replicas",
				Message: fmt.Sprintf("HorizontalPodAutoscaler %s/%s decides: to go from %d to %d in git changes nothing", a.Namespace, a.Name, from, to)})
		}
	}
	return out
}

func replicasOf(o *Object) int32 {
	if w, ok := WorkloadOf(o.Value); ok && w.Replicas != nil {
		return *w.Replicas
	}
	return 0
}
