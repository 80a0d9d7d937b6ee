package docker

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podyard/podyard/runtime"
)

// decode turns an inspection into an entry. What cannot change is taken from the entry before, if there is one, so that
// a pod's manifest is decoded once.
func decode(c container.InspectResponse, network string, old *entry) *entry {
	en := &entry{
		id: c.ID, name: strings.TrimPrefix(c.Name, "/"), role: c.Config.Labels[labelRole],
		image: c.Config.Image, network: string(c.HostConfig.NetworkMode),
		running: phaseOf(c.State) == runtime.Running, started: parseTime(c.State.StartedAt), tty: c.Config.Tty,
		oomScore: c.HostConfig.OomScoreAdj,
	}
	switch en.role {
	case roleSandbox:
		en.pod = decodePod(c, network, old)
		en.volumes = decodeVolumes(c)
		en.setsUp = slices.Contains(c.Config.Cmd, readyFlag)
		en.messages = decodeMessages(c)
		en.ports = decodePorts(c.HostConfig.PortBindings)
		en.runtime = c.HostConfig.Runtime
	case rolePublication:
		en.publication = decodePublication(c, network)
		en.ports = decodePorts(c.HostConfig.PortBindings)
	case roleIngressHolder:
		en.ingress = decodeIngress(c)
		en.ports = decodePorts(c.HostConfig.PortBindings)
	case roleContainer:
		en.container = decodeContainer(c)
		en.sandbox = c.Config.Labels[labelSandbox]
		en.owner = manifestFromLabels(c.Config.Labels)
		decodeJSON(c.Config.Labels[labelSubPaths], &en.subPaths)
		en.message = messagePlace{file: c.Config.Labels[labelMessage], fallback: c.Config.Labels[labelFallback] == "true"}
	}
	return en
}

func decodePod(c container.InspectResponse, network string, old *entry) *runtime.Pod {
	pod := &runtime.Pod{
		ID: c.ID, Phase: phaseOf(c.State), CreatedAt: parseTime(c.Created),
		StartedAt: parseTime(c.State.StartedAt), FinishedAt: parseTime(c.State.FinishedAt),
	}
	if c.NetworkSettings != nil {
		if endpoint := c.NetworkSettings.Networks[network]; endpoint != nil && endpoint.IPAMConfig != nil {
			pod.IP = endpoint.IPAMConfig.IPv4Address
		}
	}
	if old != nil && old.pod != nil {
		pod.Manifest = old.pod.Manifest
		return pod
	}
	pod.Manifest = &corev1.Pod{}
	decodeJSON(c.Config.Labels[labelPod], pod.Manifest)
	if pod.Manifest.Name == "" { // the label was spoiled
		pod.Manifest = manifestFromLabels(c.Config.Labels)
	}
	return pod
}

// manifestFromLabels is all that is known of a pod whose sandbox is gone.
func manifestFromLabels(labels map[string]string) *corev1.Pod {
	namespace, name, uid := podOf(labels)
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(uid)}}
}

func decodeVolumes(c container.InspectResponse) map[string]sandboxVolume {
	var list []runtime.Volume
	decodeJSON(c.Config.Labels[labelVolumes], &list)
	out := make(map[string]sandboxVolume, len(list))
	for _, v := range list {
		found := sandboxVolume{Volume: v}
		for _, m := range c.Mounts {
			if m.Destination == insideSandbox(v.Name) {
				found.Source = m.Source
			}
		}
		out[v.Name] = found
	}
	return out
}

// decodePorts are the host ports that a sandbox asks for, sorted.
func decodePorts(bindings nat.PortMap) []corev1.ContainerPort {
	var out []corev1.ContainerPort
	for port, list := range bindings {
		for _, b := range list {
			hostPort, _ := strconv.Atoi(b.HostPort)
			out = append(out, corev1.ContainerPort{
				HostPort: int32(hostPort), HostIP: b.HostIP, Protocol: corev1.Protocol(strings.ToUpper(port.Proto())),
			})
		}
	}
	slices.SortFunc(out, func(a, b corev1.ContainerPort) int {
		return cmp.Or(cmp.Compare(a.HostPort, b.HostPort), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.HostIP, b.HostIP))
	})
	return out
}

// decodeContainer reports a container that would not start as dockershim did: exited, at the time of its creation, with
// the engine's words (kubernetes v1.23 pkg/kubelet/dockershim/docker_container.go, ContainerStatus).
func decodeContainer(c container.InspectResponse) *runtime.Container {
	labels := c.Config.Labels
	out := &runtime.Container{
		ID: c.ID, Name: labels[labelContainerName], Image: labels[labelImage], ImageID: c.Image,
		State: phaseOf(c.State), CreatedAt: parseTime(c.Created),
		StartedAt: parseTime(c.State.StartedAt), FinishedAt: parseTime(c.State.FinishedAt),
	}
	out.Ephemeral = labels[labelEphemeral] == "true"
	out.Attempt, _ = strconv.Atoi(labels[labelAttempt])
	out.Backoff, _ = time.ParseDuration(labels[labelBackoff])
	if out.State == runtime.Created && c.State.Error != "" {
		out.State, out.StartedAt, out.FinishedAt = runtime.Exited, out.CreatedAt, out.CreatedAt
	}
	if out.State == runtime.Exited {
		out.ExitCode, out.OOMKilled, out.Error = c.State.ExitCode, c.State.OOMKilled, useful(c.State.Error)
	}
	if out.State == runtime.Running {
		out.FinishedAt = time.Time{}
	}
	if out.State == runtime.Exited && out.FinishedAt.Before(out.StartedAt) {
		// The engine notes the start when it is told, which for a short life is after the end.
		out.FinishedAt = out.StartedAt
	}
	return out
}

// phaseOf: a paused container runs, one between two restarts or about to be removed does not.
func phaseOf(state *container.State) runtime.ContainerState {
	switch state.Status {
	case container.StateRunning, container.StatePaused:
		return runtime.Running
	case container.StateCreated:
		return runtime.Created
	}
	return runtime.Exited
}

// parseTime reads the engine's times; its year 1 is no time.
func parseTime(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Year() <= 1 {
		return time.Time{}
	}
	return t
}

// decodeJSON reads one of our labels. One that somebody spoiled is as good as none.
func decodeJSON(text string, into any) {
	if text != "" {
		_ = json.Unmarshal([]byte(text), into)
	}
}
