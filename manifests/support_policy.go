package manifests

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
)

const noAuthorization = oneHost + ": there is no API server to authorize for"

// policyKinds bound and rank what other objects may have.
var policyKinds = []kind{
	{"v1", "LimitRange", func() any { return &corev1.LimitRange{} }, honoured, "", slices.Concat(objectFields, under("spec", limitRangeFields))},
	{"v1", "ResourceQuota", func() any { return &corev1.ResourceQuota{} }, honoured, "", slices.Concat(objectFields, statusFields, under("spec", resourceQuotaFields))},
	{"policy/v1", "PodDisruptionBudget", func() any { return &policyv1.PodDisruptionBudget{} }, honoured, "", slices.Concat(objectFields, statusFields, under("spec", disruptionBudgetFields))},
	{"scheduling.k8s.io/v1", "PriorityClass", func() any { return &schedulingv1.PriorityClass{} }, honoured, "", slices.Concat(objectFields, priorityClassFields)},
	{"rbac.authorization.k8s.io/v1", "Role", func() any { return &rbacv1.Role{} }, silent, noAuthorization, slices.Concat(objectFields, roleFields)},
	{"rbac.authorization.k8s.io/v1", "RoleBinding", func() any { return &rbacv1.RoleBinding{} }, silent, noAuthorization, slices.Concat(objectFields, bindingFields)},
	{"rbac.authorization.k8s.io/v1", "ClusterRole", func() any { return &rbacv1.ClusterRole{} }, silent, noAuthorization, slices.Concat(objectFields, roleFields, clusterRoleFields)},
	{"rbac.authorization.k8s.io/v1", "ClusterRoleBinding", func() any { return &rbacv1.ClusterRoleBinding{} }, silent, noAuthorization, slices.Concat(objectFields, bindingFields)},
}

var limitRangeFields = under("limits[]", slices.Concat(
	honourWith("what a pod or claim violates refuses the commit", "type", "max.*", "min.*", "maxLimitRequestRatio.*"),
	honourWith("pods that are there get it as well: a changed default makes new ones", "default.*", "defaultRequest.*"),
))

var resourceQuotaFields = slices.Concat(
	honourWith("a pod that would be too much stays Pending; objects that are too many refuse the commit", "hard.*"),
	only(refuse("not supported: the engine's volumes have no such attributes", "scopes[]", "scopeSelector.matchExpressions[].scopeName"), string(corev1.ResourceQuotaScopeVolumeAttributesClass)),
	honour("scopes[]", "scopeSelector.matchExpressions[].{scopeName,operator,values}"),
)

// disruptionBudgetFields: what a budget governs is evictions, and nothing here evicts a pod to make room elsewhere.
var disruptionBudgetFields = slices.Concat(
	honourWith("what the budget allows is shown; there are no nodes to drain, and updates follow their own strategy, as in a cluster",
		"minAvailable", "maxUnavailable", "selector.matchLabels.*", "selector.matchExpressions[].{key,operator,values}"),
	ignoreSilently("there are no nodes to drain", "unhealthyPodEvictionPolicy"),
)

var priorityClassFields = slices.Concat(
	honourWith("pods with more are created first; none is removed to make room for another", "value"),
	honour("globalDefault", "description"),
	ignoreSilently("no pod is removed to make room for another", "preemptionPolicy"),
)

var roleFields = ignoreSilently(noAuthorization, "rules")

var clusterRoleFields = ignoreSilently(noAuthorization, "aggregationRule")

var bindingFields = ignoreSilently(noAuthorization, "subjects", "roleRef")
