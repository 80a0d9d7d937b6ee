package gateway

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestLastAnswerHelpsWhileTheUpstreamIsAway, and the upstream is asked again a little later.
func TestLastAnswerHelpsWhileTheUpstreamIsAway(t *testing.T) {
	c := newCache()
	q := dns.Question{Name: "example.com.", Qtype: dns.TypeA, Qclass: dns.ClassINET}
	stored := time.Unix(1000, 0)
	c.put("k", record(q, "198.51.100.1", 20), stored)
	at := func(age time.Duration) time.Time { return stored.Add(age) }
	if c.get("k", at(20*time.Second)) != nil {
		t.Error("an answer is given after its time")
	}
	stale := c.stale("k", at(30*time.Second))
	if stale == nil || short(stale.Answer) != " 198.51.100.1" || stale.Answer[0].Header().Ttl != 0 {
		t.Fatalf("stale: %v", stale)
	}
	if c.get("k", at(30*time.Second+staleRetry-1)) == nil {
		t.Error("the upstream is asked again at once")
	}
	if c.get("k", at(30*time.Second+staleRetry)) != nil {
		t.Error("the upstream is not asked again")
	}
	if c.stale("k", at(20*time.Second+staleFor)) != nil {
		t.Error("an answer is given an hour after its time")
	}
	c.put("failed", failure(dns.RcodeServerFailure), stored)
	if c.stale("failed", at(2*time.Second)) != nil {
		t.Error("a failure is remembered")
	}
}

func TestUpstreamThatGoesAwayIsCoveredByTheCache(t *testing.T) {
	var away atomic.Bool
	u := upstreamAt(t, func(q dns.Question) *dns.Msg {
		if away.Load() {
			return failure(dns.RcodeServerFailure)
		}
		return record(q, "198.51.100.1", 1)
	})
	server := resolverAt(t, dnsTable(), u.address)
	question(t, server, "example.com.", dns.TypeA)
	away.Store(true)
	time.Sleep(1100 * time.Millisecond)
	if _, got := question(t, server, "example.com.", dns.TypeA); got != "NOERROR 198.51.100.1" {
		t.Errorf("a name that was known: %s", got)
	}
	if _, got := question(t, server, "example.org.", dns.TypeA); got != "SERVFAIL" {
		t.Errorf("another: %s", got)
	}
}

// TestResolverThatAsksItselfFailsSoon: the host's resolver may send everything to the gateway.
func TestResolverThatAsksItselfFailsSoon(t *testing.T) {
	var server string
	u := upstreamAt(t, func(q dns.Question) *dns.Msg {
		answer, err := dns.Exchange(&dns.Msg{MsgHdr: dns.MsgHdr{Id: dns.Id()}, Question: []dns.Question{q}}, server)
		if err != nil {
			return failure(dns.RcodeServerFailure)
		}
		return answer
	})
	server = resolverAt(t, dnsTable(), u.address)
	start := time.Now()
	if _, got := question(t, server, "example.com.", dns.TypeA); got != "SERVFAIL" || time.Since(start) > 3*time.Second {
		t.Errorf("%s after %s", got, time.Since(start))
	}
	if n := u.count.Load(); n > 4 {
		t.Errorf("one query became %d", n)
	}
	if _, got := question(t, server, "web.shop.svc.cluster.local.", dns.TypeA); got != "NOERROR 10.77.192.10" {
		t.Errorf("a name of the cluster meanwhile: %s", got)
	}
}

func TestAnswerToAnotherQuestionIsNone(t *testing.T) {
	q := dns.Question{Name: "example.com.", Qtype: dns.TypeA, Qclass: dns.ClassINET}
	good := func() *dns.Msg {
		return &dns.Msg{MsgHdr: dns.MsgHdr{Response: true}, Question: []dns.Question{{Name: "Example.COM.", Qtype: dns.TypeA, Qclass: dns.ClassINET}}}
	}
	if !answers(good(), q) {
		t.Error("the answer itself")
	}
	for what, change := range map[string]func(*dns.Msg){
		"a query":      func(m *dns.Msg) { m.Response = false },
		"another name": func(m *dns.Msg) { m.Question[0].Name = "example.org." },
		"another type": func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA },
		"no question":  func(m *dns.Msg) { m.Question = nil },
	} {
		m := good()
		if change(m); answers(m, q) {
			t.Errorf("%s passes for the answer", what)
		}
	}
}

func TestFullCacheKeepsWhatLastsLongest(t *testing.T) {
	c := newCache()
	q := dns.Question{Name: "example.com.", Qtype: dns.TypeA, Qclass: dns.ClassINET}
	now := time.Unix(1000, 0)
	for i := range cacheSize {
		c.put(fmt.Sprint("old ", i), record(q, "198.51.100.1", 1), now)
	}
	for i := range cacheSize / 4 {
		c.put(fmt.Sprint("new ", i), record(q, "198.51.100.1", 30), now)
	}
	kept := 0
	for i := range cacheSize / 4 {
		if c.get(fmt.Sprint("new ", i), now) != nil {
			kept++
		}
	}
	// Each eviction takes a new one only if all that it looks at are new: at most one in four are.
	if len(c.entries) != cacheSize || kept < cacheSize/4-cacheSize/50 {
		t.Errorf("%d entries, of %d new ones %d are kept", len(c.entries), cacheSize/4, kept)
	}
}

// TestFallbackIsAskedWhereNobodyListens, and never because an upstream is slow or fails: it may know names that others do not.
func TestFallbackIsAskedWhereNobodyListens(t *testing.T) {
	query := new(dns.Msg).SetQuestion("example.com.", dns.TypeA)
	packets, connections := sockets(t)
	nobody := packets.LocalAddr().String()
	packets.Close()
	connections.Close()
	failing := upstreamAt(t, func(dns.Question) *dns.Msg { return failure(dns.RcodeServerFailure) })
	silent := upstreamAt(t, func(dns.Question) *dns.Msg { return nil })
	for what, c := range map[string]struct {
		upstreams []string
		want      int
	}{
		"nobody listens":       {[]string{nobody}, dns.RcodeSuccess},
		"at two, nobody":       {[]string{nobody, nobody}, dns.RcodeSuccess},
		"one fails":            {[]string{nobody, failing.address}, dns.RcodeServerFailure},
		"it is slow":           {[]string{silent.address}, dns.RcodeServerFailure},
		"there is no upstream": {nil, dns.RcodeServerFailure},
	} {
		fallback := upstreamAt(t, func(q dns.Question) *dns.Msg { return record(q, "198.51.100.1", 300) })
		f := newForwarder(c.upstreams)
		f.fallbacks = []string{fallback.address}
		if got := f.resolve(t.Context(), query).Rcode; got != c.want {
			t.Errorf("%s: %s, want %s", what, dns.RcodeToString[got], dns.RcodeToString[c.want])
		}
		if asked := fallback.count.Load() > 0; asked != (c.want == dns.RcodeSuccess) {
			t.Errorf("%s: the fallback was asked: %t", what, asked)
		}
	}
}
