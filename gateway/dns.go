package gateway

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/miekg/dns"
)

const (
	dnsPort = 53
	// ttl in seconds of everything in the cluster, denials included: a client must not miss a change for longer.
	ttl = 5
	// maxUDP is what fits a datagram without fragments on any path (DNS flag day 2020). Whoever needs more uses TCP.
	maxUDP = 1232
	// maxChain bounds the aliases that are followed for one answer.
	maxChain = 8
)

// resolver answers for the cluster's domain and for the addresses of pods and Services, and forwards the rest.
type resolver struct {
	podCIDR, serviceCIDR netip.Prefix
	gatewayIP            netip.Addr
	zone                 atomic.Pointer[zone]
	forwarder            *forwarder
}

func newResolver(opts AgentOptions, f *forwarder) *resolver {
	r := &resolver{podCIDR: opts.PodCIDR, serviceCIDR: opts.ServiceCIDR, gatewayIP: opts.GatewayIP, forwarder: f}
	r.setTable(Table{Domain: DefaultDomain})
	return r
}

// setTable replaces what is known of the cluster, between two queries.
func (r *resolver) setTable(t Table) { r.zone.Store(newZone(t, r.gatewayIP)) }

// serve listens by UDP and TCP until ctx ends. A server that ends earlier reports on the channel.
func (r *resolver) serve(ctx context.Context, address netip.AddrPort) (<-chan error, error) {
	packets, err := listenUDP(ctx, address.String())
	if err != nil {
		return nil, fmt.Errorf("listen for DNS: %w", err)
	}
	connections, err := listenTCP(ctx, address.String())
	if err != nil {
		packets.Close()
		return nil, fmt.Errorf("listen for DNS: %w", err)
	}
	return r.serveOn(ctx, packets, connections), nil
}

// serveOn serves on open sockets, which it closes when ctx ends.
func (r *resolver) serveOn(ctx context.Context, packets net.PacketConn, connections net.Listener) <-chan error {
	failed := make(chan error, 2)
	for _, server := range []*dns.Server{
		{PacketConn: packets, Handler: r, UDPSize: dns.DefaultMsgSize},
		{Listener: connections, Handler: r},
	} {
		go func() { failed <- server.ActivateAndServe() }()
	}
	context.AfterFunc(ctx, func() {
		packets.Close()
		connections.Close()
	})
	return failed
}

// ServeDNS implements dns.Handler.
func (r *resolver) ServeDNS(w dns.ResponseWriter, query *dns.Msg) {
	answer := r.resolve(context.Background(), query)
	size := dns.MaxMsgSize
	if _, ok := w.RemoteAddr().(*net.UDPAddr); ok {
		size = dns.MinMsgSize
	}
	if asked := query.IsEdns0(); asked != nil {
		if size == dns.MinMsgSize {
			size = min(max(int(asked.UDPSize()), dns.MinMsgSize), maxUDP)
		}
		answer.SetEdns0(maxUDP, asked.Do())
	}
	answer.Truncate(size)
	// A client that went away is no matter.
	_ = w.WriteMsg(answer)
}

// resolve answers any query, without EDNS and at full length.
func (r *resolver) resolve(ctx context.Context, query *dns.Msg) *dns.Msg {
	if rcode := refusal(query); rcode != dns.RcodeSuccess {
		return new(dns.Msg).SetRcode(query, rcode)
	}
	q := query.Question[0]
	z := r.zone.Load()
	if dns.IsSubDomain(z.domain, dns.CanonicalName(q.Name)) {
		return r.resolveName(ctx, z, query)
	}
	if ip, ok := reverseAddress(q.Name); ok && (len(z.reverse[ip]) > 0 || r.podCIDR.Contains(ip) || r.serviceCIDR.Contains(ip)) {
		return resolveAddress(z, query, ip)
	}
	return r.forwarder.resolve(ctx, query)
}

// refusal is the code that a query gets which is not resolved; RcodeSuccess for all others.
func refusal(query *dns.Msg) int {
	if query.Opcode != dns.OpcodeQuery {
		return dns.RcodeNotImplemented
	}
	if len(query.Question) != 1 || len(options(query)) > 1 { // RFC 6891, section 6.1.1
		return dns.RcodeFormatError
	}
	if asked := query.IsEdns0(); asked != nil && asked.Version() != 0 {
		return dns.RcodeBadVers
	}
	q := query.Question[0]
	if q.Qclass != dns.ClassINET || q.Qtype == dns.TypeAXFR || q.Qtype == dns.TypeIXFR {
		return dns.RcodeRefused
	}
	return dns.RcodeSuccess
}

// options are the OPT records of a query.
func options(query *dns.Msg) []dns.RR {
	return slices.DeleteFunc(slices.Clone(query.Extra), func(rr dns.RR) bool { return rr.Header().Rrtype != dns.TypeOPT })
}

// resolveName answers for a name in the cluster's domain.
func (r *resolver) resolveName(ctx context.Context, z *zone, query *dns.Msg) *dns.Msg {
	q := query.Question[0]
	answer := authoritative(query)
	found := z.lookup(q.Name, r.podCIDR)
	switch {
	case found == nil:
		answer.Rcode = dns.RcodeNameError
	case found.cname != "":
		return r.resolveAlias(ctx, z, query, found.cname)
	default:
		r.fill(z, answer, q, found)
	}
	if len(answer.Answer) == 0 {
		answer.Ns = []dns.RR{soa(z.domain, z)}
	}
	return answer
}

// nameServer is the name that the zone's NS record gives.
func nameServer(z *zone) string { return "ns.dns." + z.domain }

// fill adds the records of the type that was asked for.
func (r *resolver) fill(z *zone, answer *dns.Msg, q dns.Question, found *records) {
	switch q.Qtype {
	case dns.TypeA:
		answer.Answer = addressRecords(q, shuffled(found.addresses))
	case dns.TypeSRV:
		answer.Answer, answer.Extra = serviceRecords(z, q, shuffled(found.services))
	case dns.TypeTXT:
		if found.text != "" {
			answer.Answer = []dns.RR{&dns.TXT{Hdr: header(q.Name, dns.TypeTXT), Txt: []string{found.text}}}
		}
	case dns.TypeANY: // whoever wants all gets a little (RFC 8482, section 4.2)
		if !found.empty() {
			answer.Answer = []dns.RR{&dns.HINFO{Hdr: header(q.Name, dns.TypeHINFO), Cpu: "RFC8482"}}
		}
	case dns.TypeSOA:
		if dns.CanonicalName(q.Name) == z.domain {
			answer.Answer = []dns.RR{soa(q.Name, z)}
		}
	case dns.TypeNS:
		if dns.CanonicalName(q.Name) == z.domain {
			answer.Answer = []dns.RR{&dns.NS{Hdr: header(q.Name, dns.TypeNS), Ns: nameServer(z)}}
			answer.Extra = []dns.RR{address(nameServer(z), r.gatewayIP)}
		}
	}
}

// resolveAlias answers with the alias and what its target resolves to, wherever that is.
func (r *resolver) resolveAlias(ctx context.Context, z *zone, query *dns.Msg, alias string) *dns.Msg {
	answer := authoritative(query)
	q := query.Question[0]
	for range maxChain {
		answer.Answer = append(answer.Answer, &dns.CNAME{Hdr: header(q.Name, dns.TypeCNAME), Target: alias})
		if q.Qtype == dns.TypeCNAME {
			return answer
		}
		q.Name = alias
		found := z.lookup(alias, r.podCIDR)
		if found == nil || found.cname == "" {
			break
		}
		alias = found.cname
	}
	if found := z.lookup(alias, r.podCIDR); found != nil && found.cname != "" {
		return new(dns.Msg).SetRcode(query, dns.RcodeServerFailure)
	}
	next := query.Copy()
	next.Question[0] = q
	rest := r.resolve(ctx, next)
	answer.Answer = append(answer.Answer, rest.Answer...)
	answer.Ns, answer.Rcode = rest.Ns, rest.Rcode
	return answer
}

// resolveAddress answers for the name of a pod's or Service's address.
func resolveAddress(z *zone, query *dns.Msg, ip netip.Addr) *dns.Msg {
	q := query.Question[0]
	answer := authoritative(query)
	names := z.reverse[ip]
	if q.Qtype == dns.TypePTR {
		for _, name := range names {
			answer.Answer = append(answer.Answer, &dns.PTR{Hdr: header(q.Name, dns.TypePTR), Ptr: name})
		}
	}
	if len(names) == 0 {
		answer.Rcode = dns.RcodeNameError
	}
	if len(answer.Answer) == 0 {
		answer.Ns = []dns.RR{soa(reverseZone(q.Name), z)}
	}
	return answer
}

// reverseZone is c.b.a.in-addr.arpa of d.c.b.a.in-addr.arpa.
func reverseZone(name string) string {
	_, parent, _ := strings.Cut(name, ".")
	return parent
}

// authoritative starts an answer about what is ours to know.
func authoritative(query *dns.Msg) *dns.Msg {
	answer := new(dns.Msg).SetReply(query)
	answer.Authoritative, answer.RecursionAvailable = true, true
	return answer
}

func header(name string, rrtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: rrtype, Class: dns.ClassINET, Ttl: ttl}
}

func address(name string, ip netip.Addr) dns.RR {
	return &dns.A{Hdr: header(name, dns.TypeA), A: ip.AsSlice()}
}

// addressRecords answers an A query; other types get none.
func addressRecords(q dns.Question, addresses []netip.Addr) []dns.RR {
	if q.Qtype != dns.TypeA {
		return nil
	}
	var list []dns.RR
	for _, ip := range addresses {
		list = append(list, address(q.Name, ip))
	}
	return list
}

// serviceRecords returns a record for each target, all of one weight, and the addresses of the targets.
func serviceRecords(z *zone, q dns.Question, targets []target) (answer, extra []dns.RR) {
	seen := map[string]bool{}
	for _, t := range targets {
		answer = append(answer, &dns.SRV{Hdr: header(q.Name, dns.TypeSRV), Weight: uint16(max(1, 100/len(targets))),
			Port: t.port, Target: t.name})
		if seen[t.name] {
			continue
		}
		seen[t.name] = true
		for _, ip := range z.names[dns.CanonicalName(t.name)].addresses {
			extra = append(extra, address(t.name, ip))
		}
	}
	return answer, extra
}

// soa goes with every denial: its TTL and minimum say how long that may be remembered.
func soa(name string, z *zone) dns.RR {
	return &dns.SOA{Hdr: header(name, dns.TypeSOA), Ns: nameServer(z), Mbox: "hostmaster." + z.domain,
		Serial: 1, Refresh: 7200, Retry: 1800, Expire: 86400, Minttl: ttl}
}

// shuffled returns a copy in random order: many clients take the first.
func shuffled[T any](list []T) []T {
	list = append([]T(nil), list...)
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}
