package gateway

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// resolverAt serves a table on loopback and returns the address. upstreams are those of the forwarder.
func resolverAt(t *testing.T, table Table, upstreams ...string) string {
	t.Helper()
	opts := AgentOptions{
		PodCIDR:     netip.MustParsePrefix("10.77.64.0/18"),
		ServiceCIDR: netip.MustParsePrefix("10.77.192.0/18"),
		GatewayIP:   netip.MustParseAddr("10.77.0.2"),
	}
	r := newResolver(opts, newForwarder(upstreams))
	r.setTable(table)
	packets, connections := sockets(t)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	r.serveOn(ctx, packets, connections)
	return packets.LocalAddr().String()
}

// sockets returns a UDP and a TCP socket on one port of loopback.
func sockets(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		packets, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if connections, err := net.Listen("tcp4", packets.LocalAddr().String()); err == nil {
			return packets, connections
		}
		packets.Close()
	}
	t.Fatal("no port is free for both UDP and TCP")
	return nil, nil
}

// dnsTable has a Service with an address, a headless one, one that publishes what is not ready, and aliases.
func dnsTable() Table {
	ports := map[string]int32{"http": 8080, "": 5432}
	return Table{Domain: "cluster.local", Services: []Service{
		{Namespace: "shop", Name: "web", ClusterIP: "10.77.192.10",
			Ports: []Port{{Name: "http", Protocol: "TCP", Port: 80}, {Name: "dns", Protocol: "UDP", Port: 53}},
			Endpoints: []Endpoint{
				{IP: "10.77.64.10", Pod: "web-1", Ready: true, Ports: ports}, {IP: "10.77.64.11", Pod: "web-2", Ports: ports}}},
		{Namespace: "shop", Name: "db", ClusterIP: "None", Ports: []Port{{Protocol: "TCP", Port: 5432}},
			Endpoints: []Endpoint{
				{IP: "10.77.64.20", Hostname: "db-0", Pod: "db-0", Ready: true, Ports: ports},
				{IP: "10.77.64.21", Hostname: "db-1", Pod: "db-1", Ready: true, Ports: ports},
				{IP: "10.77.64.22", Hostname: "db-2", Pod: "db-2", Ports: ports}}},
		{Namespace: "shop", Name: "mixed", ClusterIP: "None", Ports: []Port{{Name: "http", Protocol: "TCP", Port: 80}},
			Endpoints: []Endpoint{
				{IP: "10.77.64.40", Pod: "old", Ready: true, Ports: ports},
				{IP: "10.77.64.41", Pod: "new", Ready: true, Ports: map[string]int32{"http": 9090}},
				{IP: "10.77.64.42", Pod: "portless", Ready: true}}},
		{Namespace: "shop", Name: "peers", ClusterIP: "None", PublishNotReady: true,
			Ports:     []Port{{Name: "http", Protocol: "TCP", Port: 80}},
			Endpoints: []Endpoint{{IP: "10.77.64.30", Pod: "peer", Ports: ports}}},
		{Namespace: "shop", Name: "empty", ClusterIP: "None"},
		{Namespace: "shop", Name: "outside", ExternalName: "WWW.Example.com"},
		{Namespace: "shop", Name: "alias", ExternalName: "web.shop.svc.cluster.local"},
		{Namespace: "shop", Name: "loop", ExternalName: "loop.shop.svc.cluster.local"},
	}}
}

// question asks and returns the answer in short: the records without owner, TTL and class, sorted.
func question(t *testing.T, server, name string, qtype uint16) (*dns.Msg, string) {
	t.Helper()
	query := new(dns.Msg).SetQuestion(name, qtype)
	answer, _, err := (&dns.Client{Timeout: 5 * time.Second}).Exchange(query, server)
	if err != nil {
		t.Fatalf("%s %s: %v", name, dns.TypeToString[qtype], err)
	}
	return answer, dns.RcodeToString[answer.Rcode] + short(answer.Answer)
}

func short(records []dns.RR) string {
	var words []string
	for _, rr := range records {
		words = append(words, " "+strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	slices.Sort(words)
	return strings.Join(words, "")
}

func TestClusterNames(t *testing.T) {
	upstream := upstreamAt(t, func(q dns.Question) *dns.Msg { return record(q, "198.51.100.1", 300) })
	server := resolverAt(t, dnsTable(), upstream.address)
	for _, c := range []struct {
		name  string
		qtype uint16
		want  string
	}{
		// Services with an address.
		{"web.shop.svc.cluster.local.", dns.TypeA, "NOERROR 10.77.192.10"},
		{"WEB.Shop.SVC.cluster.LOCAL.", dns.TypeA, "NOERROR 10.77.192.10"},
		{"web.shop.svc.cluster.local.", dns.TypeAAAA, "NOERROR"},
		{"web.shop.svc.cluster.local.", dns.TypeMX, "NOERROR"},
		{"_http._tcp.web.shop.svc.cluster.local.", dns.TypeSRV, "NOERROR 0 100 80 web.shop.svc.cluster.local."},
		{"_dns._udp.web.shop.svc.cluster.local.", dns.TypeSRV, "NOERROR 0 100 53 web.shop.svc.cluster.local."},
		{"_http._udp.web.shop.svc.cluster.local.", dns.TypeSRV, "NXDOMAIN"},
		{"10-77-64-10.web.shop.svc.cluster.local.", dns.TypeA, "NOERROR 10.77.64.10"},
		{"10-77-64-11.web.shop.svc.cluster.local.", dns.TypeA, "NXDOMAIN"},
		// Headless Services: what is ready.
		{"db.shop.svc.cluster.local.", dns.TypeA, "NOERROR 10.77.64.20 10.77.64.21"},
		{"db-0.db.shop.svc.cluster.local.", dns.TypeA, "NOERROR 10.77.64.20"},
		{"db-2.db.shop.svc.cluster.local.", dns.TypeA, "NXDOMAIN"},
		{"db.shop.svc.cluster.local.", dns.TypeSRV,
			"NOERROR 0 50 5432 db-0.db.shop.svc.cluster.local. 0 50 5432 db-1.db.shop.svc.cluster.local."},
		{"_http._tcp.peers.shop.svc.cluster.local.", dns.TypeSRV,
			"NOERROR 0 100 8080 10-77-64-30.peers.shop.svc.cluster.local."},
		{"peers.shop.svc.cluster.local.", dns.TypeA, "NOERROR 10.77.64.30"},
		{"mixed.shop.svc.cluster.local.", dns.TypeA, "NOERROR 10.77.64.40 10.77.64.41 10.77.64.42"},
		{"_http._tcp.mixed.shop.svc.cluster.local.", dns.TypeSRV,
			"NOERROR 0 50 8080 10-77-64-40.mixed.shop.svc.cluster.local. 0 50 9090 10-77-64-41.mixed.shop.svc.cluster.local."},
		{"empty.shop.svc.cluster.local.", dns.TypeA, "NOERROR"},
		// Names that exist because others are below them, and names that do not exist.
		{"_tcp.web.shop.svc.cluster.local.", dns.TypeA, "NOERROR"},
		{"shop.svc.cluster.local.", dns.TypeA, "NOERROR"},
		{"svc.cluster.local.", dns.TypeA, "NOERROR"},
		{"nothing.shop.svc.cluster.local.", dns.TypeA, "NXDOMAIN"},
		{"web.other.svc.cluster.local.", dns.TypeA, "NXDOMAIN"},
		{"www.example.com.shop.svc.cluster.local.", dns.TypeA, "NXDOMAIN"},
		{"example.com.cluster.local.", dns.TypeAAAA, "NXDOMAIN"},
		// Pods.
		{"10-77-64-99.shop.pod.cluster.local.", dns.TypeA, "NOERROR 10.77.64.99"},
		{"10-77-192-10.shop.pod.cluster.local.", dns.TypeA, "NXDOMAIN"},
		{"10-77-64.shop.pod.cluster.local.", dns.TypeA, "NXDOMAIN"},
		{"10-77-64-99.shop.pod.cluster.local.", dns.TypeAAAA, "NOERROR"},
		{"shop.pod.cluster.local.", dns.TypeA, "NOERROR"},
		{"10-77-64-99.shop.x.pod.cluster.local.", dns.TypeA, "NXDOMAIN"},
		// Addresses.
		{"10.192.77.10.in-addr.arpa.", dns.TypePTR, "NOERROR web.shop.svc.cluster.local."},
		{"20.64.77.10.in-addr.arpa.", dns.TypePTR, "NOERROR db-0.db.shop.svc.cluster.local."},
		{"10.64.77.10.in-addr.arpa.", dns.TypePTR, "NOERROR 10-77-64-10.web.shop.svc.cluster.local."},
		{"10.64.77.10.in-addr.arpa.", dns.TypeA, "NOERROR"},
		{"99.64.77.10.in-addr.arpa.", dns.TypePTR, "NXDOMAIN"},
		// The zone itself.
		{"dns-version.cluster.local.", dns.TypeTXT, `NOERROR "1.1.0"`},
		{"cluster.local.", dns.TypeNS, "NOERROR ns.dns.cluster.local."},
		{"ns.dns.cluster.local.", dns.TypeA, "NOERROR 10.77.0.2"},
		// Aliases.
		{"outside.shop.svc.cluster.local.", dns.TypeA, "NOERROR 198.51.100.1 www.example.com."},
		{"outside.shop.svc.cluster.local.", dns.TypeCNAME, "NOERROR www.example.com."},
		{"alias.shop.svc.cluster.local.", dns.TypeA, "NOERROR 10.77.192.10 web.shop.svc.cluster.local."},
		{"loop.shop.svc.cluster.local.", dns.TypeA, "SERVFAIL"},
	} {
		answer, got := question(t, server, c.name, c.qtype)
		if got != c.want {
			t.Errorf("%s %s: %s, want %s", c.name, dns.TypeToString[c.qtype], got, c.want)
		}
		checkDenial(t, c.name, answer)
	}
	for _, name := range upstream.asked() {
		if strings.HasSuffix(strings.ToLower(name), "cluster.local.") || strings.HasSuffix(name, ".77.10.in-addr.arpa.") {
			t.Errorf("%s left the cluster", name)
		}
	}
}

// checkDenial wants every answer without records to say for how short a time it may be remembered.
func checkDenial(t *testing.T, name string, answer *dns.Msg) {
	t.Helper()
	if answer.Rcode == dns.RcodeServerFailure || len(answer.Answer) > 0 {
		return
	}
	if len(answer.Ns) != 1 {
		t.Errorf("%s: a denial without SOA", name)
		return
	}
	if soa, ok := answer.Ns[0].(*dns.SOA); !ok || soa.Hdr.Ttl != 5 || soa.Minttl != 5 {
		t.Errorf("%s: denied by %s", name, answer.Ns[0])
	}
}

func TestServiceRecordBringsAddresses(t *testing.T) {
	server := resolverAt(t, dnsTable())
	answer, _ := question(t, server, "db.shop.svc.cluster.local.", dns.TypeSRV)
	if got := short(answer.Extra); got != " 10.77.64.20 10.77.64.21" {
		t.Errorf("additional records %s", got)
	}
	if ttl := answer.Answer[0].Header().Ttl; ttl != 5 {
		t.Errorf("TTL %d", ttl)
	}
}

func TestAddressesOfHeadlessServiceTakeTurns(t *testing.T) {
	server := resolverAt(t, dnsTable())
	first := map[string]int{}
	for range 60 {
		answer, _ := question(t, server, "db.shop.svc.cluster.local.", dns.TypeA)
		first[answer.Answer[0].(*dns.A).A.String()]++
	}
	if len(first) != 2 || first["10.77.64.20"] < 10 || first["10.77.64.21"] < 10 {
		t.Errorf("first in the answers: %v", first)
	}
}

func TestLongAnswerIsCutByUDPAndWholeByTCP(t *testing.T) {
	service := Service{Namespace: "shop", Name: "many", ClusterIP: "None"}
	for i := range 200 {
		service.Endpoints = append(service.Endpoints, Endpoint{IP: fmt.Sprintf("10.77.65.%d", i), Ready: true})
	}
	server := resolverAt(t, Table{Domain: "cluster.local", Services: []Service{service}})
	query := new(dns.Msg).SetQuestion("many.shop.svc.cluster.local.", dns.TypeA)
	for _, c := range []struct {
		network  string
		edns     uint16
		least    int
		most     int
		complete bool
	}{{"udp", 0, 25, 40, false}, {"udp", 1232, 60, 80, false}, {"udp", 4096, 60, 80, false}, {"tcp", 0, 200, 200, true}} {
		q := query.Copy()
		if c.edns > 0 {
			q.SetEdns0(c.edns, false)
		}
		answer, _, err := (&dns.Client{Net: c.network, UDPSize: 4096, Timeout: 5 * time.Second}).Exchange(q, server)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(answer.Answer); n < c.least || n > c.most || answer.Truncated == c.complete {
			t.Errorf("%s with EDNS size %d: %d addresses, truncated %t", c.network, c.edns, n, answer.Truncated)
		}
		if has := answer.IsEdns0() != nil; has != (c.edns > 0) {
			t.Errorf("%s with EDNS size %d: EDNS in the answer is %t", c.network, c.edns, has)
		}
	}
}

// upstream is a name server on loopback that counts who asks for what.
type upstream struct {
	address string
	count   atomic.Int32
	names   chan string
}

func (u *upstream) asked() []string {
	var names []string
	for {
		select {
		case name := <-u.names:
			names = append(names, name)
		default:
			return names
		}
	}
}

// upstreamAt starts one; a nil answer is silence.
func upstreamAt(t *testing.T, answer func(dns.Question) *dns.Msg) *upstream {
	t.Helper()
	u := &upstream{names: make(chan string, 1000)}
	packets, connections := sockets(t)
	u.address = packets.LocalAddr().String()
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, query *dns.Msg) {
		u.count.Add(1)
		u.names <- query.Question[0].Name
		reply := answer(query.Question[0])
		if reply == nil {
			return
		}
		rcode := reply.Rcode
		reply.SetReply(query).Rcode = rcode
		if _, ok := w.RemoteAddr().(*net.UDPAddr); ok {
			reply.Truncate(dns.MinMsgSize)
		}
		_ = w.WriteMsg(reply)
	})
	for _, server := range []*dns.Server{{PacketConn: packets, Handler: handler}, {Listener: connections, Handler: handler}} {
		go server.ActivateAndServe()
		t.Cleanup(func() { server.Shutdown() })
	}
	return u
}

// record answers with one address.
func record(q dns.Question, ip string, ttl uint32) *dns.Msg {
	rr := &dns.A{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: ttl}, A: net.ParseIP(ip)}
	return &dns.Msg{Answer: []dns.RR{rr}}
}

func failure(rcode int) *dns.Msg { return &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: rcode}} }

func TestOtherNamesAreForwardedAndRemembered(t *testing.T) {
	u := upstreamAt(t, func(q dns.Question) *dns.Msg { return record(q, "198.51.100.1", 300) })
	server := resolverAt(t, dnsTable(), u.address)
	for range 5 {
		answer, got := question(t, server, "example.com.", dns.TypeA)
		if got != "NOERROR 198.51.100.1" || answer.Authoritative || !answer.RecursionAvailable {
			t.Fatalf("%s, %+v", got, answer.MsgHdr)
		}
	}
	question(t, server, "EXAMPLE.com.", dns.TypeA)
	if n := u.count.Load(); n != 1 {
		t.Errorf("the upstream was asked %d times", n)
	}
	question(t, server, "example.com.", dns.TypeAAAA)
	if n := u.count.Load(); n != 2 {
		t.Errorf("after another type the upstream was asked %d times", n)
	}
}

func TestUpstreamThatFailsIsPassedOver(t *testing.T) {
	for name, first := range map[string]func(dns.Question) *dns.Msg{
		"says SERVFAIL": func(dns.Question) *dns.Msg { return failure(dns.RcodeServerFailure) },
		"says REFUSED":  func(dns.Question) *dns.Msg { return failure(dns.RcodeRefused) },
		"is silent":     func(dns.Question) *dns.Msg { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			bad := upstreamAt(t, first)
			good := upstreamAt(t, func(q dns.Question) *dns.Msg { return record(q, "198.51.100.1", 300) })
			server := resolverAt(t, dnsTable(), bad.address, good.address)
			start := time.Now()
			if _, got := question(t, server, "example.com.", dns.TypeA); got != "NOERROR 198.51.100.1" {
				t.Error(got)
			}
			if took := time.Since(start); took > 1500*time.Millisecond {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func TestNoAnswerFromOutsideIsAFailureSoon(t *testing.T) {
	u := upstreamAt(t, func(dns.Question) *dns.Msg { return nil })
	server := resolverAt(t, dnsTable(), u.address)
	start := time.Now()
	if _, got := question(t, server, "example.com.", dns.TypeA); got != "SERVFAIL" {
		t.Error(got)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
	if n := u.count.Load(); n != 2 {
		t.Errorf("a lost datagram is sent again: asked %d times", n)
	}
	start = time.Now()
	if _, got := question(t, server, "example.com.", dns.TypeA); got != "SERVFAIL" || time.Since(start) > time.Second {
		t.Errorf("the second time: %s after %s", got, time.Since(start))
	}
}

func TestLongAnswerFromOutsideComesByTCP(t *testing.T) {
	u := upstreamAt(t, func(q dns.Question) *dns.Msg {
		answer := &dns.Msg{}
		for i := range 100 {
			answer.Answer = append(answer.Answer, record(q, fmt.Sprintf("198.51.100.%d", i), 300).Answer...)
		}
		return answer
	})
	server := resolverAt(t, dnsTable(), u.address)
	query := new(dns.Msg).SetQuestion("example.com.", dns.TypeA)
	answer, _, err := (&dns.Client{Net: "tcp", Timeout: 5 * time.Second}).Exchange(query, server)
	if err != nil || len(answer.Answer) != 100 {
		t.Errorf("%d addresses, %v", len(answer.Answer), err)
	}
}

func TestNamesChangeWithTheTable(t *testing.T) {
	r := newResolver(AgentOptions{}, newForwarder(nil))
	query := new(dns.Msg).SetQuestion("web.shop.svc.cluster.local.", dns.TypeA)
	if got := r.resolve(t.Context(), query).Rcode; got != dns.RcodeNameError {
		t.Errorf("before: %s", dns.RcodeToString[got])
	}
	r.setTable(dnsTable())
	if got := short(r.resolve(t.Context(), query).Answer); got != " 10.77.192.10" {
		t.Errorf("after:%s", got)
	}
}

func TestCacheCountsTTLsDownAndIsBounded(t *testing.T) {
	c := newCache()
	now := time.Unix(1000, 0)
	q := dns.Question{Name: "example.com.", Qtype: dns.TypeA, Qclass: dns.ClassINET}
	ttlAt := func(age time.Duration) int {
		answer := c.get("k", now.Add(age))
		if answer == nil {
			return -1
		}
		return int(answer.Answer[0].Header().Ttl)
	}
	for _, step := range []struct {
		ttl  uint32
		age  time.Duration
		want int
	}{
		{20, 0, 20}, {20, 7 * time.Second, 13}, {20, 20 * time.Second, -1},
		{3600, 0, 30}, {3600, 29 * time.Second, 1}, {3600, 30 * time.Second, -1}, {0, 0, -1},
	} {
		delete(c.entries, "k")
		c.put("k", record(q, "198.51.100.1", step.ttl), now)
		if got := ttlAt(step.age); got != step.want {
			t.Errorf("TTL %d after %s: %d, want %d", step.ttl, step.age, got, step.want)
		}
	}
	for i := range 2 * cacheSize {
		c.put(fmt.Sprint(i), record(q, "198.51.100.1", 20), now)
	}
	if n := len(c.entries); n != cacheSize {
		t.Errorf("%d entries", n)
	}
}

func TestDenialIsKeptAsLongAsItsSOASays(t *testing.T) {
	deny := func(ttl, minimum uint32) *dns.Msg {
		m := failure(dns.RcodeNameError)
		m.Ns = []dns.RR{&dns.SOA{Hdr: dns.RR_Header{Name: "com.", Rrtype: dns.TypeSOA, Ttl: ttl}, Minttl: minimum}}
		return m
	}
	for want, answer := range map[uint32]*dns.Msg{
		7: deny(900, 7), 9: deny(9, 900), maxTTL: deny(900, 900), 0: failure(dns.RcodeNameError),
		failureTTL: failure(dns.RcodeServerFailure),
	} {
		if got := lifetime(answer); got != want {
			t.Errorf("lifetime %d, want %d", got, want)
		}
	}
}

func TestUpstreamsNeverIncludeTheGateway(t *testing.T) {
	self := netip.MustParseAddr("10.77.0.2")
	got, err := resolveUpstreams([]string{"10.77.0.2", "192.0.2.1", "192.0.2.2:5353", "2001:db8::1"}, self)
	if err != nil || !slices.Equal(got, []string{"192.0.2.1:53", "192.0.2.2:5353", "[2001:db8::1]:53"}) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := resolveUpstreams([]string{"ns.example.com"}, self); err == nil {
		t.Error("a name is no address of a name server")
	}
}
