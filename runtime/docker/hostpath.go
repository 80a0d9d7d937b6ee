package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

// A host path's type is looked up where the engine runs, with the engine's eyes: in a container that mounts the path and is
// never started. The engine makes a missing directory by itself; for a missing file the container is started, since only a
// program can make one without any danger to one that appears meanwhile.

// hostPath is one path with what it has to be.
type hostPath struct {
	volume, path string
	kind         corev1.HostPathType
}

// hostPathsOf are the host paths of a pod that have a type: its own, and those behind persistent volumes. Of the latter
// those without a type come when the volume is new: the engine makes a directory to mount, but none behind a volume.
func (e *Engine) hostPathsOf(volumes []runtime.Volume) []hostPath {
	var out []hostPath
	for _, v := range volumes {
		typed := v.HostPathType != corev1.HostPathUnset
		if v.Kind == runtime.HostPath && typed || v.Kind == runtime.Persistent && v.HostPath != "" && (typed || !e.claims.has(v.Claim)) {
			out = append(out, hostPath{v.Name, v.HostPath, v.HostPathType})
		}
	}
	return out
}

// checkHostPaths is upstream's checkType (pkg/volume/hostpath/host_path.go) for every host path of a pod that has a type.
func (e *Engine) checkHostPaths(ctx context.Context, config runtime.SandboxConfig) error {
	for i, p := range e.hostPathsOf(config.Volumes) {
		spec, err := e.names.hostPathSpec(config.Pod, i, p, e.ensured(), e.facts)
		if err == nil {
			err = e.checkHostPath(ctx, spec, p)
		}
		if err != nil {
			return fmt.Errorf("volume %s: %w", p.volume, err)
		}
	}
	return nil
}

func (e *Engine) checkHostPath(ctx context.Context, s spec, p hostPath) error {
	mode, err := e.statHostPath(ctx, s, p)
	switch missing := errors.Is(err, fs.ErrNotExist); {
	case missing && p.kind == corev1.HostPathFileOrCreate:
		return e.makeHostFile(ctx, s, p)
	case err != nil && !missing:
		return err
	case missing, !p.fits(mode):
		return fmt.Errorf("hostPath type check failed: %s is not a %s", p.path, p.words())
	}
	return nil
}

func (p hostPath) fits(mode fs.FileMode) bool {
	switch p.kind {
	case corev1.HostPathUnset:
		return true
	case corev1.HostPathDirectory, corev1.HostPathDirectoryOrCreate:
		return mode.IsDir()
	case corev1.HostPathFile, corev1.HostPathFileOrCreate:
		return mode.IsRegular()
	case corev1.HostPathSocket:
		return mode.Type() == fs.ModeSocket
	case corev1.HostPathCharDev:
		return mode.Type() == fs.ModeDevice|fs.ModeCharDevice
	case corev1.HostPathBlockDev:
		return mode.Type() == fs.ModeDevice
	}
	return false
}

// words are upstream's.
func (p hostPath) words() string {
	switch p.kind {
	case corev1.HostPathDirectory, corev1.HostPathDirectoryOrCreate:
		return "directory"
	case corev1.HostPathFile, corev1.HostPathFileOrCreate:
		return "file"
	case corev1.HostPathSocket:
		return "socket file"
	case corev1.HostPathCharDev:
		return "character device"
	case corev1.HostPathBlockDev:
		return "block device"
	}
	return strconv.Quote(string(p.kind))
}

// hostPathTarget is where the container has the path.
const hostPathTarget = "/host/path"

// hostPathSpec is the container that mounts a path.
func (n names) hostPathSpec(pod *corev1.Pod, i int, p hostPath, s shared, f facts) (spec, error) {
	out := spec{
		name:   n.volume(string(pod.UID), "hostpath-"+strconv.Itoa(i)),
		config: &container.Config{Image: s.infra, Labels: n.podLabels(roleCheck, pod)},
		host:   &container.HostConfig{NetworkMode: "none", LogConfig: smallLog("100k")},
	}
	var m mounts
	err := m.bind(p.path, made(p.kind), runtime.Mount{Path: hostPathTarget}, f)
	out.host.Mounts, out.host.Binds = m.volumes, m.binds
	return out, err
}

// noSource is what the engine says of a mount whose source is missing (volume/mounts in moby).
const noSource = "bind source path does not exist"

// statHostPath mounts the path and looks at it. The error is fs.ErrNotExist if it is missing.
func (e *Engine) statHostPath(ctx context.Context, s spec, p hostPath) (mode fs.FileMode, err error) {
	id, err := e.create(ctx, s)
	if err != nil && strings.Contains(err.Error(), noSource) {
		return 0, fs.ErrNotExist
	}
	if err != nil {
		return 0, wrap("look at", "host path "+p.path, err)
	}
	defer func() { err = errors.Join(err, e.remove(context.WithoutCancel(ctx), id)) }()
	found, err := e.cli.ContainerStatPath(ctx, id, hostPathTarget)
	return found.Mode, wrap("look at", "host path "+p.path, err)
}

// makeHostFile makes an empty file in a directory that is there.
func (e *Engine) makeHostFile(ctx context.Context, s spec, p hostPath) error {
	dir, name := path.Split(path.Clean(p.path))
	s.host.Mounts = []mount.Mount{{Type: mount.TypeBind, Source: dir, Target: hostPathTarget}}
	s.config.Cmd = []string{"volume-touch", path.Join(hostPathTarget, name)}
	id, err := e.create(ctx, s)
	if err != nil {
		return wrap("make", "host path "+p.path, err)
	}
	defer func() { _ = e.remove(context.WithoutCancel(ctx), id) }()
	if err := e.cli.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		return wrap("make", "host path "+p.path, err)
	}
	if err := e.waitFor(ctx, id, container.WaitConditionNotRunning); err != nil {
		return wrap("make", "host path "+p.path, err)
	}
	ended, err := e.cli.ContainerInspect(ctx, id)
	if err == nil && ended.State.ExitCode != 0 {
		words, _ := e.lastWords(ctx, id)
		err = errors.New(words)
	}
	return wrap("make", "host path "+p.path, err)
}

// removeChecks removes what an earlier daemon that was killed meanwhile has left.
func (e *Engine) removeChecks(ctx context.Context) error {
	for _, en := range e.cache.all() {
		if en.role != roleCheck {
			continue
		}
		if err := e.remove(ctx, en.id); err != nil {
			return wrap("remove", "container "+en.name, err)
		}
	}
	return nil
}

// failedMount finds what the engine's local driver could not mount, in "… failed to mount local volume: mount
// /srv/data:/var/lib/docker/volumes/…/_data, flags: 0x1000: no such file or directory".
var failedMount = regexp.MustCompile(`failed to mount local volume: mount (.*):/\S+/_data(?:, flags: \w+)?(?:, data: .*)?: ([^:]*)$`)

// explainMount says which volume of a sandbox could not be mounted and what to do. The options of the mount are left out,
// where a password may be.
func explainMount(sandbox *entry, err error) error {
	if err == nil {
		return nil
	}
	found := failedMount.FindStringSubmatch(strings.TrimSpace(err.Error()))
	if found == nil {
		return err
	}
	device, reason := found[1], found[2]
	for name, v := range sandbox.volumes {
		if v.Options["device"] == device {
			return fmt.Errorf("volume %s: %s", name, mountFailure(v.Options, reason))
		}
	}
	return fmt.Errorf("mount %s: %s", device, reason)
}

func mountFailure(options map[string]string, reason string) string {
	device := options["device"]
	switch {
	case !remote(options) && reason == "no such file or directory":
		return fmt.Sprintf("path %q does not exist on the engine's host", device)
	case remote(options) && reason == "no such device":
		return fmt.Sprintf("mount %s of type %s: the kernel of the engine's host does not know this file system", device, options["type"])
	}
	return fmt.Sprintf("mount %s: %s", device, reason)
}
