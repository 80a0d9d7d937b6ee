package plan

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/podyard/podyard/manifests"
)

// claimPods lets ReplicaSets and ReplicationControllers release the pods that they do not select any more, and adopt those
// that have no controller and that they select; the first in apply order has them. Upstream: PodControllerRefManager
// (pkg/controller/controller_ref_manager.go).
//
// A pod that stands in the commit by itself is counted, and nothing else: git would bring it back. What was released and
// nobody adopts is pruned.
func (p *planner) claimPods() {
	var claimers []claimer
	for _, object := range p.desired.Objects {
		switch object.Value.(type) {
		case *appsv1.ReplicaSet, *corev1.ReplicationController:
			spec, _ := manifests.WorkloadOf(object.Value)
			claimers = append(claimers, claimer{keyOf(object), podSelector(object), spec.Selector.MatchLabels})
		}
	}
	for _, c := range claimers {
		p.release(c)
	}
	for _, c := range claimers {
		p.adopt(c)
	}
}

// claimer is a controller that adopts. Its pods have the labels; the selector may ask for more.
type claimer struct {
	key      ownerKey
	selector labels.Selector
	labels   map[string]string
}

func (c claimer) selects(v *podView) bool { return c.selector.Matches(labels.Set(v.Manifest.Labels)) }

// release parts from the pods that are not selected any more.
func (p *planner) release(c claimer) {
	var own []*podView
	for _, v := range p.owned[c.key] {
		if v.released = !c.selects(v); v.released {
			p.former[c.key] = append(p.former[c.key], v)
		} else {
			own = append(own, v)
		}
	}
	p.owned[c.key] = own
}

func (p *planner) adopt(c claimer) {
	for _, v := range p.candidates(c.key.namespace, c.labels) {
		orphan := v.owner.kind == "Pod" || v.released || p.orphaned(v)
		if !orphan || v.claimed || v.Manifest.Namespace != c.key.namespace || !v.live() || !c.selects(v) {
			continue
		}
		v.adopted = true
		v.claimed, v.fixed = true, v.owner.kind == "Pod" && p.find("Pod", v.owner.namespace, v.owner.name) != nil
		p.owned[c.key] = append(p.owned[c.key], v)
	}
}

// orphaned tells that a pod's controller has left the commit and leaves its pods to others.
func (p *planner) orphaned(v *podView) bool {
	if v.owner.kind == "" || p.has(v.owner) {
		return false
	}
	of := p.policyWhenGone(v.owner, v).Prune
	return of == manifests.PruneOrphan || of == adopted
}

func keyOf(object *manifests.Object) ownerKey {
	return ownerKey{object.Kind, object.Namespace, object.Name}
}
