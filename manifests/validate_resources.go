package manifests

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// resources follows upstream's ValidateContainerResourceRequirements.
func (c check) resources(path *field.Path, r corev1.ResourceRequirements) {
	for _, name := range sortedKeys(r.Limits) {
		limit, at := r.Limits[name], ofResource(path.Child("limits"), name)
		c.resourceName(at, name)
		c.quantity(at, name, limit)
	}
	for _, name := range sortedKeys(r.Requests) {
		request, at := r.Requests[name], ofResource(path.Child("requests"), name)
		limit, limited := r.Limits[name]
		switch {
		case !limited:
			c.resourceName(at, name)
			c.quantity(at, name, request)
			if isExtended(name) {
				c.add(at, "must have a limit as well: devices are not shared")
			}
		case limit.Sign() < 0 || limit.Cmp(request) == 0: // what is wrong with it was said of the limit
		case isExtended(name):
			c.add(at, "must be equal to the limit of %s", limit.String())
		case request.Cmp(limit) > 0:
			c.add(at, "must be less than or equal to the limit of %s", limit.String())
		default:
			c.quantity(at, name, request)
		}
	}
}

// ofResource is the path of one resource.
func ofResource(path *field.Path, name corev1.ResourceName) *field.Path {
	if strings.ContainsAny(string(name), "./") {
		return path.Key(string(name))
	}
	return path.Child(string(name))
}

// isExtended tells the resources that are counted: devices.
func isExtended(name corev1.ResourceName) bool { return strings.Contains(string(name), "/") }

// resourceName follows upstream's ValidateContainerResourceName, and refuses what the table of fields refuses by
// example.
func (c check) resourceName(path *field.Path, name corev1.ResourceName) {
	switch name {
	case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage, "hugepages-2Mi", "hugepages-1Gi":
		return
	}
	switch domain, _, extended := strings.Cut(string(name), "/"); {
	case strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix):
		c.add(path, "not supported: the engine hands out no huge pages")
	case !extended || domain == "kubernetes.io" || strings.HasSuffix(domain, ".kubernetes.io"):
		c.add(path, "must be cpu, memory, ephemeral-storage or a device with its domain, as nvidia.com/gpu")
	default:
		c.all(path, validation.IsQualifiedName(string(name)))
	}
}

func (c check) quantity(path *field.Path, name corev1.ResourceName, q resource.Quantity) {
	switch {
	case q.Sign() < 0:
		c.add(path, "must be greater than or equal to 0")
	case isExtended(name) && q.MilliValue()%1000 != 0:
		c.add(path, "must be a whole number")
	}
}
