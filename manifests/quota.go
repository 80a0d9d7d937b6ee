package manifests

import (
	"maps"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"
)

// PodUsage is what a pod counts in a ResourceQuota, by the names that spec.hard uses. One that has ended counts as an object
// only. Upstream: PodUsageFunc (pkg/quota/v1/evaluator/core/pods.go).
func PodUsage(spec *corev1.PodSpec, ended bool) corev1.ResourceList {
	usage := corev1.ResourceList{"count/pods": *resource.NewQuantity(1, resource.DecimalSI)}
	if ended {
		return usage
	}
	pod := &corev1.Pod{Spec: *spec}
	options := resourcehelper.PodResourcesOptions{}
	maps.Copy(usage, computeUsage(resourcehelper.PodRequests(pod, options), resourcehelper.PodLimits(pod, options)))
	usage[corev1.ResourcePods] = *resource.NewQuantity(1, resource.DecimalSI)
	return usage
}

// computeUsage is upstream's podComputeUsageHelper: a request counts under two names. Of devices only requests count.
func computeUsage(requests, limits corev1.ResourceList) corev1.ResourceList {
	usage := corev1.ResourceList{}
	for name, quantity := range requests {
		usage[corev1.DefaultResourceRequestsPrefix+name] = quantity
		if !isExtended(name) {
			usage[name] = quantity
		}
	}
	for name, quantity := range limits {
		if !isExtended(name) {
			usage["limits."+name] = quantity
		}
	}
	return usage
}

// QuotaSelects tells whether a pod counts in a ResourceQuota: whether it is of every one of its scopes. class is the name of
// its PriorityClass. Upstream: podMatchesScopeFunc.
func QuotaSelects(q *corev1.ResourceQuota, spec *corev1.PodSpec, class string) bool {
	for _, scope := range scopesOf(&q.Spec) {
		if !inScope(scope, spec, class) {
			return false
		}
	}
	return true
}

// scopesOf are those of both fields.
func scopesOf(spec *corev1.ResourceQuotaSpec) []corev1.ScopedResourceSelectorRequirement {
	var out []corev1.ScopedResourceSelectorRequirement
	for _, scope := range spec.Scopes {
		out = append(out, corev1.ScopedResourceSelectorRequirement{ScopeName: scope, Operator: corev1.ScopeSelectorOpExists})
	}
	if spec.ScopeSelector != nil {
		out = append(out, spec.ScopeSelector.MatchExpressions...)
	}
	return out
}

func inScope(scope corev1.ScopedResourceSelectorRequirement, spec *corev1.PodSpec, class string) bool {
	switch scope.ScopeName {
	case corev1.ResourceQuotaScopeTerminating:
		return spec.ActiveDeadlineSeconds != nil
	case corev1.ResourceQuotaScopeNotTerminating:
		return spec.ActiveDeadlineSeconds == nil
	case corev1.ResourceQuotaScopeBestEffort:
		return bestEffort(spec)
	case corev1.ResourceQuotaScopeNotBestEffort:
		return !bestEffort(spec)
	case corev1.ResourceQuotaScopeCrossNamespacePodAffinity:
		return crossesNamespaces(spec.Affinity)
	case corev1.ResourceQuotaScopePriorityClass:
		return selectsClass(scope, class)
	}
	return false
}

func selectsClass(scope corev1.ScopedResourceSelectorRequirement, class string) bool {
	named := false
	for _, value := range scope.Values {
		named = named || class != "" && value == class
	}
	switch scope.Operator {
	case corev1.ScopeSelectorOpExists:
		return class != ""
	case corev1.ScopeSelectorOpDoesNotExist:
		return class == ""
	case corev1.ScopeSelectorOpIn:
		return named
	default:
		return !named
	}
}

// bestEffort is upstream's QoS class of this name: no container asks for CPU or memory.
func bestEffort(spec *corev1.PodSpec) bool {
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			for _, list := range []corev1.ResourceList{containers[i].Resources.Requests, containers[i].Resources.Limits} {
				if list.Cpu().Sign() > 0 || list.Memory().Sign() > 0 {
					return false
				}
			}
		}
	}
	return true
}

// crossesNamespaces is upstream's usesCrossNamespacePodAffinity.
func crossesNamespaces(affinity *corev1.Affinity) bool {
	var terms []corev1.PodAffinityTerm
	add := func(required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm) {
		terms = append(terms, required...)
		for _, p := range preferred {
			terms = append(terms, p.PodAffinityTerm)
		}
	}
	if affinity != nil && affinity.PodAffinity != nil {
		add(affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution, affinity.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if affinity != nil && affinity.PodAntiAffinity != nil {
		add(affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution, affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	for _, t := range terms {
		if len(t.Namespaces) > 0 || t.NamespaceSelector != nil {
			return true
		}
	}
	return false
}

// ObjectUsage is what the objects of each namespace but its pods count in ResourceQuotas. Upstream: pkg/quota/v1/evaluator/core.
// Only what the commit holds counts, and the claims that StatefulSets make of it; in a cluster its own objects do, too.
func ObjectUsage(set *Set) map[string]corev1.ResourceList {
	out := map[string]corev1.ResourceList{}
	for _, o := range set.Objects {
		if o.Namespace == "" || o.Kind == "Pod" {
			continue
		}
		if out[o.Namespace] == nil {
			out[o.Namespace] = corev1.ResourceList{}
		}
		usage := counter{out[o.Namespace]}
		usage.add(countName(o.Ref), 1)
		usage.object(o.Value)
	}
	return out
}

type counter struct{ corev1.ResourceList }

func (c counter) add(name corev1.ResourceName, n int64) {
	c.addQuantity(name, *resource.NewQuantity(n, resource.DecimalSI))
}

func (c counter) addQuantity(name corev1.ResourceName, q resource.Quantity) {
	sum := c.ResourceList[name].DeepCopy()
	sum.Add(q)
	c.ResourceList[name] = sum
}

// object counts what has names of its own beside count/….
func (c counter) object(value any) {
	switch v := value.(type) {
	case *corev1.ConfigMap:
		c.add(corev1.ResourceConfigMaps, 1)
	case *corev1.Secret:
		c.add(corev1.ResourceSecrets, 1)
	case *corev1.ReplicationController:
		c.add(corev1.ResourceReplicationControllers, 1)
	case *corev1.ResourceQuota:
		c.add(corev1.ResourceQuotas, 1)
	case *corev1.Service:
		c.service(&v.Spec)
	case *corev1.PersistentVolumeClaim:
		c.claim(&v.Spec, 1)
	case *appsv1.StatefulSet:
		for i := range v.Spec.VolumeClaimTemplates {
			c.add("count/persistentvolumeclaims", int64(*v.Spec.Replicas))
			c.claim(&v.Spec.VolumeClaimTemplates[i].Spec, *v.Spec.Replicas)
		}
	}
}

func (c counter) service(spec *corev1.ServiceSpec) {
	c.add(corev1.ResourceServices, 1)
	ports := int64(len(spec.Ports))
	switch spec.Type {
	case corev1.ServiceTypeNodePort:
		c.add(corev1.ResourceServicesNodePorts, ports)
	case corev1.ServiceTypeLoadBalancer:
		c.add(corev1.ResourceServicesLoadBalancers, 1)
		if spec.AllocateLoadBalancerNodePorts == nil || *spec.AllocateLoadBalancerNodePorts {
			c.add(corev1.ResourceServicesNodePorts, ports)
		}
	}
}

const classSuffix = ".storageclass.storage.k8s.io/"

func (c counter) claim(spec *corev1.PersistentVolumeClaimSpec, n int32) {
	size := spec.Resources.Requests.Storage().DeepCopy()
	size.Mul(int64(n))
	c.add(corev1.ResourcePersistentVolumeClaims, int64(n))
	c.addQuantity(corev1.ResourceRequestsStorage, size)
	if class := spec.StorageClassName; class != nil && *class != "" {
		c.add(corev1.ResourceName(*class+classSuffix)+corev1.ResourcePersistentVolumeClaims, int64(n))
		c.addQuantity(corev1.ResourceName(*class+classSuffix)+corev1.ResourceRequestsStorage, size)
	}
}

// countName is count/deployments.apps of a Deployment.
func countName(ref Ref) corev1.ResourceName {
	plural := strings.ToLower(ref.Kind)
	switch {
	case plural == "endpoints":
	case strings.HasSuffix(plural, "s"):
		plural += "es"
	case strings.HasSuffix(plural, "y"):
		plural = strings.TrimSuffix(plural, "y") + "ies"
	default:
		plural += "s"
	}
	if group := groupOf(ref.APIVersion); group != "" {
		plural += "." + group
	}
	return corev1.ResourceName("count/" + plural)
}
