package manifests

import (
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// workload checks what the kinds that keep pods running have in common. Upstream: ValidateDeploymentSpec and the like
// (pkg/apis/apps/validation), ValidateReplicationControllerSpec (pkg/apis/core/validation).
func (c check) workload(path *field.Path) {
	w, ok := WorkloadOf(c.object.Value)
	if _, ends := c.object.Value.(*batchv1.Job); ends || !ok {
		return
	}
	notNegative(c, path.Child("replicas"), w.Replicas)
	notNegative(c, path.Child("minReadySeconds"), &w.MinReadySeconds)
	notNegative(c, path.Child("revisionHistoryLimit"), w.RevisionHistoryLimit)
	if w.Template == nil {
		c.add(path.Child("template"), "is missing")
		return
	}
	c.workloadSelector(path, w)
	c.lastingTemplate(path.Child("template"), w.Template)
}

// lastingTemplate is one of pods that do not end by themselves. Upstream: ValidatePodTemplateSpecForReplicaSet.
func (c check) lastingTemplate(path *field.Path, template *corev1.PodTemplateSpec) {
	c.labels(path.Child("metadata"), &template.ObjectMeta)
	spec, at := &template.Spec, path.Child("spec")
	if spec.RestartPolicy == corev1.RestartPolicyOnFailure || spec.RestartPolicy == corev1.RestartPolicyNever {
		c.add(at.Child("restartPolicy"), "must be Always in a %s", c.object.Kind)
	}
	if spec.ActiveDeadlineSeconds != nil {
		c.add(at.Child("activeDeadlineSeconds"), "must not be set in a %s: its pods do not end", c.object.Kind)
	}
	c.podSpec(at, spec)
}

func (c check) workloadSelector(path *field.Path, w Workload) {
	at := path.Child("selector")
	if w.Selector == nil {
		c.add(at, "is missing")
		return
	}
	if len(w.Selector.MatchLabels)+len(w.Selector.MatchExpressions) == 0 {
		c.add(at, "must not be empty: it would select every pod")
		return
	}
	if selector, ok := c.podSelector(at, w.Selector); ok && !selector.Matches(labels.Set(w.Template.Labels)) {
		c.add(path.Child("template", "metadata", "labels"), "must match spec.selector (%s)", selector)
	}
}

// podSelector is what a selector selects, if it is well-formed. That of a ReplicationController may hold anything: if it
// matches the labels of the template, it is as good as these.
func (c check) podSelector(path *field.Path, selector *metav1.LabelSelector) (out labels.Selector, ok bool) {
	if _, plain := c.object.Value.(*corev1.ReplicationController); plain {
		return labels.SelectorFromSet(selector.MatchLabels), true
	}
	c.selector(path, selector)
	out, err := metav1.LabelSelectorAsSelector(selector)
	return out, err == nil
}

// deployment is what only Deployments have.
func (c check) deployment(path *field.Path, spec *appsv1.DeploymentSpec) {
	notNegative(c, path.Child("progressDeadlineSeconds"), spec.ProgressDeadlineSeconds)
	if d := spec.ProgressDeadlineSeconds; d != nil && *d >= 0 && *d <= spec.MinReadySeconds {
		c.add(path.Child("progressDeadlineSeconds"), "must be greater than minReadySeconds (%d)", spec.MinReadySeconds)
	}
	c.deploymentStrategy(path.Child("strategy"), &spec.Strategy)
}

func (c check) deploymentStrategy(path *field.Path, s *appsv1.DeploymentStrategy) {
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
	unavailable, unavailableOK := c.partialShare(at.Child("maxUnavailable"), s.RollingUpdate.MaxUnavailable)
	if surgeOK && unavailableOK && surge == 0 && unavailable == 0 {
		c.add(at.Child("maxUnavailable"), "must not be 0 when maxSurge is 0: no pod could ever be replaced")
	}
}

// daemonSetStrategy follows upstream's ValidateDaemonSetUpdateStrategy. Under OnDelete the rest does not matter.
func (c check) daemonSetStrategy(path *field.Path, s *appsv1.DaemonSetUpdateStrategy) {
	oneOf(c, path.Child("type"), s.Type, appsv1.RollingUpdateDaemonSetStrategyType, appsv1.OnDeleteDaemonSetStrategyType)
	if s.Type != appsv1.RollingUpdateDaemonSetStrategyType {
		return
	}
	at := path.Child("rollingUpdate")
	surge, surgeOK := c.partialShare(at.Child("maxSurge"), s.RollingUpdate.MaxSurge)
	unavailable, unavailableOK := c.partialShare(at.Child("maxUnavailable"), s.RollingUpdate.MaxUnavailable)
	switch {
	case !surgeOK || !unavailableOK:
	case surge != 0 && unavailable != 0:
		c.add(at.Child("maxSurge"), "must be 0 unless maxUnavailable is 0 (it defaults to 1): the new pod comes before the old one goes, or after")
	case surge == 0 && unavailable == 0:
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

// partialShare is a share of no more than all pods.
func (c check) partialShare(path *field.Path, v *intstr.IntOrString) (number int, ok bool) {
	number, ok = c.share(path, v)
	if ok && v.Type == intstr.String && number > 100 {
		c.add(path, "must not be more than 100%%")
	}
	return number, ok
}
