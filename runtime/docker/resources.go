package docker

import (
	"slices"

	"github.com/docker/docker/api/types/container"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Bounds of the kernel, from kubernetes pkg/kubelet/cm/helpers_linux.go.
const (
	minShares   = 2
	maxShares   = 262144
	quotaPeriod = 100_000 // microseconds
	minQuota    = 1000    // microseconds
)

// resourcesOf turns requests and limits into cgroup values, as the kubelet does
// (pkg/kubelet/kuberuntime/kuberuntime_container_linux.go, calculateLinuxResources): shares from the request, or from
// the limit if there is no request; a quota from the limit; and no swap beyond the memory limit. Extended resources
// become device requests.
func resourcesOf(r corev1.ResourceRequirements, f facts) (container.Resources, error) {
	limit, request := r.Limits[corev1.ResourceCPU], r.Requests[corev1.ResourceCPU]
	if _, asked := r.Requests[corev1.ResourceCPU]; !asked {
		request = limit
	}
	out := container.Resources{CPUShares: milliCPUToShares(request.MilliValue())}
	if quota := milliCPUToQuota(limit.MilliValue()); quota > 0 {
		out.CPUPeriod, out.CPUQuota = quotaPeriod, quota
	}
	if memory := r.Limits[corev1.ResourceMemory]; memory.Value() > 0 {
		out.Memory, out.MemorySwap = memory.Value(), memory.Value()
	}
	var err error
	out.DeviceRequests, err = deviceRequests(r.Limits, f)
	return out, err
}

// milliCPUToShares: 100m → 102, none → 2 (upstream MilliCPUToShares).
func milliCPUToShares(milli int64) int64 {
	if milli == 0 {
		return minShares
	}
	return min(max(milli*1024/1000, minShares), maxShares)
}

// milliCPUToQuota: 250m → 25000 µs of each 100000, none → no quota (upstream MilliCPUToQuota).
func milliCPUToQuota(milli int64) int64 {
	if milli == 0 {
		return 0
	}
	return max(milli*quotaPeriod/1000, minQuota)
}

// OOM score adjustments of pkg/kubelet/qos/policy.go. The higher, the earlier the kernel kills.
const (
	sandboxOOMScoreAdj    = -998
	guaranteedOOMScoreAdj = -997
	bestEffortOOMScoreAdj = 1000
)

// nodeCritical is the class whose pods are killed last, whatever they ask for (pkg/kubelet/types, IsNodeCriticalPod).
const nodeCritical = "system-node-critical"

// oomScoreAdj is upstream's GetContainerOOMScoreAdjust. Worked example: Burstable, request 1 GiB of a 4 GiB host:
// 1000 − 1000/4 = 750. A sidecar's is never above the highest of the containers that it serves.
func oomScoreAdj(pod *corev1.Pod, name string, requests corev1.ResourceList, hostMemory int64) int {
	switch qos := qosClass(&pod.Spec); {
	case pod.Spec.PriorityClassName == nodeCritical, qos == corev1.PodQOSGuaranteed:
		return guaranteedOOMScoreAdj
	case qos == corev1.PodQOSBestEffort:
		return bestEffortOOMScoreAdj
	}
	score := burstable(requests, hostMemory)
	if isSidecar(&pod.Spec, name) {
		highest := int64(0)
		for i := range pod.Spec.Containers {
			highest = max(highest, burstable(pod.Spec.Containers[i].Resources.Requests, hostMemory))
		}
		score = min(score, highest)
	}
	return int(min(max(score, 1000+guaranteedOOMScoreAdj), bestEffortOOMScoreAdj-1))
}

func burstable(requests corev1.ResourceList, hostMemory int64) int64 {
	score, request := int64(bestEffortOOMScoreAdj), requests[corev1.ResourceMemory]
	if hostMemory > 0 {
		score -= 1000 * request.Value() / hostMemory
	}
	return score
}

func isSidecar(spec *corev1.PodSpec, name string) bool {
	return slices.ContainsFunc(spec.InitContainers, func(c corev1.Container) bool {
		return c.Name == name && c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
	})
}

// qosClass is upstream's ComputePodQOS (pkg/apis/core/v1/helper/qos/qos.go): Guaranteed if every container has limits
// for CPU and memory and no smaller requests, BestEffort if no container asks for either.
func qosClass(spec *corev1.PodSpec) corev1.PodQOSClass {
	guaranteed, anything := true, false
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
				request, limit := list[i].Resources.Requests[name], list[i].Resources.Limits[name]
				anything = anything || !request.IsZero() || !limit.IsZero()
				guaranteed = guaranteed && matches(request, limit)
			}
		}
	}
	switch {
	case !anything:
		return corev1.PodQOSBestEffort
	case guaranteed:
		return corev1.PodQOSGuaranteed
	}
	return corev1.PodQOSBurstable
}

// matches: a limit without a request is its own request.
func matches(request, limit resource.Quantity) bool {
	return !limit.IsZero() && (request.IsZero() || request.Cmp(limit) == 0)
}

// allowed is a score that the engine may set.
func (f facts) allowed(score int) int {
	if f.lowersOOM {
		return score
	}
	return max(score, 0)
}
