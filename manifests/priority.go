package manifests

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// highestPriority is upstream's HighestUserDefinablePriority (pkg/apis/scheduling/types.go).
const highestPriority = 1_000_000_000

// systemClasses are there without a manifest; upstream's SystemPriorityClasses (pkg/apis/scheduling/v1/helpers.go).
var systemClasses = map[string]int32{"system-cluster-critical": 2 * highestPriority, "system-node-critical": 2*highestPriority + 1000}

// Priorities resolves the PriorityClasses of a Set. Upstream: plugin/pkg/admission/priority.
type Priorities struct {
	classes map[string]*schedulingv1.PriorityClass
	// global is the class of pods that name none; nil if there is none.
	global *schedulingv1.PriorityClass
}

// NewPriorities reads the classes of a Set. Of several that are globalDefault, the lowest counts.
func NewPriorities(set *Set) Priorities {
	p := Priorities{classes: map[string]*schedulingv1.PriorityClass{}}
	for _, class := range All[*schedulingv1.PriorityClass](set) {
		p.classes[class.Name] = class
		if class.GlobalDefault && (p.global == nil || cmp.Or(cmp.Compare(class.Value, p.global.Value), cmp.Compare(class.Name, p.global.Name)) < 0) {
			p.global = class
		}
	}
	return p
}

// ClassOf is the name of a pod's class: its own, or that of the globalDefault; empty if there is neither.
func (p Priorities) ClassOf(spec *corev1.PodSpec) string {
	if spec.PriorityClassName == "" && p.global != nil {
		return p.global.Name
	}
	return spec.PriorityClassName
}

// Fill writes a pod's class, priority and preemption policy into it. A class that is not known was refused before.
func (p Priorities) Fill(spec *corev1.PodSpec) {
	name := p.ClassOf(spec)
	value, policy := systemClasses[name], corev1.PreemptLowerPriority
	if class := p.classes[name]; class != nil {
		value, policy = class.Value, *class.PreemptionPolicy
	}
	spec.PriorityClassName, spec.Priority, spec.PreemptionPolicy = name, &value, &policy
}

func defaultPriorityClass(c *schedulingv1.PriorityClass) {
	point(defaults{}, &c.PreemptionPolicy, corev1.PreemptLowerPriority)
}

// priorityClass follows upstream's ValidatePriorityClass.
func (c check) priorityClass(class *schedulingv1.PriorityClass, all Priorities) {
	if _, system := systemClasses[class.Name]; system {
		c.add(field.NewPath("metadata", "name"), "is the name of a class that is always there: choose another")
	}
	if class.Value > highestPriority {
		c.add(field.NewPath("value"), "must be less than or equal to %d", highestPriority)
	}
	oneOf(c, field.NewPath("preemptionPolicy"), *class.PreemptionPolicy, corev1.PreemptLowerPriority, corev1.PreemptNever)
	if class.GlobalDefault && all.global != class {
		c.add(field.NewPath("globalDefault"), "PriorityClass %s is already marked as default: only one can be", all.global.Name)
	}
}

// priority refuses a pod whose class is not there, or that says another number than its class does.
func (c check) priority(path *field.Path, spec *corev1.PodSpec, priorities Priorities) {
	name := priorities.ClassOf(spec)
	if len(validation.IsDNS1123Subdomain(name)) > 0 && name != "" {
		return // which was said
	}
	if _, system := systemClasses[name]; !system && name != "" && priorities.classes[name] == nil {
		c.add(path.Child("priorityClassName"), "PriorityClass %s is not in the commit: add it, or leave the name out", name)
		return
	}
	resolved := corev1.PodSpec{PriorityClassName: name}
	priorities.Fill(&resolved)
	if spec.Priority != nil && *spec.Priority != *resolved.Priority {
		c.add(path.Child("priority"), "must be %d, which follows from the priorityClassName: leave it out", *resolved.Priority)
	}
	if spec.PreemptionPolicy != nil && *spec.PreemptionPolicy != *resolved.PreemptionPolicy {
		c.add(path.Child("preemptionPolicy"), "must be %s, which follows from the priorityClassName: leave it out", *resolved.PreemptionPolicy)
	}
}
