package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
)

// hostKey is a port of the host, on all its addresses.
type hostKey struct {
	protocol corev1.Protocol
	port     int32
}

func (k hostKey) String() string { return fmt.Sprintf("%d/%s", k.port, k.protocol) }

func keyOfPort(p runtime.PublishedPort) hostKey { return hostKey{p.Protocol, p.HostPort} }

// publication is what is to be open on the host for one Service, or for all Ingresses, and what is.
type publication struct {
	want runtime.Publication
	// have is nil if there is none yet.
	have *runtime.Published
	// hindrance is why want cannot be published now.
	hindrance *hindrance
}

// hindrance is why ports are not published. The reason is PortAlreadyAllocated if it is not given.
type hindrance struct {
	reason, words string
	// passing: it waits for something that is on its way out already. lasting: nothing but another commit, or a person, helps.
	passing, lasting bool
}

func (b *publication) name() string { return PublicationName(b.want.Namespace, b.want.Name) }

func (b *publication) wants(key hostKey) bool { return hasPort(b.want.Ports, key) }

// has tells that the port is open for it.
func (b *publication) has(key hostKey) bool {
	return b.have != nil && b.have.Running && hasPort(b.have.Ports, key)
}

func hasPort(ports []runtime.PublishedPort, key hostKey) bool {
	return slices.ContainsFunc(ports, func(p runtime.PublishedPort) bool { return keyOfPort(p) == key })
}

// inPlace tells that it is published as it should be.
func (b *publication) inPlace() bool {
	return b.have != nil && b.have.Running && samePublication(b.have.Publication, b.want)
}

// samePublication does not look at the order of ports and ranges: another one is no reason to interrupt anybody.
func samePublication(a, b runtime.Publication) bool {
	return a.To == b.To && sameItems(a.Ports, b.Ports) && sameItems(a.SourceRanges, b.SourceRanges)
}

// sameItems compares lists in which nothing is there twice.
func sameItems[T comparable](a, b []T) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(v T) bool { return !slices.Contains(b, v) })
}

// publish plans what is opened and closed on the host. Of two that want a port, the one that has it keeps it. Nothing is opened
// before it is observed that whoever had the port has closed it, so a port can move in one commit.
func (p *planner) publish(wanted []*publication) {
	p.publications = make(map[string]*publication, len(wanted))
	for _, b := range wanted {
		p.publications[b.name()] = b
	}
	claims := claimPorts(wanted)
	for _, b := range wanted {
		if b.inPlace() {
			continue
		}
		if b.hindrance = p.whyNotPublished(b, claims); b.hindrance == nil {
			p.do(PublishPorts{Publication: b.want, Reason: b.whyPublish()})
			continue
		}
		if why := p.awaitedFrom(b, claims); why != "" {
			p.do(UnpublishPorts{Namespace: b.want.Namespace, Name: b.want.Name, Reason: why})
		}
	}
	p.unpublishRest(wanted)
}

// claimPorts tells who is to have each port: who has it open, then who had it, then the first by name.
func claimPorts(wanted []*publication) map[hostKey]*publication {
	claims := map[hostKey]*publication{}
	for _, has := range []func(b *publication, key hostKey) bool{
		func(b *publication, key hostKey) bool { return b.has(key) },
		func(b *publication, key hostKey) bool { return b.have != nil && hasPort(b.have.Ports, key) },
		func(*publication, hostKey) bool { return true },
	} {
		for _, b := range wanted {
			for _, port := range b.want.Ports {
				if key := keyOfPort(port); claims[key] == nil && has(b, key) {
					claims[key] = b
				}
			}
		}
	}
	return claims
}

// whyNotPublished looks for somebody else at each port.
func (p *planner) whyNotPublished(b *publication, claims map[hostKey]*publication) *hindrance {
	for _, port := range b.want.Ports {
		key := keyOfPort(port)
		if b.has(key) {
			continue
		}
		if h := cmp.Or(claimedBy(claims[key], b, key), p.podHolds(key), p.stillOpen(b, key)); h != nil {
			return h
		}
	}
	return nil
}

// claimedBy is about two of which only one can have a port.
func claimedBy(owner, b *publication, key hostKey) *hindrance {
	if owner == b {
		return nil
	}
	return &hindrance{lasting: true, words: fmt.Sprintf("port %s of the host is published for %s; choose another port, or take that one out of the commit", key, owner.name())}
}

// podHolds: a pod that has a hostPort keeps it, and one that is about to be made gets it.
func (p *planner) podHolds(key hostKey) *hindrance {
	for _, held := range p.ports[key.port] {
		switch {
		case held.Protocol != key.protocol:
		case held.holder.deleted:
			return &hindrance{passing: true, words: fmt.Sprintf("port %s of the host is taken by pod %s, which is being stopped", key, held.holder.ref())}
		default:
			return &hindrance{words: fmt.Sprintf("port %s of the host is taken by pod %s (hostPort); choose another port, or take its hostPort out", key, held.holder.ref())}
		}
	}
	if owner := p.hostPortsOfPods()[key]; owner != nil {
		return &hindrance{words: fmt.Sprintf("port %s of the host is asked for by pods of %s (hostPort); choose another port, or take their hostPort out", key, owner.Ref)}
	}
	return nil
}

// hostPortsOfPods are the objects of the commit whose pods have a hostPort, by that.
func (p *planner) hostPortsOfPods() map[hostKey]*manifests.Object {
	if p.asked != nil {
		return p.asked
	}
	p.asked = map[hostKey]*manifests.Object{}
	for _, o := range p.desired.Objects {
		if t, ok := manifests.TemplateOf(o); ok {
			for port := range hostPorts(t.Spec) {
				p.asked[hostKey{port.Protocol, port.HostPort}] = o
			}
		}
	}
	return p.asked
}

// stillOpen: whoever had the port gives it up in this plan or a later one.
func (p *planner) stillOpen(b *publication, key hostKey) *hindrance {
	for _, other := range p.observed.Publications {
		if mayBeOpen(other) && !sameService(other.Publication, b.want) && hasPort(other.Ports, key) {
			return &hindrance{passing: other.Namespace != "", words: fmt.Sprintf("port %s of the host is still published for %s", key, PublicationName(other.Namespace, other.Name))}
		}
	}
	return nil
}

// mayBeOpen: its ports are open, or are being opened.
func mayBeOpen(p runtime.Published) bool { return p.Running || p.Error == "" }

func sameService(a, b runtime.Publication) bool {
	return a.Namespace == b.Namespace && a.Name == b.Name
}

// whyPublish tells the first difference.
func (b *publication) whyPublish() string {
	have := b.have
	switch {
	case have == nil && b.want.Namespace == "":
		return "an Ingress is served"
	case have == nil:
		return fmt.Sprintf("%s is not published", b.name())
	case !sameItems(have.Ports, b.want.Ports) && b.want.Namespace == "":
		return "podyard run was told other ports for Ingresses"
	case !sameItems(have.Ports, b.want.Ports):
		return b.portsReason()
	case have.To != b.want.To:
		return fmt.Sprintf("the address of %s is %s, no longer %s", b.name(), b.want.To, have.To)
	case !sameItems(have.SourceRanges, b.want.SourceRanges):
		return fmt.Sprintf("%s is open to %s, no longer to %s", b.name(), rangesOf(b.want.SourceRanges), rangesOf(have.SourceRanges))
	case have.Error != "":
		return fmt.Sprintf("its ports are not open: %s", have.Error)
	default:
		return "its ports are not open"
	}
}

func (b *publication) portsReason() string {
	for _, port := range b.want.Ports {
		if !slices.Contains(b.have.Ports, port) {
			return fmt.Sprintf("%s does not publish %s yet", b.name(), publishedPorts([]runtime.PublishedPort{port}))
		}
	}
	i := slices.IndexFunc(b.have.Ports, func(port runtime.PublishedPort) bool { return !slices.Contains(b.want.Ports, port) })
	return fmt.Sprintf("%s publishes port %s, which is no longer in the commit", b.name(), keyOfPort(b.have.Ports[i]))
}

func rangesOf(ranges []string) string {
	if len(ranges) == 0 {
		return "everybody"
	}
	return strings.Join(ranges, ", ")
}

// awaitedFrom says who waits for a port that it has open and does not want any more. It gives all of its ports up then: they are
// opened and closed together.
func (p *planner) awaitedFrom(b *publication, claims map[hostKey]*publication) string {
	if b.have == nil {
		return ""
	}
	for _, port := range b.have.Ports {
		key := keyOfPort(port)
		switch owner := claims[key]; {
		case b.wants(key):
		case owner != nil:
			return fmt.Sprintf("port %s of the host goes to %s", key, owner.name())
		case p.awaited[key] != "":
			return fmt.Sprintf("port %s of the host goes to pod %s", key, p.awaited[key])
		}
	}
	return ""
}

// unpublishRest closes what nobody wants.
func (p *planner) unpublishRest(wanted []*publication) {
	for _, have := range p.observed.Publications {
		if slices.ContainsFunc(wanted, func(b *publication) bool { return sameService(b.want, have.Publication) }) {
			continue
		}
		p.do(UnpublishPorts{Namespace: have.Namespace, Name: have.Name, Reason: p.whyUnpublish(have.Namespace, have.Name)})
	}
}

func (p *planner) whyUnpublish(namespace, name string) string {
	what := PublicationName(namespace, name)
	if namespace == "" {
		return p.whyNoIngressPorts()
	}
	switch s, _ := p.find("Service", namespace, name).(*corev1.Service); {
	case s == nil:
		return what + " is not in the commit"
	case isLoadBalancer(s) || needsNodePorts(s):
		return fmt.Sprintf("%s has no port that can be published", what)
	default:
		return fmt.Sprintf("%s is of type %s", what, s.Spec.Type)
	}
}

// wantedPublications are that of the Ingresses, those of the Services of the commit, and of those that have left it and stay for
// now; sorted by name.
// What waits for its turn in the sync stays as it is published.
func (p *planner) wantedPublications(left []staying, addresses map[string]address) []*publication {
	out := p.ingressPublications()
	later := p.laterServices()
	for _, s := range servicesOf(p.desired, left) {
		b := &publication{have: p.published(s.Namespace, s.Name)}
		frozen := later[serviceKey(s)] || p.find("Service", s.Namespace, s.Name) == nil || addresses[serviceKey(s)].problem != ""
		switch {
		case !frozen:
			b.want = p.publicationOf(s, addresses[serviceKey(s)].ip)
		case b.have != nil:
			b.want = b.have.Publication
		}
		if len(b.want.Ports) > 0 {
			out = append(out, b)
		}
	}
	slices.SortStableFunc(out, func(a, b *publication) int { return cmp.Compare(a.name(), b.name()) })
	return out
}

// laterServices are those that wait for their turn in the sync.
func (p *planner) laterServices() map[string]bool {
	out := map[string]bool{}
	for _, o := range p.sync.later {
		if s, is := o.Value.(*corev1.Service); is {
			out[serviceKey(s)] = true
		}
	}
	return out
}

// published is what is open now for a Service; nil for nothing.
func (p *planner) published(namespace, name string) *runtime.Published {
	for i := range p.observed.Publications {
		if have := &p.observed.Publications[i]; have.Namespace == namespace && have.Name == name {
			return have
		}
	}
	return nil
}

// publicationOf is what a Service's manifest asks for. A load balancer has its ports on the host as they are, and the node ports
// that are asked for. SCTP cannot be published.
func (p *planner) publicationOf(s *corev1.Service, ip string) runtime.Publication {
	out := runtime.Publication{Namespace: s.Namespace, Name: s.Name, To: ip, SourceRanges: manifests.SourceRanges(s)}
	if !isLoadBalancer(s) && !needsNodePorts(s) {
		return out
	}
	open := func(port *corev1.ServicePort, hostPort int32) {
		if hostPort != 0 && port.Protocol != corev1.ProtocolSCTP {
			out.Ports = append(out.Ports, runtime.PublishedPort{Protocol: port.Protocol, HostPort: hostPort, Port: port.Port})
		}
	}
	for i := range s.Spec.Ports {
		port := &s.Spec.Ports[i]
		if isLoadBalancer(s) {
			open(port, port.Port)
		}
		open(port, p.nodePorts()[servicePortOf(s, port)])
	}
	return out
}
