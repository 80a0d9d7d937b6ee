package docker

import (
	"encoding/json"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

// ingressHolderSpec asks the gateway for names: an ExternalName Service may name another Service.
func (n names) ingressHolderSpec(p runtime.Publication, s shared, f facts) spec {
	label, _ := json.Marshal(p) // strings and numbers
	labels := n.labels(roleIngressHolder)
	labels[labelIngress] = string(label)
	exposed, bindings := portsOf(ingressPorts(p))
	return spec{
		name: n.ingressHolder(), network: at(n.network(), &network.EndpointSettings{}),
		config: &container.Config{
			Image: s.infra, Hostname: "ingress", Labels: labels, ExposedPorts: exposed,
			Cmd: []string{"sandbox", "--nameserver=" + s.network.gateway.String()},
		},
		host: &container.HostConfig{
			NetworkMode:   container.NetworkMode(n.network()),
			PortBindings:  bindings,
			RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyAlways},
			LogConfig:     smallLog("100k"),
			OomScoreAdj:   f.allowed(sandboxOOMScoreAdj),
		},
	}
}

// ingressPorts are published on all addresses of the host.
func ingressPorts(p runtime.Publication) []corev1.ContainerPort {
	var out []corev1.ContainerPort
	for _, port := range p.Ports {
		out = append(out, corev1.ContainerPort{Protocol: port.Protocol, HostPort: port.HostPort, ContainerPort: port.Port})
	}
	return out
}

// ingressAgentSpec: clients of all the world talk to this process, so it may do nothing but listen and write to its volume.
func (n names) ingressAgentSpec(s shared, holder string) spec {
	return spec{
		name: n.ingressAgent(s.tag),
		config: &container.Config{
			Image: s.infra, Labels: n.labels(roleIngressAgent), OpenStdin: true,
			Cmd: []string{"ingress", "--state=/state/config.json", "--storage=/certificates", "--drain=" + ingressDrain.String()},
		},
		host: &container.HostConfig{
			NetworkMode:    container.NetworkMode("container:" + holder),
			CapDrop:        []string{"ALL"},
			CapAdd:         []string{"NET_BIND_SERVICE"},
			SecurityOpt:    []string{"no-new-privileges"},
			ReadonlyRootfs: true,
			RestartPolicy:  container.RestartPolicy{Name: container.RestartPolicyAlways},
			LogConfig:      smallLog("10m"),
			Mounts:         []mount.Mount{n.ingressMount(n.ingressState(), "/state"), n.ingressMount(n.ingressCertificates(), "/certificates")},
		},
	}
}

func (n names) ingressMount(volume, target string) mount.Mount {
	return mount.Mount{
		Type: mount.TypeVolume, Source: volume, Target: target,
		VolumeOptions: &mount.VolumeOptions{NoCopy: true, Labels: n.labels(roleVolume)},
	}
}
