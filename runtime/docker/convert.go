package docker

import (
	"encoding/json"
	"fmt"
	"maps"
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
	resolver := dnsOf(c, s.network.gateway.String())
	mounted, binds := n.sandboxMounts(c)
	out := spec{
		name: sandboxName(c.Pod),
		config: &container.Config{
			Image: s.infra, Cmd: sandboxCommand(c, s.network, resolver), Labels: n.sandboxLabels(c.Pod, manifest, volumes),
		},
		host: &container.HostConfig{
			IpcMode: sandboxIPC(c.Pod),
			Runtime: c.RuntimeHandler,
			// Not "always": what StopSandbox stopped stays so when the engine restarts.
			RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyUnlessStopped},
			LogConfig:     smallLog("100k"),
			OomScoreAdj:   f.allowed(sandboxOOMScoreAdj),
			Sysctls:       sysctls(c.Pod.Spec.SecurityContext),
			Mounts:        append(mounted, n.messagesMount(c.Pod)),
			Binds:         binds,
		},
	}
	out.host.Annotations = shimOf(c.Pod, f)
	resolver.tell(out.host)
	if c.Pod.Spec.HostNetwork {
		onHostNetwork(&out)
	} else {
		n.onPodNetwork(&out, c, ip)
	}
	return out, nil
}

// groupAnnotation tells containerd's runc.v2 shim which containers it may serve together (containerd,
// cmd/containerd-shim-runc-v2/manager, groupLabels).
const groupAnnotation = "io.containerd.runc.v2.group"

// shimOf has one shim serve all containers of a pod, where the engine can be told. A shim takes more than the rest of a
// small pod: see docs/performance.md.
func shimOf(pod *corev1.Pod, f facts) map[string]string {
	if !f.annotations {
		return nil
	}
	return map[string]string{groupAnnotation: sandboxName(pod)}
}

// onPodNetwork gives a sandbox an address and a name of its own. With NET_ADMIN it installs the return route.
func (n names) onPodNetwork(s *spec, c runtime.SandboxConfig, ip netip.Addr) {
	s.config.Hostname, s.config.Domainname = c.Hostname, c.Domain
	s.config.ExposedPorts, s.host.PortBindings = portsOf(c.Ports)
	s.host.NetworkMode, s.host.CapAdd = container.NetworkMode(n.network()), []string{"NET_ADMIN"}
	s.host.ExtraHosts = extraHosts(c.Pod.Spec.HostAliases)
	if c.RuntimeHandler == "" { // a kernel of the handler's own may not have it
		s.host.Sysctls = withDefault(s.host.Sysctls, keepMark, "1")
	}
	s.network = at(n.network(), &network.EndpointSettings{IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: ip.String()}})
}

// keepMark has TCP connections keep the mark of their first packet, so that the return route is looked up once for each; see
// runtime/docker/sandbox.
const keepMark = "net.ipv4.tcp_fwmark_accept"

func withDefault(values map[string]string, key, value string) map[string]string {
	if _, set := values[key]; set {
		return values
	}
	out := map[string]string{key: value}
	maps.Copy(out, values)
	return out
}

// onHostNetwork puts a sandbox into the host's network. As upstream has it, the pod then has the host's name; its ports
// are the host's, so there is nothing to publish.
func onHostNetwork(s *spec) {
	s.host.NetworkMode, s.host.UTSMode = "host", "host"
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
	command := []string{"sandbox"}
	if c.Pod.Spec.HostNetwork {
		command = append(command, aliasFlags(c.Pod.Spec.HostAliases)...)
	} else {
		command = append(command, "--gateway="+r.gateway.String(), "--gateway-mac="+mac(r.gateway))
	}
	command = append(command, resolver.flags()...)
	for _, file := range firstMessages(&c.Pod.Spec) {
		command = append(command, "--message="+insideMessages(file))
	}
	return append(command, setUpFlags(c)...)
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

// aliasFlags has the sandbox add aliases to its copy of the host's file: with ExtraHosts the engine would not copy it.
func aliasFlags(aliases []corev1.HostAlias) []string {
	var out []string
	for _, a := range aliases {
		if len(a.Hostnames) > 0 {
			out = append(out, "--alias="+a.IP+","+strings.Join(a.Hostnames, ","))
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

// lookedUp is what a container's specification needs from elsewhere, where it matters.
type lookedUp struct {
	// imageUser is the image's USER.
	imageUser string
	// seccomp is the profile of type Localhost, as JSON.
	seccomp string
	// message is the name of the file in which the container leaves its termination message.
	message string
}

// containerSpec is one attempt of a container in a sandbox.
func (n names) containerSpec(sandbox *entry, c runtime.ContainerConfig, found lookedUp, f facts) (spec, error) {
	pod := sandbox.pod.Manifest
	security := effectiveSecurity(c.PodSecurity, c.SecurityContext)
	if err := verifyNonRoot(pod, c.Name, security, found.imageUser); err != nil {
		return spec{}, err
	}
	resources, err := resourcesOf(c.Resources, f)
	if err != nil {
		return spec{}, err
	}
	mounted, err := n.mountsOf(sandbox, c.Mounts, f)
	if err != nil {
		return spec{}, err
	}
	if err := mounted.addMessage(sandbox, c.TerminationMessagePath, found.message, f); err != nil {
		return spec{}, err
	}
	labels, err := n.attemptLabels(sandbox, c, mounted.subPaths, found.message)
	if err != nil {
		return spec{}, err
	}
	out := spec{name: containerName(c.Name, pod, c.Attempt), config: containerConfig(c, userOf(security, found.imageUser), labels)}
	out.host = joined(sandbox, c.Target)
	out.host.Annotations = shimOf(pod, f)
	out.host.Resources = resources
	out.host.OomScoreAdj = f.allowed(oomScoreAdj(pod, c.Name, c.Resources.Requests, f.memory))
	out.host.GroupAdd = groupsOf(c.PodSecurity)
	out.host.Mounts, out.host.Binds = mounted.volumes, mounted.binds
	out.host.LogConfig = containerLog(f)
	secure(out.host, security, found.seccomp)
	return out, nil
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
		OpenStdin: c.Stdin, StdinOnce: c.StdinOnce, Tty: c.TTY, StopTimeout: &grace, StopSignal: c.StopSignal,
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

// joined is a container in the namespaces of a sandbox, and among the processes of a target if it has one. It has no
// restart policy: an engine gives up after the first failure to join, so restarts are the daemon's.
func joined(sandbox *entry, target string) *container.HostConfig {
	join, spec := "container:"+sandbox.id, sandbox.pod.Manifest.Spec
	host := &container.HostConfig{
		NetworkMode: container.NetworkMode(join), IpcMode: container.IpcMode(join), Init: new(bool), Runtime: sandbox.runtime,
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled},
	}
	if spec.HostIPC {
		host.IpcMode = "host"
	}
	if spec.HostNetwork {
		host.UTSMode = "host"
	}
	switch {
	case spec.HostPID:
		host.PidMode = "host"
	case isTrue(spec.ShareProcessNamespace):
		host.PidMode = container.PidMode(join)
	case target != "":
		host.PidMode = container.PidMode("container:" + target)
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

func (n names) attemptLabels(sandbox *entry, c runtime.ContainerConfig, subPaths []string, message string) (map[string]string, error) {
	labels := n.containerLabels(sandbox.pod.Manifest, sandbox.id, c.Name, c.Attempt)
	labels[labelImage], labels[labelBackoff] = c.Image, c.Backoff.String()
	if message != "" {
		labels[labelMessage] = message
	}
	if c.TerminationMessagePolicy == corev1.TerminationMessageFallbackToLogsOnError {
		labels[labelFallback] = "true"
	}
	if c.Ephemeral {
		labels[labelEphemeral] = "true"
	}
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
