package manifests

import (
	"slices"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Bounds of upstream (pkg/apis/autoscaling/validation).
const (
	maxPolicyPeriod  = 1800
	maxStabilization = 3600
)

// autoscaler follows upstream's validateHorizontalPodAutoscalerSpec.
func (c check) autoscaler(path *field.Path, spec *autoscalingv2.HorizontalPodAutoscalerSpec) {
	if *spec.MinReplicas < 1 {
		c.add(path.Child("minReplicas"), "must be greater than 0: scaling to zero needs metrics that there are not here")
	}
	if spec.MaxReplicas < 1 {
		c.add(path.Child("maxReplicas"), "must be greater than 0")
	} else if spec.MaxReplicas < *spec.MinReplicas {
		c.add(path.Child("maxReplicas"), "must not be less than minReplicas (%d)", *spec.MinReplicas)
	}
	if spec.ScaleTargetRef.Kind == "" {
		c.add(path.Child("scaleTargetRef", "kind"), "is missing")
	}
	if spec.ScaleTargetRef.Name == "" {
		c.add(path.Child("scaleTargetRef", "name"), "is missing")
	}
	for i := range spec.Metrics {
		c.metric(path.Child("metrics").Index(i), &spec.Metrics[i])
	}
	if b := spec.Behavior; b != nil {
		c.scalingRules(path.Child("behavior", "scaleUp"), b.ScaleUp)
		c.scalingRules(path.Child("behavior", "scaleDown"), b.ScaleDown)
	}
}

// metric has the one source that its type names.
func (c check) metric(path *field.Path, m *autoscalingv2.MetricSpec) {
	sources := []struct {
		kind  autoscalingv2.MetricSourceType
		name  string
		there bool
	}{
		{autoscalingv2.ResourceMetricSourceType, "resource", m.Resource != nil},
		{autoscalingv2.ContainerResourceMetricSourceType, "containerResource", m.ContainerResource != nil},
		{autoscalingv2.PodsMetricSourceType, "pods", m.Pods != nil},
		{autoscalingv2.ObjectMetricSourceType, "object", m.Object != nil},
		{autoscalingv2.ExternalMetricSourceType, "external", m.External != nil},
	}
	var kinds []autoscalingv2.MetricSourceType
	for _, source := range sources {
		kinds = append(kinds, source.kind)
		switch {
		case source.kind == m.Type && !source.there:
			c.add(path.Child(source.name), "is missing, and the type is %s", m.Type)
		case source.kind != m.Type && source.there && slices.Contains(kinds, m.Type):
			c.add(path.Child(source.name), "must not be set when the type is %s", m.Type)
		}
	}
	if m.Type == "" {
		c.add(path.Child("type"), "is missing")
	}
	oneOf(c, path.Child("type"), m.Type, kinds...)
	if r := m.Resource; r != nil {
		c.resourceMetric(path.Child("resource"), r.Name, &r.Target)
	}
	if r := m.ContainerResource; r != nil {
		at := path.Child("containerResource")
		c.resourceMetric(at, r.Name, &r.Target)
		if r.Container == "" {
			c.add(at.Child("container"), "is missing")
		}
	}
}

func (c check) resourceMetric(path *field.Path, name corev1.ResourceName, t *autoscalingv2.MetricTarget) {
	if name == "" {
		c.add(path.Child("name"), "is missing")
	}
	oneOf(c, path.Child("name"), name, corev1.ResourceCPU, corev1.ResourceMemory)
	at := path.Child("target")
	if t.Type == "" {
		c.add(at.Child("type"), "is missing")
	}
	oneOf(c, at.Child("type"), t.Type, autoscalingv2.UtilizationMetricType, autoscalingv2.AverageValueMetricType)
	switch {
	case t.AverageUtilization == nil && t.AverageValue == nil:
		c.add(at.Child("averageUtilization"), "is missing: a target is averageUtilization or averageValue")
	case t.AverageUtilization != nil && t.AverageValue != nil:
		c.add(at.Child("averageValue"), "must not be set together with averageUtilization")
	case t.AverageUtilization != nil && *t.AverageUtilization < 1:
		c.add(at.Child("averageUtilization"), "must be greater than 0")
	case t.AverageValue != nil && t.AverageValue.Sign() <= 0:
		c.add(at.Child("averageValue"), "must be greater than 0")
	}
}

func (c check) scalingRules(path *field.Path, r *autoscalingv2.HPAScalingRules) {
	if s := r.StabilizationWindowSeconds; s != nil && (*s < 0 || *s > maxStabilization) {
		c.add(path.Child("stabilizationWindowSeconds"), "must be between 0 and %d", maxStabilization)
	}
	oneOf(c, path.Child("selectPolicy"), *r.SelectPolicy,
		autoscalingv2.MaxChangePolicySelect, autoscalingv2.MinChangePolicySelect, autoscalingv2.DisabledPolicySelect)
	if r.Tolerance != nil && r.Tolerance.Sign() < 0 {
		c.add(path.Child("tolerance"), "must not be less than 0")
	}
	if len(r.Policies) == 0 {
		c.add(path.Child("policies"), "must not be empty: leave it out for the defaults")
	}
	for i, p := range r.Policies {
		at := path.Child("policies").Index(i)
		if p.Type == "" {
			c.add(at.Child("type"), "is missing")
		}
		oneOf(c, at.Child("type"), p.Type, autoscalingv2.PodsScalingPolicy, autoscalingv2.PercentScalingPolicy)
		if p.Value < 1 {
			c.add(at.Child("value"), "must be greater than 0")
		}
		if p.PeriodSeconds < 1 || p.PeriodSeconds > maxPolicyPeriod {
			c.add(at.Child("periodSeconds"), "must be between 1 and %d", maxPolicyPeriod)
		}
	}
}

// autoscaler warns of a target that is not in the commit, and of requests without which a utilization cannot be told.
func (r resolver) autoscaler(path *field.Path, a *autoscalingv2.HorizontalPodAutoscaler) {
	ref := a.Spec.ScaleTargetRef
	target := r.set.Find(ref.Kind, a.Namespace, ref.Name)
	if target == nil {
		r.warn(path.Child("scaleTargetRef"), "%s %s/%s is not in the commit: nothing is scaled, and what this autoscaler scaled before keeps its pods until this is corrected",
			ref.Kind, a.Namespace, ref.Name)
		return
	}
	t, ok := TemplateOf(target)
	if !ok {
		return
	}
	for i := range a.Spec.Metrics {
		at := path.Child("metrics").Index(i)
		if m := a.Spec.Metrics[i].Resource; m != nil && m.Target.AverageUtilization != nil {
			r.requested(at.Child("resource"), t, m.Name, "")
		}
		if m := a.Spec.Metrics[i].ContainerResource; m != nil && m.Target.AverageUtilization != nil {
			r.requested(at.Child("containerResource"), t, m.Name, m.Container)
		}
	}
}

func (r resolver) requested(path *field.Path, t Template, name corev1.ResourceName, container string) {
	sidecars := slices.DeleteFunc(slices.Clone(t.Spec.InitContainers), func(c corev1.Container) bool { return !isSidecar(&c) })
	for _, c := range append(sidecars, t.Spec.Containers...) {
		if _, there := c.Resources.Requests[name]; !there && (container == "" || container == c.Name) {
			r.warn(path, "container %s of %s has no request for %s, of which a utilization is the percentage: nothing is scaled by this metric",
				c.Name, t.Object.Ref, name)
		}
	}
}
