package plan

import (
	"cmp"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/podyard/podyard/manifests"
)

// daemon is a DaemonSet on the one node there is. The rules are upstream's pkg/controller/daemon: daemon_controller.go,
// update.go.
type daemon struct {
	*workload
	set *replicaSet
	// surge: the new pod comes before the old one goes. rolls: a new template replaces the old pod; not so with OnDelete.
	surge, rolls bool
	unavailable  int
	// updated and old are live pods by their template, oldest first.
	updated, old []*podView
}

func (p *planner) daemonSet(object *manifests.Object, value *appsv1.DaemonSet) {
	d := p.daemon(object, value)
	p.reap(d.pods)
	if why := p.notForThisHost(d); why != "" {
		d.replicas = 0
		for _, v := range d.pods {
			p.delete(v, fmt.Sprintf("%s has no pod on this host: %s", d.key, why))
		}
		p.reportWorkload(d.workload, progress{complete: true, rolls: true, remark: "has no pod on this host: " + why})
		return
	}
	d.split()
	p.onePod(d)
	if d.rolls {
		p.updateDaemon(d)
	}
	p.reportDaemon(d)
}

func (p *planner) daemon(object *manifests.Object, value *appsv1.DaemonSet) *daemon {
	w := p.workload(object)
	hash := object.Once(func() string { return manifests.TemplateHash(w.template) })
	d := &daemon{workload: w, set: &replicaSet{owner: w.key, name: w.key.name, hash: hash, hashLabel: revisionLabel, template: w.template}}
	strategy := value.Spec.UpdateStrategy
	if d.rolls = strategy.Type != appsv1.OnDeleteDaemonSetStrategyType; d.rolls {
		// Both are rounded up; one node makes 1 of any percentage.
		d.surge = scaled(strategy.RollingUpdate.MaxSurge, 1, true) > 0
		d.unavailable = scaled(strategy.RollingUpdate.MaxUnavailable, 1, true)
	}
	for _, v := range w.pods {
		d.set.add(v)
		d.set.avoid(v)
	}
	return d
}

// notForThisHost is upstream's NodeShouldRunDaemonPod: a node that the pod does not select is none of the DaemonSet's. The
// one node there is has no taints, so it needs no tolerations.
func (p *planner) notForThisHost(d *daemon) string {
	for _, o := range []*obstacle{p.otherNode(&d.template.Spec), p.otherLabels(&d.template.Spec)} {
		if o != nil {
			return o.words
		}
	}
	return ""
}

func (d *daemon) split() {
	d.updated, d.old = nil, nil
	for _, v := range d.pods {
		switch {
		case !v.live():
		case v.Manifest.Labels[revisionLabel] == d.set.hash:
			d.updated = append(d.updated, v)
		default:
			d.old = append(d.old, v)
		}
	}
	oldest := func(a, b *podView) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.Manifest.Name, b.Manifest.Name))
	}
	slices.SortStableFunc(d.updated, oldest)
	slices.SortStableFunc(d.old, oldest)
}

// onePod creates the missing pod and deletes those too many; upstream's podsShouldBeOnNode. Without a surge, one that is being
// stopped is waited for.
func (p *planner) onePod(d *daemon) {
	if len(d.updated)+len(d.old) == 0 {
		if d.surge || len(d.pods) == 0 {
			p.scaleUp(d.set, 1, 1, fmt.Sprintf("%s has no pod on this host", d.key))
		}
		return
	}
	reason := fmt.Sprintf("%s has one pod on a host", d.key)
	for _, list := range [][]*podView{d.updated, d.old} {
		for i, v := range list {
			if i > 0 {
				p.delete(v, reason)
			}
		}
	}
	if len(d.updated) > 0 && len(d.old) > 0 && !d.surge {
		p.delete(younger(d.updated[0], d.old[0]), reason)
	}
	d.split()
}

// younger of two pods.
func younger(a, b *podView) *podView {
	if b.CreatedAt.Before(a.CreatedAt) {
		return a
	}
	return b
}

// updateDaemon replaces an old pod: with a surge once the new one is available, or at once if the old one is not ready;
// without, when the new one could be made. Upstream: rollingUpdate and podsShouldBeOnNode.
func (p *planner) updateDaemon(d *daemon) {
	if len(d.old) == 0 {
		return
	}
	old := d.old[0]
	reason := p.newTemplate(d.key, old, p.replica(d.set, 1))
	switch {
	case d.surge && len(d.updated) == 0 && slices.ContainsFunc(d.pods, func(v *podView) bool { return v.deleted && !v.Stopping }):
		return // one of a rollout in between goes first
	case d.surge && len(d.updated) == 0:
		p.scaleUp(d.set, 1, 1, reason)
	case d.surge:
		if !old.ready || d.isAvailable(d.updated[0]) {
			p.delete(old, reason)
		}
	case d.unavailable > 0 || !d.isAvailable(old):
		if d.waiting, _ = p.hindrance(p.replica(d.set, 1), d.key); d.waiting == "" {
			p.delete(old, reason)
		}
	}
	d.split()
}

func (p *planner) reportDaemon(d *daemon) {
	d.pending = d.set.pending
	at := progress{rolls: true, updated: len(d.updated), old: len(d.old)}
	at.complete = d.available() == 1 && len(d.updated) == 1 && len(d.old) == 0
	if !d.rolls && d.available() == 1 && len(d.old) > 0 {
		at.complete = true
		at.remark = fmt.Sprintf("pod %s has an older template, and updateStrategy is OnDelete: podyard replaces it when it is removed", d.old[0].Manifest.Name)
	}
	p.reportWorkload(d.workload, at)
}
