package manifests

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// placement checks what says where a pod may run, as far as it has a meaning on one host.
func (p podCheck) placement(path *field.Path) {
	for _, key := range sortedKeys(p.spec.NodeSelector) {
		at := path.Child("nodeSelector").Key(key)
		p.all(at, validation.IsQualifiedName(key))
		p.all(at, validation.IsValidLabelValue(p.spec.NodeSelector[key]))
	}
	twice := p.unique("gate")
	for i, gate := range p.spec.SchedulingGates {
		at := path.Child("schedulingGates").Index(i).Child("name")
		p.all(at, validation.IsQualifiedName(gate.Name))
		twice(at, gate.Name)
	}
	for i, gate := range p.spec.ReadinessGates {
		p.all(path.Child("readinessGates").Index(i).Child("conditionType"), validation.IsQualifiedName(string(gate.ConditionType)))
	}
	if a := p.spec.Affinity; a != nil && a.NodeAffinity != nil && a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution != nil {
		at := path.Child("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
		p.nodeSelector(at, a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
	}
}

// nodeSelector follows upstream's ValidateNodeSelector.
func (c check) nodeSelector(path *field.Path, s *corev1.NodeSelector) {
	at := path.Child("nodeSelectorTerms")
	if len(s.NodeSelectorTerms) == 0 {
		c.add(at, "at least one term is required")
	}
	for i, term := range s.NodeSelectorTerms {
		for j, r := range term.MatchExpressions {
			c.nodeLabel(at.Index(i).Child("matchExpressions").Index(j), r)
		}
		for j, r := range term.MatchFields {
			c.nodeField(at.Index(i).Child("matchFields").Index(j), r)
		}
	}
}

func (c check) nodeLabel(path *field.Path, r corev1.NodeSelectorRequirement) {
	c.all(path.Child("key"), validation.IsQualifiedName(r.Key))
	c.operator(path, r.Operator, corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn, corev1.NodeSelectorOpExists,
		corev1.NodeSelectorOpDoesNotExist, corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt)
	at := path.Child("values")
	switch r.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if len(r.Values) == 0 {
			c.add(at, "at least one is required when the operator is %s", r.Operator)
		}
		for i, value := range r.Values {
			c.all(at.Index(i), validation.IsValidLabelValue(value))
		}
	case corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist:
		if len(r.Values) > 0 {
			c.add(at, "must not be set when the operator is %s", r.Operator)
		}
	case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
		if len(r.Values) != 1 {
			c.add(at, "must be exactly one when the operator is %s", r.Operator)
		} else if _, err := strconv.ParseInt(r.Values[0], 10, 64); err != nil {
			c.add(at.Index(0), "must be a whole number when the operator is %s", r.Operator)
		}
	}
}

// operator takes one that must be there.
func (c check) operator(path *field.Path, is corev1.NodeSelectorOperator, allowed ...corev1.NodeSelectorOperator) {
	if is == "" {
		c.add(path.Child("operator"), "is missing")
		return
	}
	oneOf(c, path.Child("operator"), is, allowed...)
}

// nodeField is about the one field of nodes by which they can be chosen: their name.
func (c check) nodeField(path *field.Path, r corev1.NodeSelectorRequirement) {
	if r.Key != metav1.ObjectNameField {
		c.add(path.Child("key"), "must be %s", metav1.ObjectNameField)
	}
	c.operator(path, r.Operator, corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn)
	if len(r.Values) != 1 {
		c.add(path.Child("values"), "must be exactly one")
	}
	for i, value := range r.Values {
		c.all(path.Child("values").Index(i), validation.IsDNS1123Subdomain(value))
	}
}
