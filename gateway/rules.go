package gateway

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// rule balances one port of one Service address over its backends. Both balancers carry out rules.
type rule struct {
	front front
	// owner is "namespace/name" of the Service, for names in the kernel and in logs.
	owner string
	// affinity is how long a client stays with a backend; 0 for no affinity.
	affinity time.Duration
	// backends, sorted. None: connections are refused.
	backends []netip.AddrPort
	// sources are where clients may come from, for the proxy of a Publication; none means anywhere.
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
	return r.front == other.front && r.owner == other.owner && r.affinity == other.affinity &&
		slices.Equal(r.backends, other.backends)
}

// compile returns the rules of a table, sorted by front. If two Services claim the same address and port, the first
// in the order of their names has it.
func compile(t Table) []rule {
	var rules []rule
	taken := map[front]bool{}
	for i := range t.Services {
		for _, r := range t.Services[i].rules() {
			if !taken[r.front] {
				taken[r.front] = true
				rules = append(rules, r)
			}
		}
	}
	slices.SortFunc(rules, func(a, b rule) int { return a.front.compare(b.front) })
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

func validPort(n int32) bool { return n > 0 && n < 1<<16 }
