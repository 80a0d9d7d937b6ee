package manifests

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// beside puts another object after the first.
func beside(objects ...string) string {
	out := objects[0]
	for _, o := range objects[1:] {
		out += "---\n" + o
	}
	return out
}

const limitsHead = `apiVersion: v1
kind: LimitRange
metadata: {name: limits}
spec:
  limits:
`

func withResources(resources string) string { return app + "    resources: " + resources + "\n" }

func claimOfSize(size string) string {
	return "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\nspec:\n  accessModes: [ReadWriteOnce]\n  resources: {requests: {storage: " + size + "}}\n"
}

func TestLimitRangesBound(t *testing.T) {
	cpu := limitsHead + "  - {type: Container, min: {cpu: 100m}, max: {cpu: 1}}\n"
	ratio := limitsHead + "  - {type: Container, maxLimitRequestRatio: {memory: 2}}\n"
	whole := limitsHead + "  - {type: Pod, max: {memory: 1Gi}}\n"
	storage := limitsHead + "  - {type: PersistentVolumeClaim, min: {storage: 1Gi}, max: {storage: 5Gi}}\n"
	const resources = "spec.containers[0].resources."
	runCases(t, []validateCase{
		{name: "what is in bounds", yaml: beside(withResources("{requests: {cpu: 100m}, limits: {cpu: 1}}"), cpu)},
		{name: "what says nothing has the defaults", yaml: beside(app, cpu)},
		{name: "in another namespace", yaml: beside(withResources("{requests: {cpu: 1m}}"), "apiVersion: v1\nkind: LimitRange\nmetadata: {name: l, namespace: other}\nspec: {limits: [{type: Container, min: {cpu: 1}}]}\n")},
		{name: "too little", yaml: beside(withResources("{requests: {cpu: 50m}, limits: {cpu: 60m}}"), cpu),
			errors: []string{"a.yaml:8: " + resources + "requests.cpu: LimitRange default/limits: minimum cpu usage per Container is 100m, but request is 50m: raise it"}},
		{name: "too much", yaml: beside(withResources("{limits: {cpu: 2}}"), cpu),
			errors: []string{"a.yaml:8: " + resources + "limits.cpu: LimitRange default/limits: maximum cpu usage per Container is 1, but limit is 2: lower it"}},
		{name: "a ratio that is exact", yaml: beside(withResources("{requests: {memory: 50Mi}, limits: {memory: 100Mi}}"), ratio)},
		{name: "a ratio that is exceeded", yaml: beside(withResources("{requests: {memory: 40Mi}, limits: {memory: 100Mi}}"), ratio), errors: []string{
			"a.yaml:8: " + resources + "limits.memory: LimitRange default/limits: memory max limit to request ratio per Container is 2, but provided ratio is 2.5: lower the limit 100Mi or raise the request 40Mi"}},
		{name: "a ratio of nothing", yaml: beside(app, ratio),
			errors: []string{"a.yaml:6: " + resources + "requests.memory: LimitRange default/limits: memory max limit to request ratio per Container is 2, but no request is specified or request is 0: add one"}},
		{name: "a pod in all", yaml: beside(withResources("{limits: {memory: 600Mi}}")+"  - {name: b, image: b, resources: {limits: {memory: 600Mi}}}\n", whole),
			errors: []string{"a.yaml:5: spec.containers: LimitRange default/limits: maximum memory usage per Pod is 1Gi, but limit is 1200Mi: lower it"}},
		{name: "a pod in all without a limit", yaml: beside(app, whole),
			errors: []string{"a.yaml:5: spec.containers: LimitRange default/limits: maximum memory usage per Pod is 1Gi, but no limit is specified: add one of at most that"}},
		{name: "a claim", yaml: beside(claimOfSize("2Gi"), storage)},
		{name: "a claim too small", yaml: beside(claimOfSize("1Mi"), storage),
			errors: []string{"a.yaml:6: spec.resources.requests.storage: LimitRange default/limits: minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi: raise it"}},
		{name: "a claim template too large", yaml: beside(statefulSet("  volumeClaimTemplates: [{metadata: {name: d}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 9Gi}}}}]\n"), storage),
			errors: []string{"a.yaml:9: spec.volumeClaimTemplates[0].spec.resources.requests.storage: LimitRange default/limits: maximum storage usage per PersistentVolumeClaim is 5Gi, but request is 9Gi: lower it"}},
	})
}

func TestLimitRangesThemselves(t *testing.T) {
	runCases(t, []validateCase{
		{name: "types", yaml: limitsHead + "  - {max: {cpu: 1}}\n  - {type: Node}\n  - {type: Pod, max: {cpu: 1}}\n  - {type: Pod, max: {cpu: 1}}\n", errors: []string{
			"a.yaml:6: spec.limits[0].type: is missing",
			"a.yaml:7: spec.limits[1].type: must be one of Container, Pod or PersistentVolumeClaim",
			"a.yaml:9: spec.limits[3].type: type Pod is there twice",
		}},
		{name: "values", yaml: limitsHead + "  - type: Container\n    min: {cpu: 2}\n    max: {cpu: 1}\n    maxLimitRequestRatio: {memory: 500m}\n  - {type: PersistentVolumeClaim, default: {storage: 1}}\n", errors: []string{
			"a.yaml:7: spec.limits[0].min.cpu: must be less than or equal to the default of 1",
			"a.yaml:7: spec.limits[0].min.cpu: must be less than or equal to the defaultRequest of 1",
			"a.yaml:7: spec.limits[0].min.cpu: must be less than or equal to the max of 1",
			"a.yaml:9: spec.limits[0].maxLimitRequestRatio.memory: must be 1 or more",
			"a.yaml:10: spec.limits[1]: must have min.storage or max.storage when the type is PersistentVolumeClaim",
			"a.yaml:10: spec.limits[1].default: must not be set when the type is PersistentVolumeClaim: only containers have defaults",
		}},
	})
}

func TestLimitRangesGiveDefaults(t *testing.T) {
	set, errs := assembleText(t, beside(withResources("{requests: {memory: 32Mi}}")+"  initContainers: [{name: first, image: a}]\n",
		limitsHead+"  - {type: Container, default: {cpu: 500m, memory: 64Mi}, defaultRequest: {cpu: 100m, memory: 16Mi}}\n"))
	if errs != nil {
		t.Fatal(errs)
	}
	pod := All[*corev1.Pod](set)[0]
	for _, c := range []struct {
		container corev1.Container
		want      corev1.ResourceList
	}{
		{pod.Spec.Containers[0], quantities("cpu", "100m", "memory", "32Mi", "limits.cpu", "500m", "limits.memory", "64Mi")},
		{pod.Spec.InitContainers[0], quantities("cpu", "100m", "memory", "16Mi", "limits.cpu", "500m", "limits.memory", "64Mi")},
	} {
		for name, want := range c.want {
			got := computeUsage(c.container.Resources.Requests, c.container.Resources.Limits)[name]
			if got.Cmp(want) != 0 {
				t.Errorf("container %s: %s is %s, want %s", c.container.Name, name, got.String(), want.String())
			}
		}
	}
	const want = "LimitRanger plugin set: cpu request for container app; cpu, memory limit for container app; " +
		"cpu, memory request for init container first; cpu, memory limit for init container first"
	if got := pod.Annotations[limitRangerAnnotation]; got != want {
		t.Errorf("annotation %q, want %q", got, want)
	}
}

func quantities(pairs ...string) corev1.ResourceList {
	out := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		out[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return out
}

const quotaHead = `apiVersion: v1
kind: ResourceQuota
metadata: {name: quota}
spec:
`

func TestResourceQuotas(t *testing.T) {
	runCases(t, []validateCase{
		{name: "what fits", yaml: beside(claimOfSize("2Gi"), quotaHead+"  hard: {persistentvolumeclaims: 1, requests.storage: 2Gi, count/resourcequotas: 1, secrets: 0}\n")},
		{name: "too many objects", yaml: beside(claimOfSize("2Gi"), quotaHead+"  hard:\n    count/persistentvolumeclaims: 0\n    requests.storage: 1Gi\n    resourcequotas: 0\n"), errors: []string{
			"a.yaml:13: spec.hard[count/persistentvolumeclaims]: exceeded quota: quota, used: count/persistentvolumeclaims=1, limited: count/persistentvolumeclaims=0: raise it, or take something out of namespace default",
			"a.yaml:14: spec.hard[requests.storage]: exceeded quota: quota, used: requests.storage=2Gi, limited: requests.storage=1Gi: raise it, or take something out of namespace default",
			"a.yaml:15: spec.hard.resourcequotas: exceeded quota: quota, used: resourcequotas=1, limited: resourcequotas=0: raise it, or take something out of namespace default",
		}},
		{name: "claims that a StatefulSet makes", yaml: beside(statefulSet("  replicas: 3\n  volumeClaimTemplates: [{metadata: {name: d}, spec: {storageClassName: fast, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]\n"),
			quotaHead+"  hard:\n    fast.storageclass.storage.k8s.io/requests.storage: 2Gi\n    count/statefulsets.apps: 1\n"), errors: []string{
			"a.yaml:17: spec.hard[fast.storageclass.storage.k8s.io/requests.storage]: exceeded quota: quota, used: fast.storageclass.storage.k8s.io/requests.storage=3Gi, limited: fast.storageclass.storage.k8s.io/requests.storage=2Gi: raise it, or take something out of namespace default"}},
		{name: "containers that do not say what counts", yaml: beside(withResources("{requests: {cpu: 1}}"), quotaHead+"  hard: {cpu: 1, limits.cpu: 1, memory: 1Gi, pods: 1}\n"),
			errors: []string{"a.yaml:8: spec.containers[0].resources: failed quota: quota: must specify limits.cpu,memory for: app: add it, or a LimitRange that defaults it"}},
		{name: "a LimitRange says it for them", yaml: beside(app, quotaHead+"  hard: {limits.cpu: 1}\n", limitsHead+"  - {type: Container, default: {cpu: 1}}\n")},
		{name: "a quota that is not about them", yaml: beside(app, quotaHead+"  hard: {limits.cpu: 1}\n  scopes: [Terminating]\n")},
		{name: "names, numbers and scopes", yaml: quotaHead + "  hard:\n    gadgets: 1\n    pods: 500m\n    services: 1\n  scopes: [BestEffort, NotBestEffort, Idle]\n", errors: []string{
			"a.yaml:4: spec: must not have both scopes BestEffort and NotBestEffort: no pod is in both",
			"a.yaml:6: spec.hard.gadgets: is nothing that a quota limits: see docs/policies.md for the names",
			"a.yaml:7: spec.hard.pods: must be a whole number",
			"a.yaml:9: spec.scopes[0]: does not go with hard[services]: a quota of this scope counts pods",
			"a.yaml:9: spec.scopes[1]: does not go with hard[services]: a quota of this scope counts pods, cpu, memory, requests.cpu, requests.memory, limits.cpu or limits.memory",
			"a.yaml:9: spec.scopes[2]: does not go with hard[services]: a quota of this scope counts pods, cpu, memory, requests.cpu, requests.memory, limits.cpu or limits.memory",
			"a.yaml:9: spec.scopes[2]: must be one of Terminating, NotTerminating, BestEffort, NotBestEffort, PriorityClass or CrossNamespacePodAffinity",
		}},
		{name: "scope selectors", yaml: quotaHead + "  hard: {pods: 1}\n  scopeSelector:\n    matchExpressions:\n    - {scopeName: PriorityClass, operator: In}\n    - {scopeName: Terminating, operator: In, values: [a]}\n", errors: []string{
			"a.yaml:8: spec.scopeSelector.matchExpressions[0].values: at least one is required when the operator is In",
			"a.yaml:9: spec.scopeSelector.matchExpressions[1].operator: must be Exists",
		}},
	})
}

func TestScopesOfQuotas(t *testing.T) {
	deadline := int64(60)
	burstable := corev1.PodSpec{Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: quantities("cpu", "1")}}}}
	crossing := corev1.PodSpec{Affinity: &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
		PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{PodAffinityTerm: corev1.PodAffinityTerm{Namespaces: []string{"a"}}}}}}}
	for _, c := range []struct {
		scope    corev1.ResourceQuotaScope
		operator corev1.ScopeSelectorOperator
		values   []string
		spec     corev1.PodSpec
		class    string
		want     bool
	}{
		{scope: "Terminating", spec: corev1.PodSpec{ActiveDeadlineSeconds: &deadline}, want: true},
		{scope: "Terminating"},
		{scope: "NotTerminating", want: true},
		{scope: "BestEffort", want: true},
		{scope: "BestEffort", spec: burstable},
		{scope: "NotBestEffort", spec: burstable, want: true},
		{scope: "CrossNamespacePodAffinity"},
		{scope: "CrossNamespacePodAffinity", spec: crossing, want: true},
		{scope: "PriorityClass", operator: "Exists"},
		{scope: "PriorityClass", operator: "Exists", class: "high", want: true},
		{scope: "PriorityClass", operator: "DoesNotExist", want: true},
		{scope: "PriorityClass", operator: "In", values: []string{"low", "high"}, class: "high", want: true},
		{scope: "PriorityClass", operator: "In", values: []string{"low"}, class: "high"},
		{scope: "PriorityClass", operator: "NotIn", values: []string{"low"}, want: true},
	} {
		q := &corev1.ResourceQuota{Spec: corev1.ResourceQuotaSpec{ScopeSelector: &corev1.ScopeSelector{
			MatchExpressions: []corev1.ScopedResourceSelectorRequirement{{ScopeName: c.scope, Operator: c.operator, Values: c.values}}}}}
		if got := QuotaSelects(q, &c.spec, c.class); got != c.want {
			t.Errorf("%s %s %v selects a pod of class %q: %t, want %t", c.scope, c.operator, c.values, c.class, got, c.want)
		}
	}
}

func class(name, fields string) string {
	return "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: " + name + "}\n" + fields
}

func TestPriorityClasses(t *testing.T) {
	runCases(t, []validateCase{
		{name: "a class", yaml: beside(app+"  priorityClassName: high\n  priority: 7\n", class("high", "value: 7\n"))},
		{name: "no such class", yaml: app + "  priorityClassName: high\n",
			errors: []string{"a.yaml:8: spec.priorityClassName: PriorityClass high is not in the commit: add it, or leave the name out"}},
		{name: "another number", yaml: beside(app+"  priority: 8\n  preemptionPolicy: Never\n", class("usual", "value: 7\nglobalDefault: true\n")), errors: []string{
			"a.yaml:8: spec.priority: must be 7, which follows from the priorityClassName: leave it out",
			"a.yaml:9: spec.preemptionPolicy: must be PreemptLowerPriority, which follows from the priorityClassName: leave it out",
		}},
		{name: "classes", yaml: beside(class("system-node-critical", "value: 1\n"), class("a", "value: 1000000001\n"), class("b", "value: 1\nglobalDefault: true\n"), class("c", "value: 2\nglobalDefault: true\npreemptionPolicy: No\n")), errors: []string{
			"a.yaml:3: metadata.name: is the name of a class that is always there: choose another",
			"a.yaml:9: value: must be less than or equal to 1000000000",
			"a.yaml:21: globalDefault: PriorityClass b is already marked as default: only one can be",
			"a.yaml:22: preemptionPolicy: must be one of PreemptLowerPriority or Never",
		}},
	})
}

func TestDisruptionBudgetsAndRoles(t *testing.T) {
	budget := func(spec string) string {
		return "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: web}\nspec:\n  selector: {matchLabels: {app: web}}\n" + spec
	}
	runCases(t, []validateCase{
		{name: "a budget", yaml: budget("  minAvailable: 50%\n  unhealthyPodEvictionPolicy: AlwaysAllow\n")},
		{name: "both", yaml: budget("  minAvailable: 1\n  maxUnavailable: 1\n"), errors: []string{"a.yaml:7: spec.maxUnavailable: must not be set together with minAvailable: leave one out"}},
		{name: "shares", yaml: budget("  minAvailable: 101%\n"), errors: []string{"a.yaml:6: spec.minAvailable: must not be more than 100%"}},
		{name: "a role with a colon", yaml: "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: 'system:reader'}\nrules: [{apiGroups: [''], resources: [pods], verbs: [get]}]\n"},
		{name: "a role with a mistake", yaml: "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: reader}\nrule: []\n", errors: []string{"a.yaml:4: rule: unknown field"}},
	})
}
