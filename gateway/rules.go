package gateway

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// rule balances one port of one address over the backends of a Service. Both balancers carry out rules.
type rule struct {
	front front
	// of is the front of the Service for which that of a publication stands; the zero value if it is the Service's own.
	of front
	// owner is "namespace/name" of the Service, for names in the kernel and in logs.
	owner string
	// affinity is how long a client stays with a backend; 0 for no affinity.
	affinity time.Duration
	// backends, sorted. None: connections are refused.
	backends []netip.AddrPort
	// sources are where clients may come from; none means anywhere.
	sources []netip.Prefix
}

// front is what a client connects to.
type front struct {
	ip    netip.Addr
	proto string
	port  uint16
}

// The protocols that are balanced.
const (
	tcp = "tcp"
	udp = "udp"
)

func (f front) String() string { return fmt.Sprintf("%s:%d/%s", f.ip, f.port, f.proto) }

func (f front) compare(other front) int {
	return cmp.Or(f.ip.Compare(other.ip), cmp.Compare(f.port, other.port), strings.Compare(f.proto, other.proto))
}

func (r rule) equal(other rule) bool {
	return r.front == other.front && r.of == other.of && r.owner == other.owner && r.affinity == other.affinity &&
		slices.Equal(r.backends, other.backends) && slices.Equal(r.sources, other.sources)
}

// published tells whether the front is a publication's.
func (r rule) published() bool { return r.of != front{} }

// compile returns the rules of a table, sorted by front, those of publications last. If two Services claim the same address
// and port, the first in the order of their names has it.
func compile(t Table) []rule {
	byFront := map[front]rule{}
	add := func(rules []rule) {
		for _, r := range rules {
			if _, taken := byFront[r.front]; !taken {
				byFront[r.front] = r
			}
		}
	}
	for i := range t.Services {
		add(t.Services[i].rules())
	}
	for _, p := range t.Publications {
		add(p.rules(byFront))
	}
	return slices.SortedFunc(maps.Values(byFront), func(a, b rule) int {
		return cmp.Or(a.of.ip.Compare(b.of.ip), a.front.compare(b.front))
	})
}

// rules returns one rule for each port behind which there is a Service.
func (p Publication) rules(services map[front]rule) []rule {
	var rules []rule
	for _, port := range p.Ports {
		proto := strings.ToLower(port.Protocol)
		r, ok := services[front{p.To, proto, uint16(port.ToPort)}]
		if ok && p.IP.Is4() && validPort(port.Port) && validPort(port.ToPort) {
			r.of, r.front, r.sources = r.front, front{p.IP, proto, uint16(port.Port)}, p.Sources
			rules = append(rules, r)
		}
	}
	return rules
}

// rules returns one rule for each TCP and UDP port of a Service that has an IPv4 address.
func (s *Service) rules() []rule {
	ip, err := netip.ParseAddr(s.ClusterIP)
	if err != nil || !ip.Is4() {
		return nil
	}
	var rules []rule
	for _, p := range s.Ports {
		proto := strings.ToLower(p.Protocol)
		if proto != tcp && proto != udp || !validPort(p.Port) {
			continue
		}
		rules = append(rules, rule{
			front:    front{ip, proto, uint16(p.Port)},
			owner:    s.Namespace + "/" + s.Name,
			affinity: time.Duration(s.AffinitySeconds) * time.Second,
			backends: backends(s.balanced(p.Name), p.Name),
		})
	}
	return rules
}

// backends returns where the named port is served, sorted and each once.
func backends(endpoints []Endpoint, port string) []netip.AddrPort {
	var list []netip.AddrPort
	for _, e := range endpoints {
		ip, err := netip.ParseAddr(e.IP)
		if number := e.Ports[port]; err == nil && ip.Is4() && validPort(number) {
			list = append(list, netip.AddrPortFrom(ip, uint16(number)))
		}
	}
	slices.SortFunc(list, netip.AddrPort.Compare)
	return slices.Compact(list)
}

// admits tells whether a client may connect.
func (r *rule) admits(client netip.Addr) bool {
	return len(r.sources) == 0 || slices.ContainsFunc(r.sources, func(p netip.Prefix) bool { return p.Contains(client) })
}

// leads tells whether a client may be led to the backend.
func (r *rule) leads(client netip.Addr, backend netip.AddrPort) bool {
	return r.admits(client) && slices.Contains(r.backends, backend)
}

func validPort(n int32) bool { return n > 0 && n < 1<<16 }
