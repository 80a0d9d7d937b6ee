package plan

import (
	"fmt"
	"slices"

	"github.com/podyard/podyard/manifests"
)

// dropGarbage takes out of the commit what has pods, or is a Service or an Ingress, and names owners of which none is there any more: a
// dependent of two owners goes with the last of them, and what it owns with it. An owner that is kept, or left its dependents
// as orphans, counts as there. Upstream: attemptToDeleteItem (pkg/controller/garbagecollector/garbagecollector.go).
func (p *planner) dropGarbage() {
	g := garbage{planner: p, known: map[manifests.Ref]bool{}}
	var objects []*manifests.Object
	for _, o := range p.desired.Objects {
		if !g.is(o) {
			objects = append(objects, o)
			continue
		}
		for _, owner := range manifests.OwnersOf(o) {
			p.garbage[keyOf(o)] = append(p.garbage[keyOf(o)], ownerKey{owner.Kind, owner.Namespace, owner.Name})
		}
		p.pruned = append(p.pruned, ObjectStatus{Ref: o.Ref, Health: Ready, Message: fmt.Sprintf(
			"is not applied: its last owner has left the commit: %s", manifests.OwnersOf(o)[0])})
	}
	if len(objects) < len(p.desired.Objects) {
		p.desired = p.desired.With(objects)
	}
}

// withOwners is an object that is not in the commit any more, with its owners, and theirs.
func (p *planner) withOwners(key ownerKey) []ownerKey {
	out := []ownerKey{key}
	for i := 0; i < len(out); i++ {
		for _, owner := range p.garbage[out[i]] {
			if !slices.Contains(out, owner) {
				out = append(out, owner)
			}
		}
	}
	return out
}

// garbage finds out what has lost its owners.
type garbage struct {
	*planner
	// known is what was found out, or is being: objects that own each other are garbage.
	known map[manifests.Ref]bool
}

func (g garbage) is(o *manifests.Object) bool {
	if !manifests.Acts(o) {
		return false
	}
	if is, known := g.known[o.Ref]; known {
		return is
	}
	owners := manifests.OwnersOf(o)
	g.known[o.Ref] = len(owners) > 0
	for _, owner := range owners {
		if g.lives(owner) {
			g.known[o.Ref] = false
		}
	}
	return g.known[o.Ref]
}

func (g garbage) lives(owner manifests.Ref) bool {
	if o := g.desired.Find(owner.Kind, owner.Namespace, owner.Name); o != nil {
		return !g.is(o)
	}
	of := g.policies.noted[ownerKey{owner.Kind, owner.Namespace, owner.Name}]
	return of.keeps()
}
