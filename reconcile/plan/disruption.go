package plan

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/podyard/podyard/manifests"
)

// disruptionBudget reports what a PodDisruptionBudget allows; nothing here evicts pods, so nothing asks it. Updates of
// workloads do not in a cluster either. Upstream: pkg/controller/disruption/disruption.go.
func (p *planner) disruptionBudget(object *manifests.Object, budget *policyv1.PodDisruptionBudget) {
	pods := p.governed(budget)
	expected, desired, failure := p.expectedPods(budget, pods)
	healthy := 0
	for _, v := range pods {
		healthy += order(v.ready && !v.deleted)
	}
	allowed := max(0, healthy-desired)
	if expected == 0 || failure != "" {
		allowed = 0
	}
	status := ObjectStatus{Ref: object.Ref, Health: Ready, Message: failure, Summary: map[string]string{
		"currentHealthy": fmt.Sprint(healthy), "desiredHealthy": fmt.Sprint(desired), "disruptionsAllowed": fmt.Sprint(allowed),
		"expectedPods": fmt.Sprint(expected)}}
	status.Conditions = []metav1.Condition{condition(policyv1.DisruptionAllowedCondition, allowed > 0,
		policyv1.SufficientPodsReason, policyv1.InsufficientPodsReason, "")}
	if failure != "" {
		status.Conditions[0].Reason, status.Conditions[0].Message = policyv1.SyncFailedReason, failure
	}
	p.report(object.Ref, status)
}

// governed are the pods that a budget selects. No selector selects none, an empty one all of the namespace.
func (p *planner) governed(budget *policyv1.PodDisruptionBudget) (pods []*podView) {
	selector, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
	if err != nil {
		return nil // validation has refused it
	}
	for _, v := range p.pods {
		if v.Manifest.Namespace == budget.Namespace && selector.Matches(labels.Set(v.Manifest.Labels)) {
			pods = append(pods, v)
		}
	}
	return pods
}

// expectedPods is upstream's getExpectedPodCount: a number that must be healthy counts the pods there are; a share, or how
// many may be missing, the pods that their owners want.
func (p *planner) expectedPods(budget *policyv1.PodDisruptionBudget, pods []*podView) (expected, desired int, failure string) {
	least, most := budget.Spec.MinAvailable, budget.Spec.MaxUnavailable
	switch {
	case most != nil:
		expected, failure = p.wantedByOwners(pods)
		desired = max(0, expected-scaled(most, expected, true))
	case least != nil && least.Type == intstr.String:
		expected, failure = p.wantedByOwners(pods)
		desired = scaled(least, expected, true)
	case least != nil:
		expected, desired = len(pods), least.IntValue()
	}
	return expected, desired, failure
}

// wantedByOwners is upstream's getExpectedScale: the sum of the scales of all owners. Pods that stand in the commit by
// themselves have none and do not count; an owner that cannot be scaled makes the sum unknown.
func (p *planner) wantedByOwners(pods []*podView) (n int, failure string) {
	var owners []ownerKey
	for _, v := range pods {
		if v.owner.kind != "Pod" && !slices.Contains(owners, v.owner) {
			owners = append(owners, v.owner)
		}
	}
	for _, owner := range owners {
		value := p.find(owner.kind, owner.namespace, owner.name)
		switch value.(type) {
		case *appsv1.Deployment, *appsv1.ReplicaSet, *appsv1.StatefulSet, *corev1.ReplicationController:
			w, _ := manifests.WorkloadOf(value)
			n += int(*w.Replicas)
		case nil: // it is being pruned
		default:
			return 0, fmt.Sprintf("found no scale for %s: write minAvailable as a number", owner)
		}
	}
	return n, ""
}
