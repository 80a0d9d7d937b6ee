package gateway

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// exchange sends a message and returns the answer.
func exchange(t *testing.T, network, server string, query *dns.Msg) *dns.Msg {
	t.Helper()
	answer, _, err := (&dns.Client{Net: network, Timeout: 5 * time.Second, UDPSize: 4096}).Exchange(query, server)
	if err != nil {
		t.Fatalf("%v: %v", query.Question, err)
	}
	return answer
}

func TestQueriesThatAreNotResolvedGetACode(t *testing.T) {
	u := upstreamAt(t, func(q dns.Question) *dns.Msg { return record(q, "198.51.100.1", 300) })
	server := resolverAt(t, dnsTable(), u.address)
	const name = "web.shop.svc.cluster.local."
	for what, c := range map[string]struct {
		change func(*dns.Msg)
		want   int
	}{
		"class CHAOS":       {func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }, dns.RcodeRefused},
		"class ANY":         {func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassANY }, dns.RcodeRefused},
		"AXFR":              {func(m *dns.Msg) { m.Question[0] = dns.Question{Name: "cluster.local.", Qtype: dns.TypeAXFR, Qclass: 1} }, dns.RcodeRefused},
		"IXFR of others":    {func(m *dns.Msg) { m.Question[0] = dns.Question{Name: "example.com.", Qtype: dns.TypeIXFR, Qclass: 1} }, dns.RcodeRefused},
		"opcode NOTIFY":     {func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }, dns.RcodeNotImplemented},
		"opcode UPDATE":     {func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate }, dns.RcodeNotImplemented},
		"opcode STATUS":     {func(m *dns.Msg) { m.Opcode = dns.OpcodeStatus }, dns.RcodeNotImplemented},
		"two questions":     {func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }, dns.RcodeFormatError},
		"no question":       {func(m *dns.Msg) { m.Question = nil }, dns.RcodeFormatError},
		"two OPT records":   {func(m *dns.Msg) { m.SetEdns0(1232, false).SetEdns0(1232, false) }, dns.RcodeFormatError},
		"EDNS version 1":    {func(m *dns.Msg) { m.SetEdns0(1232, false).IsEdns0().SetVersion(1) }, dns.RcodeBadVers},
		"EDNS version 0":    {func(m *dns.Msg) { m.SetEdns0(1232, false) }, dns.RcodeSuccess},
		"without recursion": {func(m *dns.Msg) { m.RecursionDesired = false }, dns.RcodeSuccess},
	} {
		for _, network := range []string{"udp", "tcp"} {
			query := new(dns.Msg).SetQuestion(name, dns.TypeA)
			c.change(query)
			if got := exchange(t, network, server, query).Rcode; got != c.want {
				t.Errorf("%s by %s: %s, want %s", what, network, dns.RcodeToString[got], dns.RcodeToString[c.want])
			}
		}
	}
	if n := u.count.Load(); n != 0 {
		t.Errorf("the upstream was asked %d times", n)
	}
}

// TestBrokenPacketsDoNoHarm: a header with an ID is answered, anything shorter is not, and the next query is served.
func TestBrokenPacketsDoNoHarm(t *testing.T) {
	server := resolverAt(t, dnsTable())
	whole, err := new(dns.Msg).SetQuestion("web.shop.svc.cluster.local.", dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	loop := append(append([]byte{}, whole[:12]...), 0xc0, 0x0c, 0, 1, 0, 1) // a name that points to itself
	answered := append([]byte{}, whole...)
	answered[2] |= 0x80 // says that it is an answer
	for what, c := range map[string]struct {
		packet []byte
		want   int // the code, or -1 for silence
	}{
		"nothing": {nil, -1}, "five bytes": {whole[:5], -1}, "an answer": {answered, -1},
		"a header alone": {whole[:12], dns.RcodeFormatError}, "half a name": {whole[:20], dns.RcodeFormatError}, "a loop": {loop, dns.RcodeFormatError},
	} {
		conn, err := net.Dial("udp4", server)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write(c.packet); err != nil {
			t.Fatal(err)
		}
		wait := 5 * time.Second
		if c.want < 0 {
			wait = 200 * time.Millisecond
		}
		_ = conn.SetReadDeadline(time.Now().Add(wait))
		buffer := make([]byte, 512)
		n, err := conn.Read(buffer)
		got := -1
		if err == nil && n >= 12 {
			got = int(buffer[3] & 0xf)
		}
		if got != c.want {
			t.Errorf("%s: %d, want %d (%v)", what, got, c.want, err)
		}
	}
	if _, got := question(t, server, "web.shop.svc.cluster.local.", dns.TypeA); got != "NOERROR 10.77.192.10" {
		t.Errorf("afterwards: %s", got)
	}
}

// TestAnswersSpellNamesAsTheQueryDoes, also those from the cache: some clients send each letter in an arbitrary case and compare.
func TestAnswersSpellNamesAsTheQueryDoes(t *testing.T) {
	u := upstreamAt(t, func(q dns.Question) *dns.Msg {
		answer := record(q, "198.51.100.1", 300)
		answer.Answer[0].Header().Name = strings.ToLower(q.Name)
		return answer
	})
	server := resolverAt(t, dnsTable(), u.address)
	for _, name := range []string{"eXaMpLe.com.", "ExAmPlE.CoM.", "wEb.ShOp.SvC.clUSTer.local.", "10-77-64-10.wEb.shop.svc.cluster.local."} {
		answer, _ := question(t, server, name, dns.TypeA)
		if answer.Question[0].Name != name || len(answer.Answer) != 1 || answer.Answer[0].Header().Name != name {
			t.Errorf("%s: %v", name, answer)
		}
	}
}

func TestNameServerHasTheNamesOfOtherClusters(t *testing.T) {
	const name = "kube-dns.kube-system.svc.cluster.local."
	server := resolverAt(t, dnsTable())
	for _, c := range []struct {
		name  string
		qtype uint16
		want  string
	}{
		{name, dns.TypeA, "NOERROR 10.77.0.2"},
		{"_dns._udp." + name, dns.TypeSRV, "NOERROR 0 100 53 " + name},
		{"_dns-tcp._tcp." + name, dns.TypeSRV, "NOERROR 0 100 53 " + name},
		{"2.0.77.10.in-addr.arpa.", dns.TypePTR, "NOERROR " + name + " ns.dns.cluster.local."},
		{"dns.cluster.local.", dns.TypeA, "NOERROR"},
	} {
		if _, got := question(t, server, c.name, c.qtype); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	own := resolverAt(t, Table{Domain: "cluster.local", Services: []Service{
		{Namespace: "kube-system", Name: "kube-dns", ClusterIP: "10.77.192.99", Ports: []Port{{Name: "dns", Protocol: "UDP", Port: 53}}}}})
	if _, got := question(t, own, name, dns.TypeA); got != "NOERROR 10.77.192.99" {
		t.Errorf("with a Service of that name in git: %s", got)
	}
}

func TestWhoeverAsksForAllGetsALittle(t *testing.T) {
	server := resolverAt(t, dnsTable())
	for name, want := range map[string]string{
		"web.shop.svc.cluster.local.":     `NOERROR "RFC8482" ""`,
		"svc.cluster.local.":              "NOERROR",
		"nothing.shop.svc.cluster.local.": "NXDOMAIN",
	} {
		if _, got := question(t, server, name, dns.TypeANY); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// TestAddressOfAnEndpointOutsideThePodsHasItsName: what git says of it is known here, all else about such addresses elsewhere.
func TestAddressOfAnEndpointOutsideThePodsHasItsName(t *testing.T) {
	u := upstreamAt(t, func(q dns.Question) *dns.Msg {
		return &dns.Msg{Answer: []dns.RR{&dns.PTR{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypePTR, Class: 1, Ttl: 60}, Ptr: "upstream.example.com."}}}
	})
	server := resolverAt(t, Table{Domain: "cluster.local", Services: []Service{{Namespace: "shop", Name: "legacy", ClusterIP: "None",
		Endpoints: []Endpoint{{IP: "192.0.2.7", Hostname: "old", Ready: true}}}}}, u.address)
	for name, want := range map[string]string{
		"7.2.0.192.in-addr.arpa.": "NOERROR old.legacy.shop.svc.cluster.local.",
		"8.2.0.192.in-addr.arpa.": "NOERROR upstream.example.com.",
	} {
		if _, got := question(t, server, name, dns.TypePTR); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// TestReverseDenialIsOfTheZoneAbove: the name that is denied cannot be the top of a zone.
func TestReverseDenialIsOfTheZoneAbove(t *testing.T) {
	server := resolverAt(t, dnsTable())
	answer, got := question(t, server, "99.64.77.10.in-addr.arpa.", dns.TypePTR)
	if got != "NXDOMAIN" || len(answer.Ns) != 1 || answer.Ns[0].Header().Name != "64.77.10.in-addr.arpa." {
		t.Errorf("%s %v", got, answer.Ns)
	}
}

// TestPodThatStartsIsFoundSoon: whoever asked too early need not remember it for longer than the TTL of the denial.
func TestPodThatStartsIsFoundSoon(t *testing.T) {
	r := newResolver(AgentOptions{PodCIDR: netip.MustParsePrefix("10.77.64.0/18")}, newForwarder(nil))
	table := dnsTable()
	r.setTable(table)
	query := new(dns.Msg).SetQuestion("db-2.db.shop.svc.cluster.local.", dns.TypeA)
	denial := r.resolve(t.Context(), query)
	if soa, ok := denial.Ns[0].(*dns.SOA); denial.Rcode != dns.RcodeNameError || !ok || min(soa.Minttl, soa.Hdr.Ttl) > 5 {
		t.Errorf("before it is ready: %v", denial)
	}
	table.Services[1].Endpoints[2].Ready = true
	r.setTable(table)
	if got := short(r.resolve(t.Context(), query).Answer); got != " 10.77.64.22" {
		t.Errorf("once it is ready:%s", got)
	}
}

// TestSignaturesAreAskedForAsTheClientDoes: nothing of ours is signed, and what others signed is passed on.
func TestSignaturesAreAskedForAsTheClientDoes(t *testing.T) {
	u := upstreamAt(t, func(q dns.Question) *dns.Msg {
		answer := record(q, "198.51.100.1", 300)
		answer.AuthenticatedData = true
		return answer
	})
	server := resolverAt(t, dnsTable(), u.address)
	signed := new(dns.Msg).SetQuestion("example.com.", dns.TypeA).SetEdns0(1232, true)
	if answer := exchange(t, "udp", server, signed); !answer.AuthenticatedData || answer.IsEdns0() == nil || !answer.IsEdns0().Do() {
		t.Errorf("with DO: %v", answer)
	}
	own := new(dns.Msg).SetQuestion("web.shop.svc.cluster.local.", dns.TypeA).SetEdns0(1232, true)
	if answer := exchange(t, "udp", server, own); answer.AuthenticatedData || !answer.Authoritative || len(answer.Answer) != 1 {
		t.Errorf("of the cluster: %v", answer)
	}
	exchange(t, "udp", server, new(dns.Msg).SetQuestion("example.com.", dns.TypeA))
	if n := u.count.Load(); n != 2 {
		t.Errorf("an answer with signatures and one without are two; asked %d times", n)
	}
}
