package docker

import (
	"fmt"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

func TestThePodNetworkIsDivided(t *testing.T) {
	for cidr, want := range map[string]string{
		"10.89.0.0/16":     "10.89.0.1 10.89.0.2 10.89.0.0/17 10.89.1.0-10.89.127.255 10.89.191.0/24 10.89.192.0/18",
		"172.20.0.0/20":    "172.20.0.1 172.20.0.2 172.20.0.0/21 172.20.0.16-172.20.7.255 172.20.11.240/28 172.20.12.0/22",
		"192.168.100.0/22": "192.168.100.1 192.168.100.2 192.168.100.0/23 192.168.100.16-192.168.101.255 192.168.102.240/28 192.168.103.0/24",
	} {
		r, err := parseRanges(cidr)
		got := fmt.Sprintf("%s %s %s %s-%s %s %s", r.bridge, r.gateway, r.pods, r.firstPod, r.lastPod, r.dynamic, r.services)
		if err != nil || got != want {
			t.Errorf("%s: %s, %v\nwant %s", cidr, got, err, want)
		}
	}
}

func TestAPodNetworkThatCannotBeDividedIsRefused(t *testing.T) {
	for _, cidr := range []string{"", "10.89.0.0", "10.89.0.1/16", "10.0.0.0/8", "10.89.0.0/24", "fd00::/64"} {
		if r, err := parseRanges(cidr); err == nil {
			t.Errorf("%q: %+v, want an error", cidr, r)
		}
	}
}

func TestTheRangesNeverOverlap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.IntRange(16, 22).Draw(t, "bits")
		base := netip.AddrFrom4([4]byte{10, byte(rapid.IntRange(0, 255).Draw(t, "second")), 0, 0})
		r, err := parseRanges(netip.PrefixFrom(base, bits).String())
		if err != nil {
			t.Fatal(err)
		}
		for _, inside := range []netip.Addr{r.bridge, r.gateway, r.firstPod, r.lastPod, r.dynamic.Addr(), r.services.Addr()} {
			if !r.subnet.Contains(inside) {
				t.Errorf("%s is not in %s", inside, r.subnet)
			}
		}
		if r.publications != r.publications.Masked() || !r.subnet.Contains(r.publications.Addr()) || r.publications.Overlaps(r.pods) ||
			r.publications.Overlaps(r.dynamic) || r.publications.Overlaps(r.services) {
			t.Errorf("publications have %s in %+v", r.publications, r)
		}
		if r.dynamic != r.dynamic.Masked() || r.services != r.services.Masked() || r.dynamic.Overlaps(r.services) ||
			r.pods.Overlaps(r.dynamic) || r.pods.Overlaps(r.services) || !r.pods.Contains(r.lastPod) || !r.pods.Contains(r.gateway) {
			t.Errorf("%+v", r)
		}
		if !r.gateway.Less(r.firstPod) || !r.firstPod.Less(r.lastPod) {
			t.Errorf("pods have %s to %s", r.firstPod, r.lastPod)
		}
	})
}

func TestPodAddressesGoRound(t *testing.T) {
	r, err := parseRanges("10.89.0.0/16")
	must(t, err)
	for after, want := range map[string]string{
		"10.89.1.0": "10.89.1.1", "10.89.1.255": "10.89.2.0", "10.89.127.255": "10.89.1.0", "10.89.0.2": "10.89.1.0",
	} {
		if got := r.nextPod(netip.MustParseAddr(after)).String(); got != want {
			t.Errorf("after %s comes %s, want %s", after, got, want)
		}
	}
	if got := r.nextPod(netip.Addr{}).String(); got != "10.89.1.0" {
		t.Errorf("the first is %s", got)
	}
}

func TestAnAddressIsUsedAgainAsLateAsPossible(t *testing.T) {
	e := &Engine{}
	e.addresses.reserved = map[string]bool{}
	e.cache.entries = map[string]*entry{}
	r, err := parseRanges("10.89.0.0/22")
	must(t, err)
	seen := map[netip.Addr]bool{}
	for {
		address, err := e.reserveAddress(r)
		if err != nil {
			break
		}
		if seen[address] {
			t.Fatalf("%s was given twice", address)
		}
		seen[address] = true
	}
	if len(seen) != 512-16 {
		t.Errorf("%d addresses were given, want 496", len(seen))
	}
	freed := netip.MustParseAddr("10.89.0.77")
	e.releaseAddress(freed)
	if address, err := e.reserveAddress(r); address != freed {
		t.Errorf("got %s, %v; want the only free one, %s", address, err, freed)
	}
}

func TestTheGatewayKeepsItsHardwareAddress(t *testing.T) {
	if got := mac(netip.MustParseAddr("10.89.0.2")); got != "02:42:0a:59:00:02" {
		t.Errorf("MAC %s", got)
	}
}
