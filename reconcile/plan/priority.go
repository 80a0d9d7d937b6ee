package plan

import "github.com/podyard/podyard/manifests"

// priorities are the PriorityClasses of the commit, read once.
func (p *planner) priorities() *manifests.Priorities {
	if p.classes == nil {
		classes := manifests.NewPriorities(p.desired)
		p.classes = &classes
	}
	return p.classes
}

// priorityOf is by which pods that are created come in order, as upstream's plugin PrioritySort has it.
func priorityOf(a Action) int32 {
	if create, ok := a.(CreatePod); ok && create.Pod.Spec.Priority != nil {
		return *create.Pod.Spec.Priority
	}
	return 0
}
