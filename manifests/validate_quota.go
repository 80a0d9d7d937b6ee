package manifests

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// resourceQuota follows upstream's ValidateResourceQuotaSpec, and refuses objects that are too many. Pods that would be are
// not refused with the commit, since how many there are changes with time: reconcile/plan does not make them.
func (c check) resourceQuota(path *field.Path, q *corev1.ResourceQuota, used corev1.ResourceList) {
	for _, name := range sortedKeys(q.Spec.Hard) {
		at, hard := ofResource(path.Child("hard"), name), q.Spec.Hard[name]
		c.quotaName(at, name)
		switch count := used[name]; {
		case hard.Sign() < 0:
			c.add(at, "must be greater than or equal to 0")
		case isCount(name) && hard.MilliValue()%1000 != 0:
			c.add(at, "must be a whole number")
		case len(scopesOf(&q.Spec)) == 0 && count.Cmp(hard) > 0:
			c.add(at, "exceeded quota: %s, used: %s=%s, limited: %[2]s=%[4]s: raise it, or take something out of namespace %[5]s",
				q.Name, name, count.String(), hard.String(), q.Namespace)
		}
	}
	c.scopes(path, &q.Spec)
}

// podQuotas are the resources of pods that quotas of some scopes may have; upstream's podObjectCountQuotaResources and
// podComputeQuotaResources.
var podQuotas = []corev1.ResourceName{corev1.ResourcePods, corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceRequestsCPU,
	corev1.ResourceRequestsMemory, corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory}

var otherQuotas = []corev1.ResourceName{corev1.ResourceEphemeralStorage, corev1.ResourceRequestsEphemeralStorage, corev1.ResourceLimitsEphemeralStorage,
	corev1.ResourceRequestsStorage, corev1.ResourceServices, corev1.ResourceServicesNodePorts, corev1.ResourceServicesLoadBalancers,
	corev1.ResourceConfigMaps, corev1.ResourceSecrets, corev1.ResourceReplicationControllers, corev1.ResourceQuotas, corev1.ResourcePersistentVolumeClaims}

// isCount tells what is counted in whole numbers.
func isCount(name corev1.ResourceName) bool {
	return name == corev1.ResourcePods || strings.HasPrefix(string(name), "count/") || strings.HasPrefix(string(name), "services") ||
		slices.Contains([]corev1.ResourceName{corev1.ResourceConfigMaps, corev1.ResourceSecrets, corev1.ResourceReplicationControllers,
			corev1.ResourceQuotas, corev1.ResourcePersistentVolumeClaims}, name)
}

// quotaName follows upstream's ValidateResourceQuotaResourceName.
func (c check) quotaName(path *field.Path, name corev1.ResourceName) {
	hugePages := strings.HasPrefix(strings.TrimPrefix(string(name), corev1.DefaultResourceRequestsPrefix), corev1.ResourceHugePagesPrefix)
	switch {
	case slices.Contains(podQuotas, name) || slices.Contains(otherQuotas, name) || hugePages:
	case !strings.Contains(string(name), "/"):
		c.add(path, "is nothing that a quota limits: see docs/policies.md for the names")
	default:
		c.all(path, validation.IsQualifiedName(string(name)))
	}
}

// scopes follows upstream's validateResourceQuotaScopes and validateScopeSelector.
func (c check) scopes(path *field.Path, spec *corev1.ResourceQuotaSpec) {
	var names []corev1.ResourceQuotaScope
	for i, scope := range spec.Scopes {
		at := path.Child("scopes").Index(i)
		c.scope(at, scope, spec)
		names = append(names, scope)
	}
	if spec.ScopeSelector != nil {
		for i, r := range spec.ScopeSelector.MatchExpressions {
			at := path.Child("scopeSelector", "matchExpressions").Index(i)
			c.scope(at.Child("scopeName"), r.ScopeName, spec)
			c.scopeOperator(at, r)
			names = append(names, r.ScopeName)
		}
	}
	for _, pair := range [][2]corev1.ResourceQuotaScope{{corev1.ResourceQuotaScopeBestEffort, corev1.ResourceQuotaScopeNotBestEffort},
		{corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating}} {
		if slices.Contains(names, pair[0]) && slices.Contains(names, pair[1]) {
			c.add(path, "must not have both scopes %s and %s: no pod is in both", pair[0], pair[1])
		}
	}
}

func (c check) scope(path *field.Path, scope corev1.ResourceQuotaScope, spec *corev1.ResourceQuotaSpec) {
	if scope == "" {
		c.add(path, "is missing")
		return
	}
	oneOf(c, path, scope, corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating, corev1.ResourceQuotaScopeBestEffort,
		corev1.ResourceQuotaScopeNotBestEffort, corev1.ResourceQuotaScopePriorityClass, corev1.ResourceQuotaScopeCrossNamespacePodAffinity)
	allowed := podQuotas
	if scope == corev1.ResourceQuotaScopeBestEffort {
		allowed = podQuotas[:1]
	}
	for _, name := range sortedKeys(spec.Hard) {
		if slices.Contains(podQuotas, name) || slices.Contains(otherQuotas, name) || strings.HasPrefix(string(name), "count/") {
			if !slices.Contains(allowed, name) {
				c.add(path, "does not go with hard[%s]: a quota of this scope counts %s", name, words(allowed))
			}
		}
	}
}

func (c check) scopeOperator(path *field.Path, r corev1.ScopedResourceSelectorRequirement) {
	at := path.Child("operator")
	if r.Operator == "" {
		c.add(at, "is missing")
	}
	if r.ScopeName != corev1.ResourceQuotaScopePriorityClass {
		oneOf(c, at, r.Operator, corev1.ScopeSelectorOpExists)
	}
	oneOf(c, at, r.Operator, corev1.ScopeSelectorOpIn, corev1.ScopeSelectorOpNotIn, corev1.ScopeSelectorOpExists, corev1.ScopeSelectorOpDoesNotExist)
	switch wants := r.Operator == corev1.ScopeSelectorOpIn || r.Operator == corev1.ScopeSelectorOpNotIn; {
	case wants && len(r.Values) == 0:
		c.add(path.Child("values"), "at least one is required when the operator is %s", r.Operator)
	case !wants && len(r.Values) > 0:
		c.add(path.Child("values"), "must not be set when the operator is %s", r.Operator)
	}
}

// quotaNeeds refuses containers that do not say what a quota counts: upstream's podEvaluator.Constraints, which refuses the
// pod.
func (c check) quotaNeeds(quotas []*corev1.ResourceQuota, class string) {
	t, ok := TemplateOf(c.object)
	if !ok {
		return
	}
	for _, q := range quotas {
		if !QuotaSelects(q, t.Spec, class) {
			continue
		}
		for i := range t.Spec.Containers {
			c.containerNeeds(t.path.Child("spec", "containers").Index(i), q, &t.Spec.Containers[i])
		}
		for i := range t.Spec.InitContainers {
			c.containerNeeds(t.path.Child("spec", "initContainers").Index(i), q, &t.Spec.InitContainers[i])
		}
	}
}

func (c check) containerNeeds(path *field.Path, q *corev1.ResourceQuota, container *corev1.Container) {
	has := computeUsage(container.Resources.Requests, container.Resources.Limits)
	var missing []string
	for _, name := range sortedKeys(q.Spec.Hard) {
		if _, there := has[name]; !there && name != corev1.ResourcePods && slices.Contains(podQuotas, name) {
			missing = append(missing, string(name))
		}
	}
	if len(missing) > 0 {
		c.add(path.Child("resources"), "failed quota: %s: must specify %s for: %s: add it, or a LimitRange that defaults it",
			q.Name, strings.Join(missing, ","), container.Name)
	}
}
