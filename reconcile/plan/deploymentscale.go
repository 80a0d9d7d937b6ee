package plan

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
)

// A change of replicas in mid-rollout is divided among the ReplicaSets in proportion to their sizes, so that a template that
// may turn out to be bad does not get all of the new pods, and an old one does not lose all of them. The rules are those of
// scale (pkg/controller/deployment/sync.go) and GetReplicaSetProportion (pkg/controller/deployment/util).
//
// It differs where replicas and template change in one commit: the ReplicaSet of the old template is not scaled up first, only
// for its pods to be replaced; and where shares would take pods that the minimum needs (see keepAvailable).

// active are the ReplicaSets with pods, oldest first.
func (r *rollout) active() []*replicaSet {
	return slices.DeleteFunc(append(slices.Clone(r.old), r.current), func(rs *replicaSet) bool { return rs.size() == 0 })
}

func (r *rollout) rolls() bool { return r.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType }

// isScaled tells that replicas have changed since ReplicaSets were scaled, of which there are several or only an old one.
func (r *rollout) isScaled() bool {
	if r.known.Template == "" || r.known.Replicas == r.replicas || !r.Spec.Paused && !r.rolledOut() {
		return false
	}
	active := r.active()
	if len(active) == 1 {
		return active[0] != r.current && !r.Spec.Paused // see scalePaused
	}
	return len(active) > 1 && r.rolls() && !r.saturated()
}

// saturated is upstream's IsSaturated.
func (r *rollout) saturated() bool {
	return len(r.current.pods) == r.replicas && r.availableIn(r.current) == r.replicas
}

// divide decides how large each ReplicaSet is to be. It is carried out when that is remembered: else the pods made first
// would change the proportions of the others.
func (r *rollout) divide() {
	r.next.Sizes = map[string]int{}
	if active := r.active(); len(active) == 1 {
		r.next.Sizes[active[0].hash] = r.replicas
		return
	}
	for _, rs := range r.bySize(r.missing() > 0) {
		r.next.Sizes[rs.hash] = rs.size()
	}
	r.distribute(r.next.Sizes)
}

// missing is how many pods more, or fewer, there may be in all.
func (r *rollout) missing() int {
	if r.replicas == 0 {
		return -r.total()
	}
	surge, _ := fenceposts(r.Spec.Strategy.RollingUpdate, r.replicas)
	return r.replicas + surge - r.total()
}

// bySize are the active ReplicaSets, largest first; of equal ones the newer first if they grow, and else the older.
func (r *rollout) bySize(grow bool) []*replicaSet {
	sets := r.active()
	if grow {
		slices.Reverse(sets)
	}
	slices.SortStableFunc(sets, func(a, b *replicaSet) int { return cmp.Compare(b.size(), a.size()) })
	return sets
}

// distribute adds to each size its share; what rounding leaves goes to the largest. Worked example: 10 replicas with a surge
// of 3 are 8 old pods and 5 new ones, and become 30 with a surge of 8: 25 more. The old ones get 8·38/13 − 8 = 15, the new
// ones the 10 that are left.
func (r *rollout) distribute(sizes map[string]int) {
	toAdd, added := r.missing(), 0
	surge, _ := fenceposts(r.Spec.Strategy.RollingUpdate, r.known.Replicas)
	sets := r.bySize(toAdd > 0)
	for _, rs := range sets {
		share := r.share(rs, r.known.Replicas+surge, toAdd-added, toAdd > 0)
		sizes[rs.hash] += share
		added += share
	}
	largest := sets[0].hash
	sizes[largest] = max(0, sizes[largest]+toAdd-added)
	_, unavailable := fenceposts(r.Spec.Strategy.RollingUpdate, r.replicas)
	r.keepAvailable(sizes, r.replicas-unavailable)
}

// keepAvailable gives back what shares take of available pods that the minimum needs, and takes others instead where there are
// any. Kubernetes goes by sizes alone, so that fewer replicas in the middle of a rollout that is stuck cost pods that serve.
// Worked example: of 4 replicas, 3 old pods serve and 2 new ones do not; 3 replicas with no more than 4 pods take a new one.
func (r *rollout) keepAvailable(sizes map[string]int, least int) {
	sets := r.bySize(false)
	spare, owed := max(r.availableCount()-least, 0), 0
	for _, rs := range sets {
		take := max(rs.size()-sizes[rs.hash]-r.idleIn(rs), 0)
		back := max(take-spare, 0)
		spare -= take - back
		owed += back
		sizes[rs.hash] += back
	}
	for _, rs := range sets {
		n := min(owed, max(r.idleIn(rs)-(rs.size()-sizes[rs.hash]), 0))
		owed -= n
		sizes[rs.hash] -= n
	}
}

// idleIn counts the pods that are not available.
func (r *rollout) idleIn(rs *replicaSet) int { return rs.size() - r.availableIn(rs) }

// share is by how much a ReplicaSet grows or shrinks: as much as the Deployment does, and no more than is left.
func (r *rollout) share(rs *replicaSet, before, left int, grow bool) int {
	if left == 0 {
		return 0
	}
	most := r.total() + r.missing()
	size := int(math.Round(float64(rs.size()) * float64(most) / float64(cmp.Or(before, r.total()))))
	if grow {
		return min(size-rs.size(), left)
	}
	return max(size-rs.size(), left)
}

// resize brings ReplicaSets to the sizes that are remembered. What cannot be made now is given up: the rollout goes on.
func (p *planner) resize(r *rollout) {
	if !r.Spec.Paused && !r.rolledOut() || r.known.Replicas != r.replicas || !r.rolls() && len(r.known.Sizes) > 1 {
		return // overtaken by another commit
	}
	reached, pending := true, false
	for _, rs := range append(slices.Clone(r.old), r.current) {
		size, named := r.known.Sizes[rs.hash]
		if n := size - rs.size(); named && n != 0 {
			p.scaleTo(r, rs, size, fmt.Sprintf("%s wants %d pods in the middle of a rollout", r.key, r.replicas))
			reached, pending = false, pending || len(rs.pending) > 0
		}
	}
	if !reached && !pending {
		r.next.Sizes = r.known.Sizes
	}
}

// scalePaused leaves templates alone: the only ReplicaSet with pods has all of them, and several keep as many as in the
// middle of a rollout.
func (p *planner) scalePaused(r *rollout) {
	active := r.active()
	switch {
	case len(active) == 0 && r.rolledOut():
		p.scaleTo(r, r.current, r.replicas, r.wants())
	case len(active) == 0:
		if rs := r.stable(); rs != nil {
			p.scaleTo(r, rs, r.replicas, r.wants())
		}
	case len(active) == 1:
		p.scaleTo(r, active[0], r.replicas, r.wants())
	case len(active) > 1 && r.saturated():
		for _, rs := range r.old {
			p.scaleTo(r, rs, 0, r.wants())
		}
	case len(active) > 1 && r.rolls():
		largest := r.bySize(r.missing() > 0)[0]
		p.scaleTo(r, largest, max(0, largest.size()+r.missing()), r.wants())
	}
}

// scaleTo brings a ReplicaSet to a size.
func (p *planner) scaleTo(r *rollout, rs *replicaSet, size int, reason string) {
	if n := size - rs.size(); n > 0 {
		p.scaleUp(rs, n, r.replicas, reason)
	} else {
		p.scaleDown(rs, -n, reason)
	}
}
