package plan

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
)

// address is a Service's ClusterIP, or why it has none.
type address struct{ ip, problem string }

// clusterIPs gives each Service an address, in this order: the one asked for by spec.clusterIP, the one in force now,
// and one derived from its name, so that a lost history finds the same again. The next free address is taken where two
// names come to the same one. left are Services that have left the commit and stay for now.
func (p *planner) clusterIPs(left []staying) map[string]address {
	services := servicesOf(p.desired, left)
	slice, err := netip.ParsePrefix(p.observed.ServiceCIDR)
	out, taken := map[string]address{}, map[string]string{}
	if err != nil {
		for _, s := range services {
			out[serviceKey(s)] = address{problem: "the pod network is not there yet"}
		}
		return out
	}
	p.askedFor(services, slice, out, taken)
	p.inForce(services, slice, out, taken)
	for _, s := range services {
		if _, done := out[serviceKey(s)]; !done {
			out[serviceKey(s)] = derive(s, slice, taken)
		}
	}
	return out
}

func (p *planner) askedFor(services []*corev1.Service, slice netip.Prefix, out map[string]address, taken map[string]string) {
	for _, s := range services {
		asked, key := s.Spec.ClusterIP, serviceKey(s)
		switch ip, err := netip.ParseAddr(asked); {
		case isExternalName(s):
			out[key] = address{}
		case asked == "":
		case asked == corev1.ClusterIPNone:
			out[key] = address{ip: asked}
		case err != nil || !slice.Contains(ip):
			out[key] = address{problem: fmt.Sprintf("spec.clusterIP %s is not in the Service network %s; leave it out to have one chosen", asked, slice)}
		case taken[asked] != "":
			out[key] = address{problem: fmt.Sprintf("spec.clusterIP %s is asked for by Service %s as well", asked, taken[asked])}
		default:
			out[key], taken[asked] = address{ip: asked}, key
		}
	}
}

func (p *planner) inForce(services []*corev1.Service, slice netip.Prefix, out map[string]address, taken map[string]string) {
	now := map[string]string{}
	for _, s := range p.observed.Routes.Services {
		now[serviceKey(s)] = s.Spec.ClusterIP
	}
	for _, s := range services {
		key := serviceKey(s)
		ip, err := netip.ParseAddr(now[key])
		if _, done := out[key]; done || err != nil || !slice.Contains(ip) || taken[ip.String()] != "" {
			continue
		}
		out[key], taken[ip.String()] = address{ip: ip.String()}, key
	}
}

// derive starts at the name's hash and takes the first free address; the slice's first and last stay unused.
func derive(s *corev1.Service, slice netip.Prefix, taken map[string]string) address {
	size := uint32(1)<<(32-slice.Bits()) - 2
	h := fnv.New32a()
	h.Write([]byte(serviceKey(s)))
	base := slice.Masked().Addr().As4()
	first := binary.BigEndian.Uint32(base[:]) + 1
	for i := range size {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], first+(h.Sum32()%size+i)%size)
		if ip := netip.AddrFrom4(b).String(); taken[ip] == "" {
			taken[ip] = serviceKey(s)
			return address{ip: ip}
		}
	}
	return address{problem: fmt.Sprintf("the Service network %s has no free address", slice)}
}
