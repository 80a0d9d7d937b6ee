package docker

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

// nvidiaGPU is the one extended resource that has a driver of its own in the engine.
const nvidiaGPU = "nvidia.com/gpu"

// deviceRequests asks for extended resources, sorted by name: nvidia.com/gpu of the engine's driver, others as the first
// devices of that kind of the Container Device Interface: two of vendor.test/tpu are vendor.test/tpu=0 and =1.
func deviceRequests(limits corev1.ResourceList, f facts) ([]container.DeviceRequest, error) {
	var out []container.DeviceRequest
	for name, quantity := range limits {
		n := int(quantity.Value())
		switch {
		case !isExtended(name) || n == 0:
		case name == nvidiaGPU:
			out = append(out, container.DeviceRequest{Driver: "nvidia", Count: n, Capabilities: [][]string{{"gpu"}}})
		case f.cdi:
			out = append(out, container.DeviceRequest{Driver: "cdi", DeviceIDs: deviceIDs(string(name), n)})
		default:
			return nil, fmt.Errorf("resource %s: this engine has no devices of the Container Device Interface (CDI): %w", name, runtime.ErrInvalid)
		}
	}
	slices.SortFunc(out, func(a, b container.DeviceRequest) int {
		return cmp.Or(cmp.Compare(a.Driver, b.Driver), slices.Compare(a.DeviceIDs, b.DeviceIDs))
	})
	return out, nil
}

func deviceIDs(name string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s=%d", name, i)
	}
	return out
}

// isExtended is upstream's IsExtendedResourceName (pkg/apis/core/v1/helper): a name with a domain that is not Kubernetes'.
func isExtended(name corev1.ResourceName) bool {
	domain, _, qualified := strings.Cut(string(name), "/")
	return qualified && !strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix) && !strings.HasPrefix(domain, corev1.DefaultResourceRequestsPrefix)
}
