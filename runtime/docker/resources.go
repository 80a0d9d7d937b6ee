package docker

import (
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
// the limit if there is no request; a quota from the limit; and no swap beyond the memory limit.
func resourcesOf(r corev1.ResourceRequirements) container.Resources {
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
	return out
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

// oomScoreAdj is upstream's GetContainerOOMScoreAdjust. Worked example: Burstable, request 1 GiB of a 4 GiB host:
// 1000 − 1000/4 = 750.
func oomScoreAdj(pod *corev1.Pod, requests corev1.ResourceList, hostMemory int64) int {
	switch qosClass(&pod.Spec) {
	case corev1.PodQOSGuaranteed:
		return guaranteedOOMScoreAdj
	case corev1.PodQOSBestEffort:
		return bestEffortOOMScoreAdj
	}
	request := requests[corev1.ResourceMemory]
	score := int64(bestEffortOOMScoreAdj)
	if hostMemory > 0 {
		score -= 1000 * request.Value() / hostMemory
	}
	return int(min(max(score, 1000+guaranteedOOMScoreAdj), bestEffortOOMScoreAdj-1))
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
