package manifests

import (
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// deployment follows upstream's ValidateDeploymentSpec.
func (c check) deployment(path *field.Path, spec *appsv1.DeploymentSpec) {
	notNegative(c, path.Child("replicas"), spec.Replicas)
	notNegative(c, path.Child("minReadySeconds"), &spec.MinReadySeconds)
	notNegative(c, path.Child("revisionHistoryLimit"), spec.RevisionHistoryLimit)
	notNegative(c, path.Child("progressDeadlineSeconds"), spec.ProgressDeadlineSeconds)
	if d := spec.ProgressDeadlineSeconds; d != nil && *d >= 0 && *d <= spec.MinReadySeconds {
		c.add(path.Child("progressDeadlineSeconds"), "must be greater than minReadySeconds (%d)", spec.MinReadySeconds)
	}
	c.deploymentSelector(path, spec)
	c.strategy(path.Child("strategy"), &spec.Strategy)
	template := path.Child("template")
	c.labels(template.Child("metadata"), &spec.Template.ObjectMeta)
	if p := spec.Template.Spec.RestartPolicy; p == corev1.RestartPolicyOnFailure || p == corev1.RestartPolicyNever {
		c.add(template.Child("spec", "restartPolicy"), "must be Always in a Deployment")
	}
	c.podSpec(template.Child("spec"), &spec.Template.Spec)
}

func (c check) deploymentSelector(path *field.Path, spec *appsv1.DeploymentSpec) {
	at := path.Child("selector")
	if spec.Selector == nil {
		c.add(at, "is missing")
		return
	}
	if len(spec.Selector.MatchLabels)+len(spec.Selector.MatchExpressions) == 0 {
		c.add(at, "must not be empty: it would select every pod")
		return
	}
	c.selector(at, spec.Selector)
	selector, err := metav1.LabelSelectorAsSelector(spec.Selector)
	if err == nil && !selector.Matches(labels.Set(spec.Template.Labels)) {
		c.add(path.Child("template", "metadata", "labels"), "must match spec.selector (%s)", metav1.FormatLabelSelector(spec.Selector))
	}
}

func (c check) strategy(path *field.Path, s *appsv1.DeploymentStrategy) {
	oneOf(c, path.Child("type"), s.Type, appsv1.RollingUpdateDeploymentStrategyType, appsv1.RecreateDeploymentStrategyType)
	at := path.Child("rollingUpdate")
	if s.RollingUpdate == nil {
		return
	}
	if s.Type == appsv1.RecreateDeploymentStrategyType {
		c.add(at, "must not be set when the type is Recreate")
		return
	}
	surge, surgeOK := c.share(at.Child("maxSurge"), s.RollingUpdate.MaxSurge)
	unavailable, unavailableOK := c.share(at.Child("maxUnavailable"), s.RollingUpdate.MaxUnavailable)
	if v := s.RollingUpdate.MaxUnavailable; v != nil && v.Type == intstr.String && unavailable > 100 {
		c.add(at.Child("maxUnavailable"), "must not be more than 100%%")
	}
	if surgeOK && unavailableOK && surge == 0 && unavailable == 0 {
		c.add(at.Child("maxUnavailable"), "must not be 0 when maxSurge is 0: no pod could ever be replaced")
	}
}

// share is a number of pods or a percentage of them; ok tells whether it is well-formed.
func (c check) share(path *field.Path, v *intstr.IntOrString) (number int, ok bool) {
	switch {
	case v == nil:
		return 0, false
	case v.Type == intstr.Int:
		notNegative(c, path, &v.IntVal)
		return int(v.IntVal), v.IntVal >= 0
	case len(validation.IsValidPercent(v.StrVal)) > 0:
		c.add(path, "must be a whole number or a percentage, as 1 or 25%%")
		return 0, false
	}
	number, err := strconv.Atoi(strings.TrimSuffix(v.StrVal, "%"))
	if err != nil { // more digits than an int has
		c.add(path, "must be a whole number or a percentage, as 1 or 25%%")
	}
	return number, err == nil
}
