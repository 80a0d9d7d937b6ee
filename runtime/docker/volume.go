package docker

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/volume"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

// insideSandbox is where a volume is mounted in the sandbox: there it is filled, made writable and, if it is in memory,
// kept alive while containers come and go.
func insideSandbox(name string) string { return "/volumes/" + name }

// engineName is a volume's name on the engine; empty for what is no volume there.
func (n names) engineName(uid string, v runtime.Volume) string {
	switch v.Kind {
	case runtime.EmptyDir, runtime.Files:
		return n.volume(uid, v.Name)
	case runtime.Persistent:
		return v.Claim
	}
	return ""
}

// mountOf mounts a volume of a pod, and makes it if it is missing: that saves a call for each volume.
func (n names) mountOf(pod *corev1.Pod, v runtime.Volume, target string) mount.Mount {
	labels := n.labels(roleVolume)
	if v.Kind == runtime.Persistent {
		labels[labelPersistent] = "true"
	} else {
		labels = n.podLabels(roleVolume, pod)
	}
	return mount.Mount{
		Type: mount.TypeVolume, Source: n.engineName(string(pod.UID), v), Target: target,
		VolumeOptions: &mount.VolumeOptions{NoCopy: true, Labels: labels, DriverConfig: driverOf(v)},
	}
}

// driverOf is the local driver on disk, or on tmpfs. An emptyDir is for every user, as with the kubelet.
func driverOf(v runtime.Volume) *mount.Driver {
	driver := &mount.Driver{Name: "local"}
	if !v.Memory {
		return driver
	}
	options := "mode=0755"
	if v.Kind == runtime.EmptyDir {
		options = "mode=0777"
	}
	if v.SizeLimit > 0 {
		options += ",size=" + strconv.FormatInt(v.SizeLimit, 10)
	}
	driver.Options = map[string]string{"type": "tmpfs", "device": "tmpfs", "o": options}
	return driver
}

// sandboxMounts are all volumes of a pod that the engine keeps. HostPath needs no help of the sandbox.
func (n names) sandboxMounts(config runtime.SandboxConfig) []mount.Mount {
	var out []mount.Mount
	for _, v := range config.Volumes {
		if v.Kind != runtime.HostPath {
			out = append(out, n.mountOf(config.Pod, v, insideSandbox(v.Name)))
		}
	}
	return out
}

// mounts is what a container mounts: volumes, host paths as Docker's binds, and the parts of volumes that have to exist
// before it starts, as paths in the sandbox.
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
			return mounts{}, err
		}
	}
	return out, nil
}

// add mounts one volume. Files are read-only, as the kubelet mounts them.
func (out *mounts) add(n names, pod *corev1.Pod, v sandboxVolume, m runtime.Mount, f facts) error {
	readOnly := m.ReadOnly || v.Kind == runtime.Files
	if v.Kind == runtime.HostPath {
		return out.bind(path.Join(v.HostPath, m.SubPath), m.Path, readOnly)
	}
	if m.SubPath != "" {
		out.subPaths = append(out.subPaths, path.Join(insideSandbox(v.Name), m.SubPath))
	}
	if m.SubPath != "" && !f.subpath {
		if v.Source == "" {
			return fmt.Errorf("subPath of volume %s needs Docker 26: its driver does not say where it is: %w", v.Name, runtime.ErrInvalid)
		}
		return out.bind(path.Join(v.Source, m.SubPath), m.Path, readOnly)
	}
	whole := n.mountOf(pod, v.Volume, m.Path)
	whole.ReadOnly, whole.VolumeOptions.Subpath = readOnly, m.SubPath
	out.volumes = append(out.volumes, whole)
	return nil
}

// bind mounts a path of the engine's host. Docker makes it if it is missing, as it did for the kubelet's dockershim.
func (out *mounts) bind(source, target string, readOnly bool) error {
	if strings.Contains(source+target, ":") {
		return fmt.Errorf("mount of %s on %s: the engine allows no colon: %w", source, target, runtime.ErrInvalid)
	}
	bind := source + ":" + target
	if readOnly {
		bind += ":ro"
	}
	out.binds = append(out.binds, bind)
	return nil
}

// checkVolumes refuses persistent volumes that exist and are not ours.
func (e *Engine) checkVolumes(ctx context.Context, volumes []runtime.Volume) error {
	for _, v := range volumes {
		if v.Kind != runtime.Persistent {
			continue
		}
		found, err := e.cli.VolumeInspect(ctx, v.Claim)
		if cerrdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return wrap("inspect", "volume "+v.Claim, err)
		}
		if found.Labels[labelInstance] != e.options.Instance {
			return fmt.Errorf("volume %s exists and is not of this Podyard instance: %w", v.Claim, runtime.ErrInvalid)
		}
	}
	return nil
}

// removePodVolumes removes what carries the UID of a pod and is not persistent.
func (e *Engine) removePodVolumes(ctx context.Context, uid string) error {
	args := e.ours()
	args.Add("label", labelPodUID+"="+uid)
	found, err := e.volumes(ctx, args)
	if err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	for _, v := range found {
		group.Go(func() error { return e.removeVolume(groupCtx, v.Name) })
	}
	return group.Wait()
}

// volumes lists by label, sorted by name.
func (e *Engine) volumes(ctx context.Context, args filters.Args) ([]*volume.Volume, error) {
	list, err := e.cli.VolumeList(ctx, volume.ListOptions{Filters: args})
	if err != nil {
		return nil, wrap("list", "volumes", err)
	}
	slices.SortFunc(list.Volumes, func(a, b *volume.Volume) int { return cmp.Compare(a.Name, b.Name) })
	return list.Volumes, nil
}

func (e *Engine) removeVolume(ctx context.Context, name string) error {
	err := e.cli.VolumeRemove(ctx, name, false)
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	return wrap("remove", "volume "+name, err)
}
