package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/pkg/stdcopy"
	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

// A termination message is written to a file that outlives its container, although the default path is on the
// container's own /dev. So each sandbox has an anonymous volume, which comes and goes with it, and each container mounts
// one file of that volume. The process in the sandbox makes the files of first attempts when it starts, which costs one
// look before the container starts; the few others are put there through the archive API.

// Bounds of upstream (pkg/kubelet/container/runtime.go, MaxContainerTerminationMessage…).
const (
	maxTerminationMessage = 4096
	maxLogMessage         = 2048
	maxLogLines           = 80
	// longestMessageFile is the largest file of which the end is looked for: the engine sends all of it.
	longestMessageFile = 16 << 20
)

// messagesAt is where the volume of messages is in the sandbox.
const messagesAt = "/messages"

func insideMessages(file string) string { return path.Join(messagesAt, file) }

// messagesVolume is the volume as the engine has it: its name, and its place on the engine's host.
type messagesVolume struct{ name, source string }

// messagePlace is where a container leaves its message: the file's name in the volume, empty for none, and whether the
// log stands in for it.
type messagePlace struct {
	file     string
	fallback bool
}

func (n names) messagesMount(pod *corev1.Pod) mount.Mount {
	return mount.Mount{
		Type: mount.TypeVolume, Target: messagesAt,
		VolumeOptions: &mount.VolumeOptions{NoCopy: true, Labels: n.podLabels(roleVolume, pod)},
	}
}

func decodeMessages(c container.InspectResponse) messagesVolume {
	for _, m := range c.Mounts {
		if m.Destination == messagesAt {
			return messagesVolume{name: m.Name, source: m.Source}
		}
	}
	return messagesVolume{}
}

// firstMessages are the files that the sandbox makes.
func firstMessages(spec *corev1.PodSpec) []string {
	var out []string
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			if list[i].TerminationMessagePath != "" {
				out = append(out, messageName(list[i].Name, 0))
			}
		}
	}
	return out
}

func messageName(containerName string, n int) string { return fmt.Sprintf("%s.%d", containerName, n) }

// messageFile picks the first file that no other attempt of the container uses, so that there are no more files than
// attempts that are kept. It is empty where there is nothing to mount.
func (e *Engine) messageFile(sandbox *entry, c runtime.ContainerConfig) string {
	mounted := func(m runtime.Mount) bool { return path.Clean(m.Path) == path.Clean(c.TerminationMessagePath) }
	if c.TerminationMessagePath == "" || sandbox.messages.source == "" || slices.ContainsFunc(c.Mounts, mounted) {
		return ""
	}
	used := map[string]bool{}
	for _, other := range e.cache.inSandbox(sandbox.id) {
		if other.container.Name == c.Name && other.container.Attempt != c.Attempt {
			used[other.message.file] = true
		}
	}
	n := 0
	for used[messageName(c.Name, n)] {
		n++
	}
	return messageName(c.Name, n)
}

// addMessage mounts the file: as a part of the volume, or before engine 26 as a path on the engine's host.
func (out *mounts) addMessage(sandbox *entry, target, file string, f facts) error {
	if file == "" {
		return nil
	}
	target = path.Join("/", target)
	if !f.subpath {
		return out.bind(path.Join(sandbox.messages.source, file), true, runtime.Mount{Path: target}, f)
	}
	out.volumes = append(out.volumes, mount.Mount{
		Type: mount.TypeVolume, Source: sandbox.messages.name, Target: target,
		VolumeOptions: &mount.VolumeOptions{NoCopy: true, Subpath: file},
	})
	return nil
}

// longestMaking is how long a sandbox may take to make its files. It takes some milliseconds.
const longestMaking = 10 * time.Second

// awaitMessage returns when the file for a message is there, and empty.
func (e *Engine) awaitMessage(ctx context.Context, sandbox *entry, file string) error {
	if file == "" {
		return nil
	}
	making := slices.Contains(firstMessages(&sandbox.pod.Manifest.Spec), file)
	deadline := time.Now().Add(longestMaking)
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		found, err := e.cli.ContainerStatPath(ctx, sandbox.id, insideMessages(file))
		missing := cerrdefs.IsNotFound(err)
		switch {
		case err == nil && found.Size == 0:
			return nil
		case err != nil && !missing:
			return fmt.Errorf("look for the file of the termination message: %w", err)
		case err == nil, !making, time.Now().After(deadline):
			return e.makeMessage(ctx, sandbox.id, file)
		}
		sleep(ctx, wait)
	}
}

// makeMessage puts an empty file there, in place of one that an earlier attempt wrote.
func (e *Engine) makeMessage(ctx context.Context, sandboxID, file string) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: file, Mode: 0o666, ModTime: time.Now()}
	if err := e.put(ctx, sandboxID, messagesAt, []entryFile{{header: header}}); err != nil {
		return fmt.Errorf("make the file of the termination message: %w", err)
	}
	return nil
}

// readMessage completes what was found of a container that has exited, once: what an earlier look has read is taken from
// there.
func (e *Engine) readMessage(ctx context.Context, now, old *entry) error {
	c := now.container
	if c == nil || c.State != runtime.Exited || now.message == (messagePlace{}) {
		return nil
	}
	if old != nil && old.container.State == runtime.Exited && old.container.FinishedAt.Equal(c.FinishedAt) {
		c.Message = old.container.Message
		return nil
	}
	message, err := e.messageIn(ctx, now)
	if err == nil && message == "" && now.message.fallback && c.ExitCode != 0 {
		message, err = e.logMessage(ctx, now)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil { // upstream's words; one file that cannot be read must not keep us from seeing the rest
		message = fmt.Sprintf("Error on reading termination log: %v", wrap("read", "the message of "+now.object(), err))
	}
	c.Message = message
	return nil
}

// messageIn is upstream's getTerminationMessage (pkg/kubelet/kuberuntime/kuberuntime_container.go): the end of the file,
// as it is in the sandbox.
func (e *Engine) messageIn(ctx context.Context, c *entry) (string, error) {
	if c.message.file == "" {
		return "", nil
	}
	at := insideMessages(c.message.file)
	found, err := e.cli.ContainerStatPath(ctx, c.sandbox, at)
	switch {
	case cerrdefs.IsNotFound(err): // the sandbox is gone, or the file was never made
		return "", nil
	case err != nil:
		return "", err
	case found.Size == 0:
		return "", nil
	case found.Size > longestMessageFile:
		return fmt.Sprintf("Error on reading termination log: %d bytes are too many", found.Size), nil
	}
	text, err := e.readEnd(ctx, c.sandbox, at)
	if cerrdefs.IsNotFound(err) {
		return "", nil
	}
	return text, err
}

// readEnd is the end of a file in a container.
func (e *Engine) readEnd(ctx context.Context, id, at string) (string, error) {
	stream, _, err := e.cli.CopyFromContainer(ctx, id, at)
	if err != nil {
		return "", err
	}
	defer stream.Close()
	content := tar.NewReader(stream)
	if _, err := content.Next(); err != nil {
		return "", err
	}
	end := &ending{limit: maxTerminationMessage}
	_, err = io.Copy(end, content)
	return end.String(), err
}

// logMessage is upstream's readLastStringFromContainerLogs: the end of what the container printed, to both outputs.
func (e *Engine) logMessage(ctx context.Context, c *entry) (string, error) {
	stream, err := e.cli.ContainerLogs(ctx, c.id, logOptions(runtime.LogOptions{Tail: maxLogLines}))
	if cerrdefs.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer stream.Close()
	end := &ending{limit: maxLogMessage}
	if c.tty {
		_, err = io.Copy(end, stream)
	} else {
		_, err = stdcopy.StdCopy(end, end, stream)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) { // it was removed meanwhile
		err = nil
	}
	return end.String(), err
}

// ending keeps the last bytes that are written to it.
type ending struct {
	limit int
	kept  []byte
}

func (e *ending) Write(data []byte) (int, error) {
	e.kept = append(e.kept, data[max(0, len(data)-e.limit):]...)
	e.kept = bytes.Clone(e.kept[max(0, len(e.kept)-e.limit):])
	return len(data), nil
}

// String is without what a cut left of a character, and what is no text.
func (e *ending) String() string { return strings.ToValidUTF8(string(e.kept), "") }
