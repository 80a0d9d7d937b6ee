package manifests

import (
	"math"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// limitRange follows upstream's ValidateLimitRange.
func (c check) limitRange(path *field.Path, spec *corev1.LimitRangeSpec) {
	twice := c.unique("type")
	for i := range spec.Limits {
		item, at := &spec.Limits[i], path.Child("limits").Index(i)
		if item.Type == "" {
			c.add(at.Child("type"), "is missing")
		}
		oneOf(c, at.Child("type"), item.Type, corev1.LimitTypeContainer, corev1.LimitTypePod, corev1.LimitTypePersistentVolumeClaim)
		twice(at.Child("type"), string(item.Type))
		c.limitRangeItem(at, item)
	}
}

func (c check) limitRangeItem(path *field.Path, item *corev1.LimitRangeItem) {
	for _, list := range []struct {
		field string
		value corev1.ResourceList
	}{{"max", item.Max}, {"min", item.Min}, {"default", item.Default}, {"defaultRequest", item.DefaultRequest}, {"maxLimitRequestRatio", item.MaxLimitRequestRatio}} {
		for _, name := range sortedKeys(list.value) {
			at := ofResource(path.Child(list.field), name)
			c.limitedName(at, item.Type, name)
			if quantity := list.value[name]; quantity.Sign() < 0 {
				c.add(at, "must be greater than or equal to 0")
			}
		}
	}
	c.onlyForContainers(path, item)
	for _, pair := range []struct {
		low, high             string
		lowValues, highValues corev1.ResourceList
	}{
		{"min", "max", item.Min, item.Max},
		{"min", "default", item.Min, item.Default},
		{"default", "max", item.Default, item.Max},
		{"min", "defaultRequest", item.Min, item.DefaultRequest},
		{"defaultRequest", "max", item.DefaultRequest, item.Max},
		{"defaultRequest", "default", item.DefaultRequest, item.Default},
	} {
		c.ordered(path, pair.low, pair.high, pair.lowValues, pair.highValues)
	}
	c.ratios(path.Child("maxLimitRequestRatio"), item)
}

func (c check) onlyForContainers(path *field.Path, item *corev1.LimitRangeItem) {
	if item.Type == corev1.LimitTypePod || item.Type == corev1.LimitTypePersistentVolumeClaim {
		if len(item.Default) > 0 {
			c.add(path.Child("default"), "must not be set when the type is %s: only containers have defaults", item.Type)
		}
		if len(item.DefaultRequest) > 0 {
			c.add(path.Child("defaultRequest"), "must not be set when the type is %s: only containers have defaults", item.Type)
		}
	}
	if item.Type == corev1.LimitTypePersistentVolumeClaim {
		_, hasMin := item.Min[corev1.ResourceStorage]
		if _, hasMax := item.Max[corev1.ResourceStorage]; !hasMin && !hasMax {
			c.add(path, "must have min.storage or max.storage when the type is PersistentVolumeClaim")
		}
	}
}

// limitedName takes the name of a resource that an item of a type may have.
func (c check) limitedName(path *field.Path, of corev1.LimitType, name corev1.ResourceName) {
	switch {
	case of != corev1.LimitTypePersistentVolumeClaim:
		c.resourceName(path, name)
	case name != corev1.ResourceStorage:
		c.all(path, validation.IsQualifiedName(string(name)))
	}
}

// ordered refuses a value that must not be greater than another and is.
func (c check) ordered(path *field.Path, low, high string, lowValues, highValues corev1.ResourceList) {
	for _, name := range sortedKeys(lowValues) {
		value := lowValues[name]
		if bound, there := highValues[name]; there && value.Cmp(bound) > 0 {
			c.add(ofResource(path.Child(low), name), "must be less than or equal to the %s of %s", high, bound.String())
		}
	}
}

// ratios: a ratio is at least 1, and at most what min and max allow.
func (c check) ratios(path *field.Path, item *corev1.LimitRangeItem) {
	for _, name := range sortedKeys(item.MaxLimitRequestRatio) {
		ratio, least := item.MaxLimitRequestRatio[name], item.Min[name]
		most, bounded := item.Max[name]
		switch at := ofResource(path, name); {
		case ratio.Cmp(*resource.NewQuantity(1, resource.DecimalSI)) < 0:
			c.add(at, "must be 1 or more")
		case bounded && least.Sign() > 0 && ratio.AsApproximateFloat64() > quotient(most, least):
			c.add(at, "must be less than or equal to max divided by min, which is %.3g", quotient(most, least))
		}
	}
}

// quotient counts in thousandths as long as they fit, as upstream does, so that 1100m is eleven times 100m.
func quotient(a, b resource.Quantity) float64 {
	const largest = math.MaxInt64 / 1000
	if a.Value() <= largest && b.Value() <= largest {
		return float64(a.MilliValue()) / float64(b.MilliValue())
	}
	return float64(a.Value()) / float64(b.Value())
}
