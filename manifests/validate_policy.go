package manifests

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// policies are the rules of a commit that bear on objects other than their own.
type policies struct {
	limits     map[string][]*corev1.LimitRange
	quotas     map[string][]*corev1.ResourceQuota
	used       map[string]corev1.ResourceList
	priorities Priorities
	paths      map[ingressPath]pathOwner
}

func newPolicies(set *Set) policies {
	p := policies{limits: limitRanges(set), quotas: map[string][]*corev1.ResourceQuota{}, used: ObjectUsage(set), priorities: NewPriorities(set), paths: pathOwners(set)}
	for _, q := range All[*corev1.ResourceQuota](set) {
		p.quotas[q.Namespace] = append(p.quotas[q.Namespace], q)
	}
	return p
}

// policies checks an object against the LimitRanges, ResourceQuotas, PriorityClasses and other Ingresses of the commit.
func (c check) policies(p policies) {
	c.limits(p.limits[c.object.Namespace])
	if t, ok := TemplateOf(c.object); ok {
		c.priority(t.path.Child("spec"), t.Spec, p.priorities)
		c.quotaNeeds(p.quotas[c.object.Namespace], p.priorities.ClassOf(t.Spec))
	}
	switch v := c.object.Value.(type) {
	case *corev1.ResourceQuota:
		c.resourceQuota(field.NewPath("spec"), v, p.used[v.Namespace])
	case *schedulingv1.PriorityClass:
		c.priorityClass(v, p.priorities)
	case *networkingv1.Ingress:
		c.ownPaths(v, p.paths)
	}
}

// disruptionBudget follows upstream's ValidatePodDisruptionBudgetSpec.
func (c check) disruptionBudget(path *field.Path, spec *policyv1.PodDisruptionBudgetSpec) {
	if spec.MinAvailable != nil && spec.MaxUnavailable != nil {
		c.add(path.Child("maxUnavailable"), "must not be set together with minAvailable: leave one out")
	}
	c.partialShare(path.Child("minAvailable"), spec.MinAvailable)
	c.partialShare(path.Child("maxUnavailable"), spec.MaxUnavailable)
	if spec.Selector != nil {
		c.selector(path.Child("selector"), spec.Selector)
	}
	if spec.UnhealthyPodEvictionPolicy != nil {
		oneOf(c, path.Child("unhealthyPodEvictionPolicy"), *spec.UnhealthyPodEvictionPolicy, policyv1.IfHealthyBudget, policyv1.AlwaysAllow)
	}
}
