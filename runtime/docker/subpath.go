package docker

import (
	"archive/tar"
	"context"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/podyard/podyard/runtime"
)

// makeSubPaths makes the directories that a container mounts as parts of volumes, where they are missing, with the mode
// of the volume (upstream: makeMounts in pkg/kubelet/kubelet_pods.go). It is done when the sandbox runs and
// just before the container starts: volumes in memory exist only by then, and engines before 26 are given a path on
// their host, in which a symbolic link that a container left would lead out of the volume.
func (e *Engine) makeSubPaths(ctx context.Context, sandbox *entry, paths []string) error {
	for _, full := range paths {
		name, rest, _ := strings.Cut(strings.TrimPrefix(full, insideSandbox("")), "/")
		v := sandbox.volumes[name]
		if err := e.makeSubPath(ctx, sandbox.id, v, insideSandbox(name), rest); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) makeSubPath(ctx context.Context, sandboxID string, v sandboxVolume, at, rest string) error {
	volume, err := e.cli.ContainerStatPath(ctx, sandboxID, at)
	if err != nil {
		return wrap("look at", "volume "+v.Name, err)
	}
	for part := range strings.SplitSeq(path.Clean(rest), "/") {
		child, err := e.cli.ContainerStatPath(ctx, sandboxID, path.Join(at, part))
		switch {
		case cerrdefs.IsNotFound(err):
			err = e.makeDir(ctx, sandboxID, at, part, volume.Mode.Perm())
		case err == nil && child.Mode&fs.ModeSymlink != 0 && v.Kind == runtime.Files:
			return nil // ours: the link to the current file
		case err == nil && child.Mode&fs.ModeSymlink != 0 && v.Kind == runtime.HostPath:
			err = fmt.Errorf("%s is a symbolic link, which may lead out of the host path: name where it leads", part)
		case err == nil && child.Mode&fs.ModeSymlink != 0 && !e.facts.subpath:
			err = fmt.Errorf("%s is a symbolic link, which needs Docker 26", part)
		}
		if err != nil {
			return wrap("make", "subPath "+rest+" of volume "+v.Name, err)
		}
		at = path.Join(at, part)
	}
	return nil
}

func (e *Engine) makeDir(ctx context.Context, sandboxID, at, name string, perm fs.FileMode) error {
	header := &tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: int64(perm), ModTime: time.Now()}
	content, err := archive([]entryFile{{header: header}})
	if err != nil {
		return err
	}
	return e.cli.CopyToContainer(ctx, sandboxID, at, content, container.CopyToContainerOptions{})
}
