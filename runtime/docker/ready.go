package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

// What is to be done to volumes before a container may use them is done by the process in the sandbox, when it starts for
// the first time: see runtime/docker/sandbox. It then makes a file, by which it is known from here.

// readyFile is that file, readyFlag what asks for it. Sandboxes of earlier Podyards were not asked.
const (
	readyFile = "/.volumes-ready"
	readyFlag = "--ready=" + readyFile
)

// setUpFlags tell the process in the sandbox what to do to volumes. Those in memory have mode and group as mount options.
func setUpFlags(c runtime.SandboxConfig) []string {
	var out []string
	owned := false
	for _, v := range c.Volumes {
		at := insideSandbox(v.Name)
		if v.Kind == runtime.EmptyDir && !v.Memory {
			out = append(out, "--emptydir="+at)
		}
		if flag := ownFlag(c.Pod, v); flag != "" {
			owned = true
			out = append(out, flag+"="+at)
		}
	}
	if owned {
		out = append(out, "--fsgroup="+strconv.FormatInt(*fsGroup(c.Pod), 10))
		if policy := c.Pod.Spec.SecurityContext.FSGroupChangePolicy; policy != nil && *policy == corev1.FSGroupChangeOnRootMismatch {
			out = append(out, "--on-root-mismatch")
		}
	}
	if len(out) > 0 {
		out = append(out, readyFlag)
	}
	return out
}

// ownFlag tells how a volume is given to the pod's fsGroup, if it is. Upstream, each kind of volume decides: emptyDir and
// the kinds of files always (files are read-only), claims unless they are read-only, host paths and NFS never
// (SetVolumeOwnership is called by pkg/volume/emptydir, configmap, secret, projected, downwardapi, local and csi).
func ownFlag(pod *corev1.Pod, v runtime.Volume) string {
	switch {
	case fsGroup(pod) == nil || v.Memory:
		return ""
	case v.Kind == runtime.Files:
		return "--own-read"
	case v.Kind == runtime.EmptyDir, v.Kind == runtime.Persistent && v.HostPath == "" && !remote(v.Options) && !readOnlyClaim(pod, v.Name):
		return "--own"
	}
	return ""
}

// remote file systems have owners of their own.
func remote(options map[string]string) bool {
	switch options["type"] {
	case "nfs", "nfs4", "cifs", "smb3":
		return true
	}
	return false
}

func readOnlyClaim(pod *corev1.Pod, volume string) bool {
	for _, v := range pod.Spec.Volumes {
		if v.Name == volume {
			return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ReadOnly
		}
	}
	return false
}

// ready remembers sandboxes whose volumes are set up: they stay so.
type ready struct {
	mu  sync.Mutex
	ids map[string]bool
}

func (r *ready) has(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ids[id]
}

func (r *ready) note(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ids == nil {
		r.ids = map[string]bool{}
	}
	r.ids[id] = true
}

func (r *ready) forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.ids, id)
}

// longestSetUp is how long a call waits for volumes to be set up. The next one waits on.
const longestSetUp = 2 * time.Minute

// awaitVolumes waits until the process in the sandbox has set up the volumes, so that no container starts before. Looking
// is cheap (1 ms), and as a rule once is enough.
func (e *Engine) awaitVolumes(ctx context.Context, sandbox *entry) error {
	if !sandbox.setsUp || e.ready.has(sandbox.id) {
		return nil
	}
	begin := time.Now()
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		_, err := e.cli.ContainerStatPath(ctx, sandbox.id, readyFile)
		if err == nil {
			e.ready.note(sandbox.id)
			return nil
		}
		if !cerrdefs.IsNotFound(err) {
			return fmt.Errorf("set up the volumes: %w", err)
		}
		if time.Since(begin) > longestSetUp {
			return errors.New("set up the volumes: they are still being given to the fsGroup; " +
				"with fsGroupChangePolicy OnRootMismatch that is done only once for each volume")
		}
		if wait > 50*time.Millisecond {
			if err := e.checkSetUp(ctx, sandbox); err != nil {
				return fmt.Errorf("set up the volumes: %w", err)
			}
		}
		sleep(ctx, wait)
	}
}

// checkSetUp fails if the process in the sandbox has given up. The engine starts it again and again.
func (e *Engine) checkSetUp(ctx context.Context, sandbox *entry) error {
	found, err := e.cli.ContainerInspect(ctx, sandbox.id)
	if err != nil {
		return err
	}
	if found.State.Running && found.RestartCount == 0 {
		return nil
	}
	words, err := e.lastWords(ctx, sandbox.id)
	if err != nil {
		return err
	}
	return fmt.Errorf("the sandbox gave up: %s", words)
}

// lastWords is the last line that a container wrote to its standard error.
func (e *Engine) lastWords(ctx context.Context, id string) (string, error) {
	stream, err := e.cli.ContainerLogs(ctx, id, container.LogsOptions{ShowStderr: true, Tail: "1"})
	if err != nil {
		return "", err
	}
	defer stream.Close()
	var out strings.Builder
	if err := split(stream, false, io.Discard, &out); err != nil {
		return "", err
	}
	return strings.TrimSpace(out.String()), nil
}
