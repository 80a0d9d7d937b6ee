package docker

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/docker/docker/api/types/container"
	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/gateway"
	"github.com/podyard/podyard/runtime"
)

const (
	// publicationFormat is raised when the containers of earlier Podyards have to be replaced.
	publicationFormat = "1"
	// openFile is made in the container when its ports lead to the Service.
	openFile = "/.open"
)

// publication is what the labels of a container tell, and where it is.
type publication struct {
	runtime.Published
	address netip.Addr
}

// draft is a publication as its container is to be.
type draft struct {
	runtime.Publication
	// encoded is the label from which it is read back.
	encoded string
	// flags depend on what the gateway can do.
	flags []string
}

// draftPublication refuses what the gateway does not serve, and asks it for what it can.
func (e *Engine) draftPublication(ctx context.Context, p runtime.Publication) (draft, error) {
	if p.Namespace == "" && p.Name == runtime.IngressPublication {
		return draft{}, fmt.Errorf("there is no proxy for Ingresses: %w", runtime.ErrInvalid)
	}
	if err := validatePublication(p); err != nil {
		return draft{}, fmt.Errorf("%w: %w", runtime.ErrInvalid, err)
	}
	encoded, err := json.Marshal(p)
	if err != nil {
		return draft{}, err
	}
	client, err := e.link.get(ctx)
	if err != nil {
		return draft{}, err
	}
	return draft{p, string(encoded), publicationFlags(client.Hello())}, nil
}

func validatePublication(p runtime.Publication) error {
	if to, err := netip.ParseAddr(p.To); err != nil || !to.Is4() {
		return fmt.Errorf("%q is not an IPv4 address to forward to", p.To)
	}
	if len(p.Ports) == 0 {
		return errors.New("no ports")
	}
	for _, port := range p.Ports {
		if port.Protocol != corev1.ProtocolTCP && port.Protocol != corev1.ProtocolUDP {
			return fmt.Errorf("port %d: a Service is not forwarded by %s, only by TCP and UDP", port.HostPort, port.Protocol)
		}
		if !validPort(port.HostPort) || !validPort(port.Port) {
			return fmt.Errorf("port %d to %d: want 1 to 65535", port.HostPort, port.Port)
		}
	}
	for _, source := range p.SourceRanges {
		if prefix, err := netip.ParsePrefix(source); err != nil || !prefix.Addr().Is4() {
			return fmt.Errorf("source range %q is not IPv4", source)
		}
	}
	return nil
}

func validPort(port int32) bool { return port > 0 && port < 1<<16 }

// publicationFlags tell the publication what it shares with the gateway: the kernel. A gateway that does not answer a client by
// the way on which it came must not see it.
func publicationFlags(gw gateway.Hello) []string {
	switch {
	case gw.Backend == gateway.BackendUserspace:
		return []string{"--proxy"}
	case gw.Masquerade:
		return []string{"--masquerade"}
	}
	return nil
}

// containerName tells with a hash what the container does, so that its successor can be created beside it.
func (d draft) containerName(n names) string {
	sum := sha256.Sum256([]byte(publicationFormat + strings.Join(d.flags, " ") + d.encoded))
	return fmt.Sprintf("%s-publish-%s-%s-%s", n.base(), d.Namespace, d.Name, hex.EncodeToString(sum[:4]))
}

// publicationSpec publishes each port as itself. With source ranges it does so on the host's IPv4 addresses only: clients by
// IPv6 come through the engine's proxy, and would seem to come from the host.
func (n names) publicationSpec(d draft, s shared, address netip.Addr, f facts) spec {
	out := spec{
		name: d.containerName(n),
		config: &container.Config{
			Image: s.infra, Cmd: d.command(), Labels: n.publicationLabels(d.encoded),
		},
		host: &container.HostConfig{
			NetworkMode:   container.NetworkMode(n.network()),
			Sysctls:       map[string]string{"net.ipv4.ip_forward": "1"},
			RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyAlways},
			LogConfig:     smallLog("100k"),
			OomScoreAdj:   f.allowed(sandboxOOMScoreAdj),
		},
	}
	if !d.proxies() {
		out.host.CapAdd = []string{"NET_ADMIN"}
	}
	var ports []corev1.ContainerPort
	for _, p := range d.Ports {
		port := corev1.ContainerPort{ContainerPort: p.HostPort, HostPort: p.HostPort, Protocol: p.Protocol}
		if len(d.SourceRanges) > 0 {
			port.HostIP = "0.0.0.0"
		}
		ports = append(ports, port)
	}
	out.config.ExposedPorts, out.host.PortBindings = portsOf(ports)
	out.network = n.fixed(out.config, address, f)
	return out
}

func (d draft) proxies() bool { return len(d.flags) == 1 && d.flags[0] == "--proxy" }

// command is the command line of runtime/docker/publisher.
func (d draft) command() []string {
	command := append([]string{"publish", "--to=" + d.To, "--ready=" + openFile}, d.flags...)
	for _, p := range d.Ports {
		command = append(command, fmt.Sprintf("--port=%s:%d:%d", strings.ToLower(string(p.Protocol)), p.HostPort, p.Port))
	}
	for _, source := range d.SourceRanges {
		command = append(command, "--source="+source)
	}
	return command
}

func (n names) publicationLabels(encoded string) map[string]string {
	labels := n.labels(rolePublication)
	labels[labelPublication] = encoded
	return labels
}

func decodePublication(c container.InspectResponse, network string) *publication {
	out := &publication{}
	decodeJSON(c.Config.Labels[labelPublication], &out.Publication)
	out.Running = phaseOf(c.State) == runtime.Running
	if !out.Running {
		out.Error = useful(c.State.Error)
	}
	if !out.Running && out.Error == "" && c.State.ExitCode != 0 {
		out.Error = fmt.Sprintf("its container ended with exit code %d", c.State.ExitCode)
	}
	if c.NetworkSettings != nil {
		if endpoint := c.NetworkSettings.Networks[network]; endpoint != nil && endpoint.IPAMConfig != nil {
			out.address, _ = netip.ParseAddr(endpoint.IPAMConfig.IPv4Address)
		}
	}
	return out
}

func comparePublished(a, b runtime.Published) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}
