package reconcile

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// fieldValue is one field of a pod, for env and for downwardAPI volumes. Upstream: podFieldSelectorRuntimeValue
// (pkg/kubelet/kubelet_pods.go) and ExtractFieldPathAsString (pkg/fieldpath/fieldpath.go).
func (o origin) fieldValue(pod *corev1.Pod, path string) (string, error) {
	if name, subscript, ok := strings.Cut(strings.TrimSuffix(path, "']"), "['"); ok {
		switch name {
		case "metadata.annotations":
			return pod.Annotations[subscript], nil
		case "metadata.labels":
			return pod.Labels[subscript], nil
		}
		return "", fmt.Errorf("field %s is not one of the downward API", path)
	}
	switch path {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	case "metadata.labels":
		return lines(pod.Labels), nil
	case "metadata.annotations":
		return lines(pod.Annotations), nil
	case "spec.nodeName":
		return o.state.Host[corev1.LabelHostname], nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.podIP", "status.podIPs":
		return o.ip, nil
	case "status.hostIP", "status.hostIPs":
		return o.state.HostIP, nil
	}
	return "", fmt.Errorf("field %s is not one of the downward API", path)
}

// lines is upstream's FormatMap (pkg/fieldpath): key="value", sorted.
func lines(m map[string]string) string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		out = append(out, fmt.Sprintf("%s=%q", key, m[key]))
	}
	return strings.Join(out, "\n")
}

// resourceValue is a limit or request of a container, divided and rounded up. A limit that is not set is all that the
// host has. Upstream: ExtractContainerResourceValue and MergeContainerResourceLimits (pkg/api/v1/resource/helpers.go).
// Worked example: limits.cpu of 1500m with divisor 1 → "2", with divisor 1m → "1500".
func (o origin) resourceValue(pod *corev1.Pod, c *corev1.Container, ref *corev1.ResourceFieldSelector) (string, error) {
	if ref.ContainerName != "" && (c == nil || ref.ContainerName != c.Name) {
		c = containerSpec(pod, ref.ContainerName)
	}
	if c == nil {
		return "", fmt.Errorf("pod has no container %s", ref.ContainerName)
	}
	list, name, _ := strings.Cut(ref.Resource, ".")
	var quantity resource.Quantity
	switch list {
	case "limits":
		quantity = o.limit(c, corev1.ResourceName(name))
	case "requests":
		quantity = c.Resources.Requests[corev1.ResourceName(name)]
	default:
		return "", fmt.Errorf("resource %s is neither a limit nor a request", ref.Resource)
	}
	divisor := ref.Divisor
	if divisor.IsZero() {
		divisor = resource.MustParse("1")
	}
	if name == string(corev1.ResourceCPU) {
		return strconv.FormatInt(ceilDiv(quantity.MilliValue(), divisor.MilliValue()), 10), nil
	}
	return strconv.FormatInt(ceilDiv(quantity.Value(), divisor.Value()), 10), nil
}

func (o origin) limit(c *corev1.Container, name corev1.ResourceName) resource.Quantity {
	if limit := c.Resources.Limits[name]; !limit.IsZero() {
		return limit
	}
	return o.state.Capacity[name]
}

func ceilDiv(a, b int64) int64 {
	b = max(b, 1)
	return (a + b - 1) / b
}
