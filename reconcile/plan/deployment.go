package plan

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/podyard/podyard/manifests"
)

// rollout is one Deployment and its ReplicaSets. The rules are upstream's pkg/controller/deployment: sync.go, rolling.go,
// recreate.go, progress.go.
type rollout struct {
	*appsv1.Deployment
	key     ownerKey
	root    manifests.Ref
	pods    []*podView
	current *replicaSet
	// old, by revision, oldest first.
	old      []*replicaSet
	replicas int
	minReady time.Duration
	now      time.Time
	// known is what was remembered of it, next what is to be.
	known, next rolloutNote
	// before is a pod as there were before a rollout that is not complete; nil if there was none.
	before *corev1.Pod
	// waiting says what keeps new pods from being made: an image, or the host; empty when they can be.
	waiting string
}

func (p *planner) deployment(object *manifests.Object, d *appsv1.Deployment) {
	r := p.rollout(object, d)
	p.reap(r.pods)
	switch {
	case r.isScaled():
		r.divide()
	case len(r.known.Sizes) > 0:
		p.resize(r)
	case d.Spec.Paused:
		p.scalePaused(r)
	case d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType:
		p.recreate(r)
	default:
		p.rolling(r)
	}
	p.reportDeployment(r)
	p.noteBefore(r)
	p.remember(r)
}

func (p *planner) rollout(object *manifests.Object, d *appsv1.Deployment) *rollout {
	key := ownerKey{"Deployment", d.Namespace, d.Name}
	r := &rollout{
		Deployment: d, key: key, root: object.Ref, pods: p.owned[key],
		replicas: int(*d.Spec.Replicas),
		minReady: time.Duration(d.Spec.MinReadySeconds) * time.Second, now: p.now,
	}
	r.current = newReplicaSet(key, templateHash(object, d), &d.Spec.Template)
	sets := map[string]*replicaSet{r.current.hash: r.current}
	youngest := time.Time{}
	for _, v := range r.pods {
		v.claimed = true
		hash := v.Manifest.Labels[templateHashLabel]
		if sets[hash] == nil {
			sets[hash] = newReplicaSet(key, hash, templateOf(v.Manifest))
			r.old = append(r.old, sets[hash])
		}
		sets[hash].add(v)
		youngest = later(youngest, v.CreatedAt)
	}
	for _, rs := range sets {
		rs.youngest = youngest
	}
	r.recall(p.observed.Notes)
	slices.SortStableFunc(r.old, func(a, b *replicaSet) int {
		return cmp.Or(cmp.Compare(a.revision, b.revision), cmp.Compare(a.name, b.name))
	})
	r.findBefore(readNote[corev1.Pod](p.observed.Notes[r.beforeName()]))
	return r
}

func templateHash(object *manifests.Object, d *appsv1.Deployment) string {
	return object.Once(func() string { return manifests.TemplateHash(&d.Spec.Template) })
}

// recreate stops all old pods before it starts the first new one, but not before the new one could be started.
func (p *planner) recreate(r *rollout) {
	if p.hindered(r) {
		p.makeDo(r)
		return
	}
	stopping := false
	for _, v := range r.pods {
		if v.Manifest.Labels[templateHashLabel] != r.current.hash {
			p.delete(v, p.newTemplate(r.key, v, p.replica(r.current, r.replicas))+"; its strategy is Recreate")
			stopping = true
		}
	}
	if stopping {
		return
	}
	p.fit(r)
}

// newestOld is a pod of the newest old ReplicaSet that has any; nil if none has.
func (r *rollout) newestOld() *podView {
	for _, rs := range slices.Backward(r.old) {
		if len(rs.pods) > 0 {
			return rs.pods[0]
		}
	}
	return nil
}

// makeDo keeps the old pods while new ones cannot be made, as many as there should be.
func (p *planner) makeDo(r *rollout) {
	p.holdOld(r)
	up := r.replicas - len(r.current.pods)
	if r.rolls() {
		surge, _ := fencepostsOf(r)
		up = min(up, r.replicas+surge-r.total())
	}
	p.scaleUp(r.current, max(up, 0), r.replicas, r.wants())
	p.shrinkOld(r, r.replicas, fmt.Sprintf("%s wants %d pods", r.key, r.replicas))
}

// fit brings the current ReplicaSet to the wanted number.
func (p *planner) fit(r *rollout) { p.scaleTo(r, r.current, r.replicas, r.wants()) }

// hindered tells that new pods are wanted and could not be made, even were the old ones gone.
func (p *planner) hindered(r *rollout) bool {
	if r.replicas <= len(r.current.pods) {
		return false
	}
	r.waiting, _ = p.hindrance(p.replica(r.current, r.replicas), r.key)
	return r.waiting != ""
}

// rolling is upstream's rolloutRolling, both halves in one pass. Worked example with 4 replicas, maxSurge 1 and
// maxUnavailable 1: at most 5 pods, at least 3 available. From 4 old pods: 1 new is created and 1 old deleted at once
// (4 old + 1 new − 3 − 1 new not available = 1); each new pod that becomes available lets one more old pod go.
func (p *planner) rolling(r *rollout) {
	if p.hindered(r) {
		p.makeDo(r)
		return
	}
	p.holdOld(r)
	if r.oldCount() == 0 {
		p.fit(r)
		return
	}
	surge, unavailable := fenceposts(r.Spec.Strategy.RollingUpdate, r.replicas)
	up := min(r.replicas+surge-r.total(), r.replicas-len(r.current.pods))
	reason := p.newTemplate(r.key, r.newestOld(), p.replica(r.current, r.replicas))
	p.scaleUp(r.current, max(up, 0), r.replicas, reason)
	p.scaleDown(r.current, r.current.size()-r.replicas, r.wants())
	p.shrinkOld(r, r.replicas-unavailable, reason)
}

// holdOld makes up for old pods that vanished in the middle of a rollout, so that a new version that does not become
// available cannot drag the Deployment below its minimum. Upstream's old ReplicaSet does it by itself.
func (p *planner) holdOld(r *rollout) {
	rs := r.stable()
	if rs == nil || r.hasCompleted() {
		return
	}
	wanted := min(r.replicas, number(rs.template.Annotations, desiredAnnotation, 0))
	surge, unavailable := fencepostsOf(r)
	short := wanted - unavailable - r.availableIn(r.current) - r.oldCount()
	room := r.replicas + surge - r.total()
	n := min(short, room)
	if n <= 0 {
		return
	}
	if why, _ := p.hindrance(p.replica(rs, wanted), r.key); why == "" {
		p.scaleUp(rs, n, wanted, fmt.Sprintf("%s lost pods in the middle of a rollout", r.key))
	}
}

// shrinkOld deletes old pods: those that are not available first, as far as the total allows, then as many available ones
// as the minimum allows.
func (p *planner) shrinkOld(r *rollout, minAvailable int, reason string) {
	spare := r.availableCount() - minAvailable
	clean := r.oldCount() - minAvailable + r.availableIn(r.current)
	for _, rs := range r.old {
		n := max(min(clean, len(rs.pods)-r.availableIn(rs)), 0)
		p.scaleDown(rs, n, reason)
		clean -= n
	}
	for _, rs := range r.old {
		n := max(min(spare, r.availableIn(rs)), 0)
		p.scaleDown(rs, n, reason)
		spare -= n
	}
}

func (r *rollout) wants() string {
	return fmt.Sprintf("%s wants %d pods, has %d", r.key, r.replicas, r.total())
}

func (r *rollout) oldCount() int {
	n := 0
	for _, rs := range r.old {
		n += rs.size()
	}
	return n
}

// oldSet is the old ReplicaSet of a template; nil if there is none.
func (r *rollout) oldSet(hash string) *replicaSet {
	i := slices.IndexFunc(r.old, func(rs *replicaSet) bool { return rs.hash == hash })
	if i < 0 {
		return nil
	}
	return r.old[i]
}

func (r *rollout) total() int { return r.oldCount() + r.current.size() }

func (r *rollout) availableIn(rs *replicaSet) int {
	n := 0
	for _, v := range rs.pods {
		n += order(v.available(r.minReady, r.now))
	}
	return n
}

func (r *rollout) readyCount() int {
	n := 0
	for _, v := range r.pods {
		n += order(v.ready && !v.deleted)
	}
	return n
}

func (r *rollout) availableCount() int {
	n := r.availableIn(r.current)
	for _, rs := range r.old {
		n += r.availableIn(rs)
	}
	return n
}

// fenceposts resolves maxSurge (rounded up) and maxUnavailable (rounded down); if both come to 0, one pod may be
// unavailable, or nothing could ever move. Upstream: ResolveFenceposts (pkg/controller/deployment/util).
// Worked example: 25 % of 10 is a surge of 3 and 2 unavailable.
func fenceposts(strategy *appsv1.RollingUpdateDeployment, replicas int) (surge, unavailable int) {
	surge = scaled(strategy.MaxSurge, replicas, true)
	unavailable = scaled(strategy.MaxUnavailable, replicas, false)
	if surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	return surge, min(unavailable, replicas)
}

func scaled(value *intstr.IntOrString, replicas int, up bool) int {
	n, err := intstr.GetScaledValueFromIntOrPercent(value, replicas, up)
	if err != nil {
		return 0 // validation has refused what cannot be read
	}
	return n
}
