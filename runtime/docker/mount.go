package docker

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/docker/docker/api/types/mount"
	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

// mounts is what a container mounts: volumes and host paths, host paths as Docker's older binds, and the parts of volumes
// that have to exist before it starts, as paths in the sandbox.
type mounts struct {
	volumes  []mount.Mount
	binds    []string
	subPaths []string
}

// mountsOf finds the volumes that a container mounts among those of its sandbox.
func (n names) mountsOf(sandbox *entry, list []runtime.Mount, f facts) (mounts, error) {
	var out mounts
	for _, m := range list {
		v, ok := sandbox.volumes[m.Volume]
		switch {
		case !ok:
			return mounts{}, fmt.Errorf("mount of volume %s, which the pod has not: %w", m.Volume, runtime.ErrInvalid)
		case m.SubPath != "" && !filepath.IsLocal(m.SubPath):
			return mounts{}, fmt.Errorf("subPath %q of volume %s leaves it: %w", m.SubPath, m.Volume, runtime.ErrInvalid)
		}
		if err := out.add(n, sandbox.pod.Manifest, v, m, f); err != nil {
			return mounts{}, fmt.Errorf("mount of volume %s: %w", m.Volume, err)
		}
	}
	return out, nil
}

// add mounts one volume. Files are read-only, as the kubelet mounts them.
func (out *mounts) add(n names, pod *corev1.Pod, v sandboxVolume, m runtime.Mount, f facts) error {
	m.ReadOnly = m.ReadOnly || v.Kind == runtime.Files
	forced := m.ReadOnly && m.Recursive == corev1.RecursiveReadOnlyEnabled
	if forced && !f.bindOptions {
		return fmt.Errorf("recursiveReadOnly needs Docker 25: %w", runtime.ErrInvalid)
	}
	if m.SubPath != "" {
		out.subPaths = append(out.subPaths, path.Join(insideSandbox(v.Name), m.SubPath))
	}
	if v.Kind == runtime.HostPath {
		if m.SubPath != "" && v.Source == "" {
			return fmt.Errorf("the sandbox does not mount it to look at subPath %s: %w", m.SubPath, runtime.ErrInvalid)
		}
		return out.bind(path.Join(v.HostPath, m.SubPath), m.SubPath != "" || made(v.HostPathType), m, f)
	}
	// The engine lets a mount of a volume say nothing of what is mounted below it; one of a path may.
	below := forced || propagates(m)
	switch {
	case m.SubPath != "" && f.subpath && below:
		return fmt.Errorf("subPath goes neither with mountPropagation nor with recursiveReadOnly here: %w", runtime.ErrInvalid)
	case m.SubPath != "" && !f.subpath, below:
		if v.Source == "" {
			return fmt.Errorf("the driver of the volume does not say where it is: %w", runtime.ErrInvalid)
		}
		return out.bind(path.Join(v.Source, m.SubPath), m.SubPath != "", m, f)
	}
	whole := n.mountOf(pod, v.Volume, m.Path)
	whole.ReadOnly, whole.VolumeOptions.Subpath = m.ReadOnly, m.SubPath
	out.volumes = append(out.volumes, whole)
	return nil
}

// made tells whether the engine is to make a host path that is missing, as a directory. What was checked when the pod was
// made and has gone since is an error.
func made(kind corev1.HostPathType) bool {
	return kind == corev1.HostPathUnset || kind == corev1.HostPathDirectoryOrCreate
}

func propagates(m runtime.Mount) bool {
	return m.Propagation != "" && m.Propagation != corev1.MountPropagationNone
}

// propagation in the words of mount(8). None is left to the engine: it takes rprivate, but rslave below its own directory.
func propagation(m runtime.Mount) mount.Propagation {
	switch m.Propagation {
	case corev1.MountPropagationHostToContainer:
		return mount.PropagationRSlave
	case corev1.MountPropagationBidirectional:
		return mount.PropagationRShared
	}
	return ""
}

// bind mounts a path of the engine's host. With create, it need not be there before the container starts.
func (out *mounts) bind(source string, create bool, m runtime.Mount, f facts) error {
	if create && !f.bindOptions {
		return out.oldBind(source, m)
	}
	options := &mount.BindOptions{Propagation: propagation(m), CreateMountpoint: create}
	if m.ReadOnly && f.bindOptions {
		// Docker's default is Kubernetes' IfPossible; without the field, Kubernetes' is Disabled.
		options.ReadOnlyForceRecursive = m.Recursive == corev1.RecursiveReadOnlyEnabled
		options.ReadOnlyNonRecursive = m.Recursive == "" || m.Recursive == corev1.RecursiveReadOnlyDisabled
	}
	out.volumes = append(out.volumes, mount.Mount{
		Type: mount.TypeBind, Source: source, Target: m.Path, ReadOnly: m.ReadOnly, BindOptions: options,
	})
	return nil
}

// oldBind is the only kind of mount for which engines before 25 make a missing directory.
func (out *mounts) oldBind(source string, m runtime.Mount) error {
	if strings.Contains(source+m.Path, ":") {
		return fmt.Errorf("%s on %s: a colon needs Docker 25: %w", source, m.Path, runtime.ErrInvalid)
	}
	var options []string
	if m.ReadOnly {
		options = append(options, "ro")
	}
	if p := propagation(m); p != "" {
		options = append(options, string(p))
	}
	bind := source + ":" + m.Path
	if len(options) > 0 {
		bind += ":" + strings.Join(options, ",")
	}
	out.binds = append(out.binds, bind)
	return nil
}
