package plan

import (
	"fmt"
	"slices"

	nodev1 "k8s.io/api/node/v1"

	"github.com/podyard/podyard/manifests"
)

// runtimeClass warns of a class whose handler the engine has not: its pods run all the same, where a cluster would refuse
// them.
func (p *planner) runtimeClass(object *manifests.Object, class *nodev1.RuntimeClass) {
	status := ObjectStatus{Ref: object.Ref, Health: Ready}
	if !slices.Contains(p.observed.Runtimes, class.Handler) {
		status.Message = fmt.Sprintf("the engine has no runtime %s: pods of this class run under its default, without the isolation that the class stands for; add it to \"runtimes\" in the engine's daemon.json",
			class.Handler)
	}
	p.report(object.Ref, status)
}
