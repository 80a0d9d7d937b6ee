package gateway

import (
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// zone is what DNS knows of one table. The names are those of the Kubernetes DNS specification, version 1.1.0
// (github.com/kubernetes/dns, docs/specification.md).
type zone struct {
	// domain, fully qualified and in lower case.
	domain string
	// names in lower case, fully qualified. A name without records exists because one below it has some.
	names map[string]*records
	// reverse maps an address to the names it has.
	reverse map[netip.Addr][]string
}

// records are what one name holds.
type records struct {
	addresses []netip.Addr
	services  []target
	cname     string
	text      string
}

// empty tells that the name is there only because others are below it.
func (r *records) empty() bool {
	return len(r.addresses)+len(r.services) == 0 && r.cname == "" && r.text == ""
}

// target is a server that an SRV record points to.
type target struct {
	name string
	port uint16
}

// dnsVersion is the version of the specification, which dns-version.<domain> announces.
const dnsVersion = "1.1.0"

// newZone computes every name of a table, and those of the name server itself.
func newZone(t Table, server netip.Addr) *zone {
	z := &zone{
		domain:  dns.Fqdn(strings.ToLower(t.Domain)),
		names:   map[string]*records{},
		reverse: map[netip.Addr][]string{},
	}
	z.name("dns-version." + z.domain).text = dnsVersion
	z.name("svc." + z.domain)
	z.name("pod." + z.domain)
	for i := range t.Services {
		z.addService(&t.Services[i])
	}
	if server.IsValid() {
		z.addServer(server)
	}
	return z
}

// addServer adds the name server's own names: that of the NS record, and unless git has a Service of that name, the one that
// it has in other clusters. Configurations of proxies name it: resolver kube-dns.kube-system.svc.cluster.local.
func (z *zone) addServer(ip netip.Addr) {
	own := nameServer(z)
	z.name(own).addresses = []netip.Addr{ip}
	z.reverse[ip] = append(z.reverse[ip], own)
	if _, taken := z.names["kube-dns.kube-system.svc."+z.domain]; taken {
		return
	}
	z.addClusterIP(&Service{Namespace: "kube-system", Name: "kube-dns", ClusterIP: ip.String(), Ports: []Port{
		{Name: "dns", Protocol: "UDP", Port: dnsPort}, {Name: "dns-tcp", Protocol: "TCP", Port: dnsPort},
	}}, "kube-dns.kube-system.svc."+z.domain)
}

// name returns the records of a name in the domain, and has it and all names above it exist.
func (z *zone) name(name string) *records {
	name = strings.ToLower(name)
	if r, ok := z.names[name]; ok {
		return r
	}
	r := &records{}
	z.names[name] = r
	if _, parent, _ := strings.Cut(name, "."); name != z.domain {
		z.name(parent)
	}
	return r
}

// addService adds all names of one Service.
func (z *zone) addService(s *Service) {
	name := s.Name + "." + s.Namespace + ".svc." + z.domain
	own := z.name(name)
	if s.ExternalName != "" {
		own.cname = dns.Fqdn(strings.ToLower(s.ExternalName))
		return
	}
	if !s.headless() {
		z.addClusterIP(s, name)
	}
	for _, e := range s.published() {
		z.addEndpoint(s, name, e)
	}
}

// addClusterIP adds the address and, for each port, a service record that points to it.
func (z *zone) addClusterIP(s *Service, name string) {
	ip, err := netip.ParseAddr(s.ClusterIP)
	if err != nil || !ip.Is4() {
		return
	}
	z.name(name).addresses = []netip.Addr{ip}
	z.reverse[ip] = append(z.reverse[ip], name)
	for _, p := range s.Ports {
		z.addTarget(name, p, target{name, uint16(p.Port)})
	}
}

// addEndpoint adds the name of one endpoint and, if the Service is headless, has the Service's own names lead to it.
// An endpoint without hostname is named by its address, as CoreDNS does.
func (z *zone) addEndpoint(s *Service, service string, e Endpoint) {
	ip, err := netip.ParseAddr(e.IP)
	if err != nil || !ip.Is4() {
		return
	}
	label := e.Hostname
	if label == "" {
		label = strings.ReplaceAll(e.IP, ".", "-")
	}
	name := label + "." + service
	z.name(name).addresses = append(z.name(name).addresses, ip)
	z.reverse[ip] = append(z.reverse[ip], name)
	if !s.headless() {
		return
	}
	z.name(service).addresses = append(z.name(service).addresses, ip)
	for _, p := range s.Ports {
		if port, ok := e.Ports[p.Name]; ok {
			z.addTarget(service, p, target{name, uint16(port)})
		}
	}
}

// addTarget adds a service record to the Service's name and, if the port has a name, to the port's.
func (z *zone) addTarget(service string, p Port, t target) {
	own := z.name(service)
	own.services = append(own.services, t)
	if p.Name == "" {
		return
	}
	port := z.name("_" + p.Name + "._" + strings.ToLower(p.Protocol) + "." + service)
	port.services = append(port.services, t)
}

// lookup returns the records of a name, or nil if there is no such name. Names of pods are computed: whatever address
// of a sandbox they spell, and in whatever namespace, they are true (CoreDNS's "pods insecure").
func (z *zone) lookup(name string, pods netip.Prefix) *records {
	name = strings.ToLower(name)
	if r, ok := z.names[name]; ok {
		return r
	}
	rest, ok := strings.CutSuffix(name, ".pod."+z.domain)
	if !ok {
		return nil
	}
	label, namespace, below := strings.Cut(rest, ".")
	if !below { // a namespace, below which there are names
		return &records{}
	}
	ip, err := netip.ParseAddr(strings.ReplaceAll(label, "-", "."))
	if err != nil || strings.Contains(namespace, ".") || !pods.Contains(ip) {
		return nil
	}
	return &records{addresses: []netip.Addr{ip}}
}

// reverseAddress reads d.c.b.a.in-addr.arpa.
func reverseAddress(name string) (netip.Addr, bool) {
	rest, ok := strings.CutSuffix(strings.ToLower(name), ".in-addr.arpa.")
	if !ok {
		return netip.Addr{}, false
	}
	labels := strings.Split(rest, ".")
	if len(labels) != 4 {
		return netip.Addr{}, false
	}
	ip, err := netip.ParseAddr(labels[3] + "." + labels[2] + "." + labels[1] + "." + labels[0])
	return ip, err == nil
}
