package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/podyard/podyard/manifests"
)

// reasonFailedCreate is what a controller of upstream says when admission refuses its pod.
const reasonFailedCreate = "FailedCreate"

// quota is a ResourceQuota of the commit and what counts in it. Upstream: pkg/quota/v1/evaluator/core/pods.go for the count,
// apiserver's pkg/admission/plugin/resourcequota for the verdict.
type quota struct {
	*corev1.ResourceQuota
	// charges are those of pods that there are, on their way out or not, and of pods that this plan wants; the other
	// objects of the namespace were counted when the commit was read.
	charges []charge
	used    corev1.ResourceList
}

// charge is what one pod counts.
type charge struct {
	owner ownerKey
	usage corev1.ResourceList
	// pod is nil for one that this plan wants.
	pod *podView
}

// quotasOf are those of a namespace, by name.
func (p *planner) quotasOf(namespace string) []*quota {
	if p.quotas == nil {
		p.quotas = map[string][]*quota{}
		for _, q := range manifests.All[*corev1.ResourceQuota](p.desired) {
			p.quotas[q.Namespace] = append(p.quotas[q.Namespace], &quota{ResourceQuota: q, used: corev1.ResourceList{}})
		}
		for _, list := range p.quotas {
			slices.SortFunc(list, func(a, b *quota) int { return cmp.Compare(a.Name, b.Name) })
		}
		for _, v := range p.pods {
			p.charge(v.Manifest, v.owner, v)
		}
	}
	return p.quotas[namespace]
}

// charge counts a pod in the quotas that it is subject to.
func (p *planner) charge(pod *corev1.Pod, owner ownerKey, v *podView) {
	for _, q := range p.quotasOf(pod.Namespace) {
		if usage := q.usageOf(p, &pod.Spec, v != nil && v.end != nil); usage != nil {
			q.charges = append(q.charges, charge{owner, usage, v})
			q.used = sum(q.used, usage, 1)
		}
	}
}

// usageOf is what a pod counts, of what the quota limits; nil if it is not subject to it.
func (q *quota) usageOf(p *planner, spec *corev1.PodSpec, ended bool) corev1.ResourceList {
	if !manifests.QuotaSelects(q.ResourceQuota, spec, p.priorities().ClassOf(spec)) {
		return nil
	}
	usage := manifests.PodUsage(spec, ended)
	maps.DeleteFunc(usage, func(name corev1.ResourceName, _ resource.Quantity) bool {
		_, limited := q.Spec.Hard[name]
		return !limited
	})
	return usage
}

// exceeded is upstream's admission plugin ResourceQuota, which refuses a pod before the scheduler sees it. One that fits is
// charged if it is to be made, whatever else it waits for: in a cluster it would be there, Pending.
func (p *planner) exceeded(pod *corev1.Pod, owner ownerKey, withoutOwn bool) *obstacle {
	for _, q := range p.quotasOf(pod.Namespace) {
		usage, used, passing := q.usageOf(p, &pod.Spec, false), q.used, false
		for _, c := range q.charges {
			if withoutOwn && c.owner == owner {
				used = sum(used, c.usage, -1)
			} else if c.pod != nil && c.pod.deleted {
				passing = true
			}
		}
		if over := q.over(usage, used); len(over) > 0 {
			limits := fmt.Sprintf("exceeded quota: %s, requested: %s, used: %s, limited: %s",
				q.Name, quantities(usage, over), quantities(used, over), quantities(q.Spec.Hard, over))
			o := &obstacle{reason: reasonFailedCreate, passing: passing, message: fmt.Sprintf("pods %q is forbidden: %s", pod.Name, limits)}
			if passing {
				return o.meaning("%s; pods that are being stopped count until they are gone", limits)
			}
			return o.meaning("%s: raise ResourceQuota %s/%s, or run less in the namespace", limits, q.Namespace, q.Name)
		}
	}
	return nil
}

// over names what would be too much; what a pod does not ask for is not.
func (q *quota) over(usage, used corev1.ResourceList) (names []corev1.ResourceName) {
	for name, quantity := range usage {
		total, hard := used[name].DeepCopy(), q.Spec.Hard[name]
		total.Add(quantity)
		if quantity.Sign() > 0 && total.Cmp(hard) > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// sum adds a list to another, or with sign -1 takes it away; upstream's Add and Subtract.
func sum(list, other corev1.ResourceList, sign int) corev1.ResourceList {
	out := maps.Clone(list)
	for name, quantity := range other {
		total := out[name].DeepCopy()
		if sign < 0 {
			total.Sub(quantity)
		} else {
			total.Add(quantity)
		}
		out[name] = total
	}
	return out
}

// quantities prints some of a list; upstream's prettyPrint.
func quantities(list corev1.ResourceList, names []corev1.ResourceName) string {
	parts := make([]string, 0, len(names))
	for _, name := range names {
		quantity := list[name]
		parts = append(parts, fmt.Sprintf("%s=%s", name, quantity.String()))
	}
	return strings.Join(parts, ",")
}

// reportQuotas says what counts in each quota, once every pod has been decided on. Upstream has it in status.used.
func (p *planner) reportQuotas() {
	var others map[string]corev1.ResourceList
	for _, object := range p.desired.Objects {
		value, ok := object.Value.(*corev1.ResourceQuota)
		if !ok {
			continue
		}
		if others == nil {
			others = manifests.ObjectUsage(p.desired)
		}
		list := p.quotasOf(value.Namespace)
		q := list[slices.IndexFunc(list, func(q *quota) bool { return q.ResourceQuota == value })]
		p.report(object.Ref, q.status(object.Ref, others[value.Namespace]))
	}
}

func (q *quota) status(ref manifests.Ref, others corev1.ResourceList) ObjectStatus {
	status := ObjectStatus{Ref: ref, Health: Ready, Summary: map[string]string{}}
	for name, hard := range q.Spec.Hard {
		used, there := q.used[name]
		if other, counted := others[name]; !there && counted {
			used = other
		}
		status.Summary[string(name)] = used.String() + "/" + hard.String()
	}
	return status
}
