package docker

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

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
	case runtime.EmptyDir, runtime.Files, runtime.NFS:
		return n.volume(uid, v.Name)
	case runtime.Persistent:
		return v.Claim
	}
	return ""
}

// mountOf mounts a volume of a pod. The engine makes it if it is missing: that saves a call for each volume.
func (n names) mountOf(pod *corev1.Pod, v runtime.Volume, target string) mount.Mount {
	options := &mount.VolumeOptions{NoCopy: true}
	switch {
	case v.Kind == runtime.Persistent && v.Adopted: // it exists, and is left as it is
	case v.Kind == runtime.Persistent:
		options.Labels, options.DriverConfig = n.claimLabels(v), &mount.Driver{Name: "local", Options: v.Options}
	default:
		options.Labels, options.DriverConfig = n.podLabels(roleVolume, pod), driverOf(pod, v)
	}
	return mount.Mount{Type: mount.TypeVolume, Source: n.engineName(string(pod.UID), v), Target: target, VolumeOptions: options}
}

// driverOf is the local driver: on disk, on tmpfs, or with what a mount of a network file system needs.
func driverOf(pod *corev1.Pod, v runtime.Volume) *mount.Driver {
	driver := &mount.Driver{Name: "local", Options: v.Options}
	if !v.Memory {
		return driver
	}
	// 1777 is the kernel's own mode of a tmpfs, which the kubelet leaves.
	mode, options := 0o1777, ""
	if v.Kind == runtime.Files {
		mode = 0o755
	} else if v.SizeLimit > 0 {
		options = ",size=" + strconv.FormatInt(v.SizeLimit, 10)
	}
	if group := fsGroup(pod); group != nil {
		mode |= 0o2000
		options += ",gid=" + strconv.FormatInt(*group, 10)
	}
	driver.Options = map[string]string{"type": "tmpfs", "device": "tmpfs", "o": fmt.Sprintf("mode=%04o%s", mode, options)}
	return driver
}

// sandboxMounts are the volumes of a pod that its sandbox sets up, fills, or keeps mounted; binds the host paths of which
// containers mount a part, which has to be made and looked at.
func (n names) sandboxMounts(config runtime.SandboxConfig) (volumes []mount.Mount, binds []string) {
	for _, v := range config.Volumes {
		switch {
		case v.Kind != runtime.HostPath:
			volumes = append(volumes, n.mountOf(config.Pod, v, insideSandbox(v.Name)))
		case partMounted(config.Pod, v.Name):
			binds = append(binds, v.HostPath+":"+insideSandbox(v.Name))
		}
	}
	return volumes, binds
}

func partMounted(pod *corev1.Pod, volume string) bool {
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		for _, m := range c.VolumeMounts {
			if m.Name == volume && (m.SubPath != "" || m.SubPathExpr != "") {
				return true
			}
		}
	}
	return false
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
	if err != nil && !cerrdefs.IsNotFound(err) {
		return wrap("remove", "volume "+name, err)
	}
	e.noteClaim(name, e.claims.ticket(), nil)
	return nil
}
