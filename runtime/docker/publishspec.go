package docker

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/docker/docker/api/types/container"
	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/gateway"
	"github.com/podyard/podyard/runtime"
)

const (
	// publicationFormat is raised when the containers of earlier Podyards have to be replaced.
	publicationFormat = "2"
	// openFile is made in the container when the gateway has its address.
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
}

// draftPublication refuses what the gateway does not serve.
func draftPublication(p runtime.Publication) (draft, error) {
	if p.Namespace == "" && p.Name == runtime.IngressPublication {
		return draft{}, fmt.Errorf("there is no proxy for Ingresses: %w", runtime.ErrInvalid)
	}
	if err := validatePublication(p); err != nil {
		return draft{}, fmt.Errorf("%w: %w", runtime.ErrInvalid, err)
	}
	encoded, err := json.Marshal(p)
	return draft{p, string(encoded)}, err
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

// containerName tells with a hash what the container does, so that its successor can be created beside it.
func (d draft) containerName(n names) string {
	sum := sha256.Sum256([]byte(publicationFormat + d.encoded))
	return fmt.Sprintf("%s-publish-%s-%s-%s", n.base(), d.Namespace, d.Name, hex.EncodeToString(sum[:4]))
}

// publicationSpec publishes each port as itself. With source ranges it does so on the host's IPv4 addresses only: clients by
// IPv6 come through the engine's proxy, and would seem to come from the host. The container does not answer for its address even
// before it has left it to the gateway.
func (n names) publicationSpec(d draft, s shared, address netip.Addr, f facts) spec {
	out := spec{
		name: d.containerName(n),
		config: &container.Config{
			Image: s.infra, Labels: n.publicationLabels(d.encoded),
			Cmd: []string{"publish", "--gateway-mac=" + mac(s.network.gateway), "--ready=" + openFile},
		},
		host: &container.HostConfig{
			NetworkMode:   container.NetworkMode(n.network()),
			CapAdd:        []string{"NET_ADMIN", "NET_RAW"},
			Sysctls:       map[string]string{"net.ipv4.conf.all.arp_ignore": "8"},
			RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyAlways},
			LogConfig:     smallLog("100k"),
			OomScoreAdj:   f.allowed(sandboxOOMScoreAdj),
		},
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

// servedPublications are what the gateway is to serve, sorted by address. Of two containers at one address, of which one is to
// be removed, that counts which runs.
func servedPublications(entries []*entry) []gateway.Publication {
	byAddress := map[netip.Addr]*entry{}
	for _, en := range entries {
		if en.publication == nil || validatePublication(en.publication.Publication) != nil || !en.publication.address.IsValid() {
			continue
		}
		if other := byAddress[en.publication.address]; other == nil || !other.running && en.running {
			byAddress[en.publication.address] = en
		}
	}
	var out []gateway.Publication
	for _, en := range byAddress {
		out = append(out, en.publication.served())
	}
	slices.SortFunc(out, func(a, b gateway.Publication) int { return a.IP.Compare(b.IP) })
	return out
}

// served wants a valid one.
func (p *publication) served() gateway.Publication {
	out := gateway.Publication{IP: p.address, To: netip.MustParseAddr(p.To)}
	for _, port := range p.Ports {
		out.Ports = append(out.Ports, gateway.PublishedPort{Protocol: string(port.Protocol), Port: port.HostPort, ToPort: port.Port})
	}
	for _, source := range p.SourceRanges {
		out.Sources = append(out.Sources, netip.MustParsePrefix(source))
	}
	return out
}

func comparePublished(a, b runtime.Published) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}
