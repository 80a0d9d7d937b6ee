package reconcile

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

// volume is one volume of a pod, as the runtime wants it.
func (o origin) volume(pod *corev1.Pod, v *corev1.Volume) (out runtime.Volume, err error) {
	switch {
	case v.EmptyDir != nil:
		out = o.emptyDir(pod, v.EmptyDir)
	case v.Ephemeral != nil:
		out.Kind = runtime.EmptyDir // a claim of the pod's own, made for it and removed with it
	case v.HostPath != nil:
		out.Kind, out.HostPath = runtime.HostPath, v.HostPath.Path
		if v.HostPath.Type != nil {
			out.HostPathType = *v.HostPath.Type
		}
	case v.NFS != nil:
		out.Kind, out.Options = runtime.NFS, nfsOptions(v.NFS)
	case v.PersistentVolumeClaim != nil:
		out, err = plan.ClaimVolume(o.set, o.state, pod.Namespace, v.PersistentVolumeClaim.ClaimName)
	case isFiles(v):
		var p *projection
		if p, err = o.projected(pod, v); err == nil {
			out.Kind, out.Memory, out.Files = runtime.Files, p.secret, p.list()
		}
	default:
		err = fmt.Errorf("this kind of volume is not supported")
	}
	out.Name = v.Name
	if err != nil {
		return out, fmt.Errorf("volume %s of pod %s/%s: %w", v.Name, pod.Namespace, pod.Name, err)
	}
	return out, nil
}

// emptyDir in memory is no larger than what the pod, or the host, has. Upstream: calculateEmptyDirMemorySize
// (pkg/volume/emptydir/empty_dir.go).
func (o origin) emptyDir(pod *corev1.Pod, source *corev1.EmptyDirVolumeSource) runtime.Volume {
	out := runtime.Volume{Kind: runtime.EmptyDir, Memory: source.Medium == corev1.StorageMediumMemory}
	if source.SizeLimit != nil {
		out.SizeLimit = source.SizeLimit.Value()
	}
	if out.Memory {
		host := o.state.Capacity[corev1.ResourceMemory]
		out.SizeLimit = least(out.SizeLimit, memoryLimit(pod), host.Value())
	}
	return out
}

// memoryLimit of a pod is that of its containers together; 0 if one of them has none. Init containers end before the others
// begin, but for sidecars. Upstream: ResourceConfigForPod (pkg/kubelet/cm/helpers_linux.go).
func memoryLimit(pod *corev1.Pod) int64 {
	if r := pod.Spec.Resources; r != nil && !r.Limits.Memory().IsZero() {
		return r.Limits.Memory().Value()
	}
	var running, most int64
	for i, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		limit := c.Resources.Limits.Memory().Value()
		if limit == 0 {
			return 0
		}
		most = max(most, running+limit)
		if i >= len(pod.Spec.InitContainers) || isSidecar(&c) {
			running += limit
		}
	}
	return most
}

// least is the smallest of the numbers that are set; 0 if none is.
func least(numbers ...int64) (out int64) {
	for _, n := range numbers {
		if n > 0 && (out == 0 || n < out) {
			out = n
		}
	}
	return out
}

// nfsOptions are those of Docker's local driver.
func nfsOptions(source *corev1.NFSVolumeSource) map[string]string {
	return map[string]string{"type": "nfs", "o": "addr=" + source.Server, "device": ":" + source.Path}
}

// isFiles tells the volumes whose content Podyard writes.
func isFiles(v *corev1.Volume) bool {
	return v.ConfigMap != nil || v.Secret != nil || v.DownwardAPI != nil || v.Projected != nil
}

// readOnly: the volume itself says that nobody writes to it.
func readOnly(v *corev1.Volume) bool {
	return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ReadOnly || v.NFS != nil && v.NFS.ReadOnly
}

func findVolume(pod *corev1.Pod, name string) *corev1.Volume {
	for i := range pod.Spec.Volumes {
		if pod.Spec.Volumes[i].Name == name {
			return &pod.Spec.Volumes[i]
		}
	}
	return nil
}
