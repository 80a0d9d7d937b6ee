package plan

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	// waiting says which image is missing for new pods; empty when they can be made.
	waiting string
}

func (p *planner) deployment(object *manifests.Object, d *appsv1.Deployment) {
	r := p.rollout(object, d)
	p.lost(r.pods)
	switch {
	case d.Spec.Paused:
		p.scalePaused(r)
	case d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType:
		p.recreate(r)
	default:
		p.rolling(r)
	}
	p.reportDeployment(r)
}

func (p *planner) rollout(object *manifests.Object, d *appsv1.Deployment) *rollout {
	key := ownerKey{"Deployment", d.Namespace, d.Name}
	r := &rollout{
		Deployment: d, key: key, root: object.Ref, pods: p.owned[key],
		replicas: int(*d.Spec.Replicas),
		minReady: time.Duration(d.Spec.MinReadySeconds) * time.Second, now: p.now,
	}
	r.current = newReplicaSet(d.Name, manifests.TemplateHash(&d.Spec.Template), &d.Spec.Template)
	sets := map[string]*replicaSet{r.current.hash: r.current}
	latestRevision, youngest := 0, time.Time{}
	for _, v := range r.pods {
		v.claimed = true
		hash := v.Manifest.Labels[templateHashLabel]
		if sets[hash] == nil {
			sets[hash] = newReplicaSet(d.Name, hash, templateOf(v.Manifest))
			r.old = append(r.old, sets[hash])
		}
		sets[hash].add(v)
		latestRevision = max(latestRevision, sets[hash].revision)
		youngest = later(youngest, v.CreatedAt)
	}
	for _, rs := range sets {
		rs.youngest = youngest
	}
	if r.current.revision == 0 {
		r.current.revision = latestRevision + 1
	}
	slices.SortStableFunc(r.old, func(a, b *replicaSet) int {
		return cmp.Or(cmp.Compare(a.revision, b.revision), cmp.Compare(a.name, b.name))
	})
	return r
}

// scalePaused keeps the number of pods and leaves their template alone.
func (p *planner) scalePaused(r *rollout) {
	sets := append(slices.Clone(r.old), r.current)
	active := slices.MaxFunc(sets, func(a, b *replicaSet) int { return cmp.Compare(len(a.pods), len(b.pods)) })
	if total := r.total(); len(active.pods) > 0 && total < r.replicas {
		p.scaleUp(r.key, active, r.replicas-total, r.replicas, r.wants())
	} else if total > r.replicas {
		p.scaleDown(active, total-r.replicas, r.wants())
	}
}

// recreate stops all old pods before it starts the first new one, but not before the new image is here.
func (p *planner) recreate(r *rollout) {
	missing := r.replicas - len(r.current.pods)
	if missing > 0 {
		if r.waiting = p.imagesReady(&r.Spec.Template.Spec); r.waiting != "" {
			return
		}
	}
	stopping := false
	for _, v := range r.pods {
		if v.Manifest.Labels[templateHashLabel] != r.current.hash {
			p.delete(v, fmt.Sprintf("%s has a new template and strategy Recreate", r.key))
			stopping = true
		}
	}
	if stopping {
		return
	}
	p.fit(r)
}

// fit brings the current ReplicaSet to the wanted number.
func (p *planner) fit(r *rollout) {
	have := len(r.current.pods)
	if have > r.replicas {
		p.scaleDown(r.current, have-r.replicas, r.wants())
	} else {
		p.scaleUp(r.key, r.current, r.replicas-have, r.replicas, r.wants())
	}
}

// rolling is upstream's rolloutRolling, both halves in one pass. Worked example with 4 replicas, maxSurge 1 and
// maxUnavailable 1: at most 5 pods, at least 3 available. From 4 old pods: 1 new is created and 1 old deleted at once
// (4 old + 1 new − 3 − 1 new not available = 1); each new pod that becomes available lets one more old pod go.
func (p *planner) rolling(r *rollout) {
	if r.replicas > len(r.current.pods) {
		if r.waiting = p.imagesReady(&r.Spec.Template.Spec); r.waiting != "" {
			p.holdOld(r)
			return
		}
	}
	if r.oldCount() == 0 {
		p.fit(r)
		return
	}
	surge, unavailable := fenceposts(r.Spec.Strategy.RollingUpdate, r.replicas)
	p.holdOld(r)
	up := min(r.replicas+surge-r.total(), r.replicas-len(r.current.pods))
	p.scaleUp(r.key, r.current, max(up, 0), r.replicas, fmt.Sprintf("%s has a new template", r.key))
	p.scaleDown(r.current, r.current.size()-r.replicas, r.wants())
	p.shrinkOld(r, r.replicas-unavailable)
}

// holdOld makes up for old pods that vanished in the middle of a rollout, so that a new version that does not become
// available cannot drag the Deployment below its minimum. Upstream's old ReplicaSet does it by itself.
func (p *planner) holdOld(r *rollout) {
	if len(r.old) == 0 {
		return
	}
	newest := r.old[len(r.old)-1]
	wanted := min(r.replicas, number(newest.template.Annotations, desiredAnnotation, 0))
	surge, unavailable := fenceposts(r.Spec.Strategy.RollingUpdate, r.replicas)
	short := wanted - unavailable - r.availableIn(r.current) - r.oldCount()
	room := r.replicas + surge - r.total()
	if n := min(short, room); n > 0 && p.imagesReady(&newest.template.Spec) == "" {
		p.scaleUp(r.key, newest, n, wanted, fmt.Sprintf("%s lost pods in the middle of a rollout", r.key))
	}
}

// shrinkOld deletes old pods: those that are not available first, as far as the total allows, then as many available ones
// as the minimum allows.
func (p *planner) shrinkOld(r *rollout, minAvailable int) {
	reason := fmt.Sprintf("%s has a new template", r.key)
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

// reportDeployment says how far the rollout is, as upstream's syncRolloutStatus.
func (p *planner) reportDeployment(r *rollout) {
	updated, availableUpdated := len(r.current.pods), r.availableIn(r.current)
	status := ObjectStatus{Ref: r.root, Summary: map[string]string{
		"ready": fmt.Sprintf("%d/%d", r.readyCount(), r.replicas), "updated": fmt.Sprint(updated),
		"available": fmt.Sprint(r.availableCount()), "images": images(&r.Spec.Template.Spec),
	}}
	complete := updated == r.replicas && availableUpdated == r.replicas && r.oldCount() == 0
	deadline := p.progressDeadline(r)
	switch {
	case complete:
		status.Health = Ready
	case r.Spec.Paused:
		status.Health, status.Message = Reconciling, "is paused"
	case !deadline.IsZero() && !p.now.Before(deadline):
		status.Health = Stalled
		status.Message = fmt.Sprintf("made no progress for %d s: %s", *r.Spec.ProgressDeadlineSeconds, p.rolloutMessage(r))
	default:
		status.Health, status.Message = Reconciling, p.rolloutMessage(r)
		p.checkAt(deadline)
	}
	status.Conditions = deploymentConditions(r, status.Health, complete, status.Message)
	p.report(r.root, status)
	p.checkMinReady(r)
	for _, rs := range slices.Backward(append(slices.Clone(r.old), r.current)) {
		wanted := len(rs.pods)
		if rs == r.current {
			wanted = r.replicas
		}
		p.reportReplicaSet(r.root, rs, wanted, r.pods)
	}
}

// rolloutMessage is one sentence on what the rollout waits for.
func (p *planner) rolloutMessage(r *rollout) string {
	message := fmt.Sprintf("%d of %d pods updated and available", r.availableIn(r.current), r.replicas)
	if n := r.oldCount(); n > 0 {
		message += fmt.Sprintf(", %d old", n)
	}
	if r.waiting != "" {
		return message + "; " + r.waiting
	}
	if r.current.planned > 0 {
		first := r.current.nextName(-r.current.planned)
		if failed := p.observed.Problems[r.Namespace+"/"+first]; failed != "" {
			return fmt.Sprintf("%s; pod %s: %s", message, first, failed)
		}
	}
	for _, v := range r.current.pods {
		if v.problem != "" {
			return fmt.Sprintf("%s; pod %s: %s", message, v.Manifest.Name, v.problem)
		}
	}
	return message
}

// progressDeadline is when a rollout that makes no progress is called stalled; zero for never. Progress is a pod
// created or become ready, or a new revision.
func (p *planner) progressDeadline(r *rollout) time.Time {
	if r.Spec.ProgressDeadlineSeconds == nil || p.desired.Since.IsZero() {
		return time.Time{}
	}
	progress := p.desired.Since
	for _, v := range r.current.pods {
		progress = later(progress, v.CreatedAt)
		if v.ready {
			progress = later(progress, v.readySince)
		}
	}
	return progress.Add(time.Duration(*r.Spec.ProgressDeadlineSeconds) * time.Second)
}

// checkMinReady asks to look again when a ready pod becomes available.
func (p *planner) checkMinReady(r *rollout) {
	for _, v := range r.pods {
		if v.ready && !v.deleted {
			p.checkAt(v.readySince.Add(r.minReady))
		}
	}
}

func deploymentConditions(r *rollout, health Health, complete bool, message string) []metav1.Condition {
	_, unavailable := fencepostsOf(r)
	availableStatus := condition("Available", r.availableCount() >= r.replicas-unavailable,
		"MinimumReplicasAvailable", "MinimumReplicasUnavailable", message)
	progressing := metav1.Condition{Type: "Progressing", Status: metav1.ConditionTrue, Reason: "ReplicaSetUpdated", Message: message}
	switch {
	case complete:
		progressing.Reason = "NewReplicaSetAvailable"
	case health == Stalled:
		progressing.Status, progressing.Reason = metav1.ConditionFalse, "ProgressDeadlineExceeded"
	case r.Spec.Paused:
		progressing.Status, progressing.Reason = metav1.ConditionUnknown, "DeploymentPaused"
	}
	return []metav1.Condition{availableStatus, progressing}
}

func condition(kind string, holds bool, yes, no, message string) metav1.Condition {
	if holds {
		return metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: yes}
	}
	return metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: no, Message: message}
}

// fencepostsOf also knows Recreate, under which a Deployment counts as available with all its pods only.
func fencepostsOf(r *rollout) (surge, unavailable int) {
	if r.Spec.Strategy.RollingUpdate == nil {
		return 0, 0
	}
	return fenceposts(r.Spec.Strategy.RollingUpdate, r.replicas)
}
