package plan

import (
	"fmt"

	"github.com/podyard/podyard/manifests"
)

// prune deletes the pods whose owner the commit no longer holds. Only pods of this instance are ever observed, so
// nothing foreign can be pruned; volumes are not touched.
func (p *planner) prune() {
	for _, v := range p.pods {
		if v.claimed {
			continue
		}
		p.delete(v, fmt.Sprintf("%s is not in the commit", v.owner))
		owner := manifests.Ref{Kind: v.owner.kind, Namespace: v.owner.namespace, Name: v.owner.name}
		status := p.podStatus(v, owner)
		status.Message = fmt.Sprintf("is being pruned: %s is not in the commit", v.owner)
		p.pruned = append(p.pruned, status)
	}
}
