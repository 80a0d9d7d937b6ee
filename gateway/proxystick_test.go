package gateway

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

func TestAClientsLastBackendComesFirst(t *testing.T) {
	a, b, c := netip.MustParseAddrPort("10.77.64.1:80"), netip.MustParseAddrPort("10.77.64.2:80"), netip.MustParseAddrPort("10.77.64.3:80")
	client, other := netip.MustParseAddr("10.77.64.20"), netip.MustParseAddr("10.77.64.21")
	now := time.Unix(1000, 0)
	var s sticky
	s.remember(client, c, now)
	for _, step := range []struct {
		who   netip.Addr
		after time.Duration
		list  []netip.AddrPort
		want  []netip.AddrPort
	}{
		{client, 59 * time.Second, []netip.AddrPort{a, b, c}, []netip.AddrPort{c, a, b}},
		{client, 59 * time.Second, []netip.AddrPort{c, b, a}, []netip.AddrPort{c, b, a}},
		{client, 59 * time.Second, []netip.AddrPort{a, b}, []netip.AddrPort{a, b}}, // it is gone
		{client, 60 * time.Second, []netip.AddrPort{a, b, c}, []netip.AddrPort{a, b, c}},
		{other, 0, []netip.AddrPort{a, b, c}, []netip.AddrPort{a, b, c}},
	} {
		got := slices.Clone(step.list)
		if s.first(step.who, got, now.Add(step.after), time.Minute); !slices.Equal(got, step.want) {
			t.Errorf("%s after %s, of %v: %v, want %v", step.who, step.after, step.list, got, step.want)
		}
	}
}

func TestMemoryOfClientsIsBounded(t *testing.T) {
	backend, now := netip.MustParseAddrPort("10.77.64.1:80"), time.Unix(1000, 0)
	var s sticky
	ip := netip.MustParseAddr("10.0.0.0")
	for range 2 * maxSticky {
		ip, now = ip.Next(), now.Add(time.Millisecond)
		if s.remember(ip, backend, now); len(s.byClient) > maxSticky {
			t.Fatalf("%d clients", len(s.byClient))
		}
	}
	old := 0
	for _, last := range s.byClient {
		if now.Sub(last.at) >= maxSticky*time.Millisecond {
			old++
		}
	}
	// An arbitrary choice would leave more than a third of them (1/e), the oldest of eight leaves an eighth.
	if n := len(s.byClient); n != maxSticky || old > maxSticky/5 {
		t.Errorf("%d clients are remembered, %d of them of the first half", n, old)
	}
}
