package docker

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"
	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

// spec is all that the engine is told to create a container.
type spec struct {
	name    string
	config  *container.Config
	host    *container.HostConfig
	network *network.NetworkingConfig
}

// sandboxSpec is the container that owns what a pod shares.
func (n names) sandboxSpec(c runtime.SandboxConfig, s shared, ip netip.Addr, f facts) (spec, error) {
	manifest, volumes, err := sandboxRecords(c)
	if err != nil {
		return spec{}, err
	}
	exposed, bindings := portsOf(c.Ports)
	resolver := dnsOf(c, s.network.gateway.String())
	return spec{
		name: sandboxName(c.Pod),
		config: &container.Config{
			Image: s.infra, Hostname: c.Hostname, Cmd: sandboxCommand(c, s.network, resolver),
			ExposedPorts: exposed, Labels: n.sandboxLabels(c.Pod, manifest, volumes),
		},
		host: &container.HostConfig{
			NetworkMode:   container.NetworkMode(n.network()),
			IpcMode:       sandboxIPC(c.Pod),
			CapAdd:        []string{"NET_ADMIN"},
			RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyAlways},
			LogConfig:     smallLog("100k"),
			OomScoreAdj:   f.allowed(sandboxOOMScoreAdj),
			DNS:           resolver.servers, DNSSearch: resolver.search, DNSOptions: resolver.options,
			ExtraHosts:   extraHosts(c.Pod.Spec.HostAliases),
			Sysctls:      sysctls(c.Pod.Spec.SecurityContext),
			PortBindings: bindings,
			Mounts:       n.sandboxMounts(c),
		},
		network: at(n.network(), &network.EndpointSettings{IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: ip.String()}}),
	}, nil
}

func at(name string, endpoint *network.EndpointSettings) *network.NetworkingConfig {
	return &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{name: endpoint}}
}

// sandboxRecords are the labels from which State and CreateContainer read a pod back. The volumes' content is left out.
func sandboxRecords(c runtime.SandboxConfig) (manifest, volumes string, err error) {
	pod := c.Pod.DeepCopy()
	pod.Status, pod.ManagedFields = corev1.PodStatus{}, nil
	encoded, err := json.Marshal(pod)
	if err != nil {
		return "", "", fmt.Errorf("encode the manifest: %w", err)
	}
	list := make([]runtime.Volume, 0, len(c.Volumes))
	for _, v := range c.Volumes {
		v.Files = nil
		list = append(list, v)
	}
	encodedVolumes, err := json.Marshal(list)
	if err != nil {
		return "", "", fmt.Errorf("encode the volumes: %w", err)
	}
	return string(encoded), string(encodedVolumes), nil
}

// sandboxCommand is the command line of runtime/docker/sandbox.
func sandboxCommand(c runtime.SandboxConfig, r ranges, resolver dns) []string {
	command := []string{"sandbox", "--gateway=" + r.gateway.String(), "--gateway-mac=" + mac(r.gateway)}
	command = append(command, resolver.flags()...)
	for _, v := range c.Volumes {
		if v.Kind == runtime.EmptyDir && !v.Memory {
			command = append(command, "--emptydir="+insideSandbox(v.Name))
		}
	}
	return command
}

func sandboxIPC(pod *corev1.Pod) container.IpcMode {
	if pod.Spec.HostIPC {
		return "host"
	}
	return container.IPCModeShareable
}

func smallLog(size string) container.LogConfig {
	return container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": size, "max-file": "1"}}
}

func portsOf(ports []corev1.ContainerPort) (nat.PortSet, nat.PortMap) {
	exposed, bindings := nat.PortSet{}, nat.PortMap{}
	for _, p := range ports {
		protocol := strings.ToLower(string(p.Protocol))
		if protocol == "" {
			protocol = "tcp"
		}
		port := nat.Port(fmt.Sprintf("%d/%s", p.ContainerPort, protocol))
		exposed[port] = struct{}{}
		if p.HostPort != 0 {
			bindings[port] = append(bindings[port], nat.PortBinding{HostIP: p.HostIP, HostPort: strconv.Itoa(int(p.HostPort))})
		}
	}
	return exposed, bindings
}

func extraHosts(aliases []corev1.HostAlias) []string {
	var out []string
	for _, a := range aliases {
		for _, name := range a.Hostnames {
			out = append(out, name+":"+a.IP)
		}
	}
	return out
}

// sysctls may be written with slashes, as upstream allows.
func sysctls(security *corev1.PodSecurityContext) map[string]string {
	if security == nil || len(security.Sysctls) == 0 {
		return nil
	}
	out := map[string]string{}
	for _, s := range security.Sysctls {
		out[strings.ReplaceAll(s.Name, "/", ".")] = s.Value
	}
	return out
}

// containerSpec is one attempt of a container in a sandbox. imageUser is the image's USER where it matters.
func (n names) containerSpec(sandbox *entry, c runtime.ContainerConfig, imageUser string, f facts) (spec, error) {
	pod := sandbox.pod.Manifest
	security := effectiveSecurity(c.PodSecurity, c.SecurityContext)
	if err := verifyNonRoot(pod, c.Name, security, imageUser); err != nil {
		return spec{}, err
	}
	mounted, err := n.mountsOf(sandbox, c.Mounts, f)
	if err != nil {
		return spec{}, err
	}
	labels, err := n.attemptLabels(sandbox, c, mounted.subPaths)
	if err != nil {
		return spec{}, err
	}
	out := spec{name: containerName(c.Name, pod, c.Attempt), config: containerConfig(c, userOf(security, imageUser), labels)}
	out.host = joined(sandbox)
	out.host.Resources = resourcesOf(c.Resources)
	out.host.OomScoreAdj = f.allowed(oomScoreAdj(pod, c.Resources.Requests, f.memory))
	out.host.GroupAdd = groupsOf(c.PodSecurity)
	out.host.Mounts, out.host.Binds = mounted.volumes, mounted.binds
	out.host.LogConfig = containerLog(f)
	return out, secure(out.host, security)
}

func containerConfig(c runtime.ContainerConfig, user string, labels map[string]string) *container.Config {
	env := make([]string, 0, len(c.Env))
	for _, v := range c.Env {
		env = append(env, v.Name+"="+v.Value)
	}
	grace := wholeSeconds(c.GracePeriod)
	return &container.Config{
		Image: imageOf(c), User: user, Env: env, WorkingDir: c.WorkingDir, Labels: labels,
		// Docker's own rule is Kubernetes': with an entrypoint, the image's CMD does not count.
		Entrypoint: c.Command, Cmd: c.Args,
		OpenStdin: c.Stdin, StdinOnce: c.StdinOnce, Tty: c.TTY, StopTimeout: &grace,
		// Kubernetes has probes and ignores HEALTHCHECK.
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
	}
}

// imageOf is the content if it is pinned, else the reference.
func imageOf(c runtime.ContainerConfig) string {
	if c.ImageID != "" {
		return c.ImageID
	}
	return c.Image
}

// joined is a container in the namespaces of a sandbox. It has no restart policy: an engine gives up after the first
// failure to join, so restarts are the daemon's.
func joined(sandbox *entry) *container.HostConfig {
	join, spec := "container:"+sandbox.id, sandbox.pod.Manifest.Spec
	host := &container.HostConfig{
		NetworkMode: container.NetworkMode(join), IpcMode: container.IpcMode(join), Init: new(bool),
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled},
	}
	if spec.HostIPC {
		host.IpcMode = "host"
	}
	switch {
	case spec.HostPID:
		host.PidMode = "host"
	case isTrue(spec.ShareProcessNamespace):
		host.PidMode = container.PidMode(join)
	}
	return host
}

// containerLog bounds the log where the engine's default does not.
func containerLog(f facts) container.LogConfig {
	if f.loggingDriver != "json-file" {
		return container.LogConfig{}
	}
	return container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "10m", "max-file": "3"}}
}

func (n names) attemptLabels(sandbox *entry, c runtime.ContainerConfig, subPaths []string) (map[string]string, error) {
	labels := n.containerLabels(sandbox.pod.Manifest, sandbox.id, c.Name, c.Attempt)
	labels[labelImage], labels[labelBackoff] = c.Image, c.Backoff.String()
	if len(subPaths) > 0 {
		encoded, err := json.Marshal(subPaths)
		if err != nil {
			return nil, err
		}
		labels[labelSubPaths] = string(encoded)
	}
	return labels, nil
}

// wholeSeconds rounds up, since Docker counts in seconds: 1500ms → 2.
func wholeSeconds(d time.Duration) int {
	return int((max(d, 0) + time.Second - 1) / time.Second)
}
