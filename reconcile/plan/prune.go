package plan

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
)

// prune deletes the pods whose owner the commit no longer holds, or does not select any more, unless the owner's policy keeps
// them; and what is left of those whose sandbox is gone: nothing tells whose they were. Only pods of this instance are ever
// observed, so nothing foreign can be pruned; volumes are not touched unless a StatefulSet said so. Upstream, as far as one
// host needs it: pkg/controller/garbagecollector.
func (p *planner) prune() {
	p.forgetRollouts()
	kept, leaving := map[ownerKey][]*podView{}, map[ownerKey][]*podView{}
	for _, v := range p.pods {
		switch {
		case v.claimed:
		case v.Phase == runtime.Missing:
			p.delete(v, "its sandbox was removed")
		case !v.released && p.policyWhenGone(v.owner, v).keeps():
			kept[v.owner] = append(kept[v.owner], v)
		default:
			leaving[v.owner] = append(leaving[v.owner], v)
		}
	}
	for _, owner := range sortedOwners(kept) {
		p.keep(owner, kept[owner])
	}
	p.remove(leaving)
}

func sortedOwners(pods map[ownerKey][]*podView) []ownerKey {
	var out []ownerKey
	for owner := range pods {
		out = append(out, owner)
	}
	slices.SortFunc(out, ownerKey.compare)
	return out
}

// keep leaves the pods of an object that has left the commit: with their owner, or as orphans that others may adopt.
func (p *planner) keep(owner ownerKey, pods []*podView) {
	ref, why := refOf(owner), "not in the commit; kept: podyard.dev/prune is disabled"
	p.jobs[owner] = true // if it comes back, it goes on with them
	if p.policyWhenGone(owner, pods[0]).Prune == manifests.PruneOrphan {
		why = fmt.Sprintf("runs without a controller: %s is not in the commit, and its podyard.dev/prune was orphan", owner)
	} else if owner.kind != "Pod" {
		p.pruned = append(p.pruned, ObjectStatus{Ref: ref, Health: Ready, Message: why})
	}
	for _, v := range pods {
		v.claimed = true
		status := p.podStatus(v, ref)
		if status.Message == "" {
			status.Message = why
		}
		p.pruned = append(p.pruned, status)
	}
}

// remove deletes pods, those of a higher wave first. While the sync goes on nothing is deleted.
func (p *planner) remove(leaving map[ownerKey][]*podView) {
	top := p.topWave(leaving)
	for _, owner := range sortedOwners(leaving) {
		of := p.policyWhenGone(owner, leaving[owner][0])
		waits := ""
		switch {
		case p.sync.holdsRemoval():
			waits = p.sync.whyNoRemoval()
		case of.Wave < top:
			waits = fmt.Sprintf("is pruned after what there is of wave %d", top)
		}
		if waits != "" {
			p.jobs[owner] = true
		}
		p.removePods(owner, leaving[owner], waits)
		p.leaving = append(p.leaving, leaving[owner]...)
	}
	p.waitInForeground(leaving)
}

// waitInForeground reports the objects that are gone when their pods are, and those of what they own. Upstream:
// processDeletingDependentsItem (pkg/controller/garbagecollector/garbagecollector.go).
func (p *planner) waitInForeground(leaving map[ownerKey][]*podView) {
	waits := map[ownerKey][]*podView{}
	for _, of := range sortedOwners(leaving) {
		for _, owner := range p.withOwners(of) {
			waits[owner] = append(waits[owner], leaving[of]...)
		}
	}
	for _, owner := range sortedOwners(waits) {
		var own *podView
		if len(leaving[owner]) > 0 {
			own = leaving[owner][0]
		}
		if p.policyWhenGone(owner, own).Prune == manifests.PruneForeground && (owner.kind != "Pod" || own == nil) {
			p.pruned = append(p.pruned, ObjectStatus{Ref: refOf(owner), Health: Terminating, Message: fmt.Sprintf(
				"is being pruned: waits for %d pods to go, because its podyard.dev/prune was foreground", len(waits[owner]))})
		}
	}
}

func (p *planner) removePods(owner ownerKey, pods []*podView, waits string) {
	for _, v := range pods {
		why := fmt.Sprintf("%s is not in the commit", owner)
		if p.garbage[owner] != nil {
			why = fmt.Sprintf("the owners of %s are not in the commit", owner)
		} else if v.released {
			why = fmt.Sprintf("%s does not select it any more", owner)
		}
		message := "is being pruned: " + why
		if waits == "" || v.deleted {
			p.delete(v, why)
		} else {
			v.held, message = true, fmt.Sprintf("%s: %s", waits, why)
		}
		status := p.podStatus(v, refOf(owner))
		status.Message = message
		p.pruned = append(p.pruned, status)
	}
}

// topWave is the highest wave of what is to be removed.
func (p *planner) topWave(leaving map[ownerKey][]*podView) int {
	top, first := 0, true
	for owner, pods := range leaving {
		if wave := p.policyWhenGone(owner, pods[0]).Wave; first || wave > top {
			top, first = wave, false
		}
	}
	return top
}

func refOf(owner ownerKey) manifests.Ref {
	return manifests.Ref{Kind: owner.kind, Namespace: owner.namespace, Name: owner.name}
}

// staying is a Service that has left the commit and is in force still. It is Terminating if its removal is waited for.
type staying struct {
	*corev1.Service
	why    string
	health Health
}

// staying are those that are kept, or stay while the sync goes on, or until pods have gone that go before them.
func (p *planner) staying() (out []staying) {
	for _, s := range p.observed.Routes.Services {
		key := ownerKey{"Service", s.Namespace, s.Name}
		if p.has(key) {
			continue
		}
		switch of := p.policyWhenGone(key, nil); {
		case of.Prune == manifests.PruneDisabled:
			out = append(out, staying{s, "not in the commit; kept: podyard.dev/prune is disabled", Ready})
		case p.sync.holdsRemoval():
			out = append(out, staying{s, p.sync.whyNoRemoval() + ": not in the commit", Terminating})
		default:
			if v, health := p.goesBefore(s, of); v != nil {
				out = append(out, staying{s, fmt.Sprintf("is pruned when pod %s is gone", v.Manifest.Name), health})
			}
		}
	}
	return out
}

// goesBefore is a pod that goes before a Service: one of a higher wave, or one that the Service selects. While it stops it is
// found by its name still, and finds the others of its StatefulSet. Only what goes in the foreground is waited for.
func (p *planner) goesBefore(s *corev1.Service, of policy) (found *podView, health Health) {
	for _, v := range p.leaving {
		owner := p.policyWhenGone(v.owner, v)
		selects := len(s.Spec.Selector) > 0 && v.Manifest.Namespace == s.Namespace && hasLabels(v.Manifest.Labels, s.Spec.Selector)
		switch {
		case owner.Wave > of.Wave, selects && owner.Prune == manifests.PruneForeground:
			return v, Terminating
		case selects && found == nil:
			found, health = v, Ready
		}
	}
	return found, health
}
