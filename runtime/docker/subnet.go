package docker

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// ranges divide the pod network. Of 10.89.0.0/16: the bridge has 10.89.0.1, the gateway 10.89.0.2, pods
// 10.89.1.0–10.89.127.255, publications 10.89.128.0/19, whatever Docker gives an address by itself 10.89.191.0/24, and
// Services the last quarter, 10.89.192.0/18.
type ranges struct {
	subnet netip.Prefix
	// bridge is the host's address, Docker's "gateway"; gateway is ours.
	bridge, gateway netip.Addr
	// pods is the lower half, in which every static address is; firstPod and lastPod bound what is given to pods.
	pods              netip.Prefix
	firstPod, lastPod netip.Addr
	// publications and services (the ClusterIPs) are those for which the gateway answers, dynamic is Docker's own range.
	publications, dynamic, services netip.Prefix
}

// parseRanges divides a CIDR of /16 to /22.
func parseRanges(cidr string) (ranges, error) {
	subnet, err := netip.ParsePrefix(cidr)
	if err != nil || !subnet.Addr().Is4() || subnet != subnet.Masked() {
		return ranges{}, fmt.Errorf("pod network %q: want an IPv4 network such as 10.89.0.0/16", cidr)
	}
	if bits := subnet.Bits(); bits < 16 || bits > 22 {
		return ranges{}, fmt.Errorf("pod network %s: want /16 to /22", cidr)
	}
	return divide(subnet), nil
}

// divide keeps, of 2^n addresses, the first 2^n/256 (at least 16) for the two gateways, and as many below the last
// quarter for Docker.
func divide(subnet netip.Prefix) ranges {
	size := 1 << (32 - subnet.Bits())
	small := max(size/256, 16)
	smallBits := subnet.Bits() + 8
	for 1<<(32-smallBits) < small {
		smallBits--
	}
	at := func(offset int) netip.Addr { return offsetAddr(subnet.Addr(), offset) }
	return ranges{
		subnet: subnet, bridge: at(1), gateway: at(2),
		pods:     netip.PrefixFrom(at(0), subnet.Bits()+1),
		firstPod: at(small), lastPod: at(size/2 - 1),
		publications: netip.PrefixFrom(at(size/2), subnet.Bits()+3),
		dynamic:      netip.PrefixFrom(at(size/4*3-small), smallBits),
		services:     netip.PrefixFrom(at(size/4*3), subnet.Bits()+2),
	}
}

func offsetAddr(base netip.Addr, offset int) netip.Addr {
	bytes := base.As4()
	binary.BigEndian.PutUint32(bytes[:], binary.BigEndian.Uint32(bytes[:])+uint32(offset))
	return netip.AddrFrom4(bytes)
}

// nextPod is the pod address after one, going round; the first one for an address that no pod has.
func (r ranges) nextPod(after netip.Addr) netip.Addr {
	next := after.Next()
	if !next.IsValid() || next.Less(r.firstPod) || r.lastPod.Less(next) {
		return r.firstPod
	}
	return next
}

// mac is 02:42 and the four bytes of an address: locally administered, and the same whenever the holder is made anew.
func mac(address netip.Addr) string {
	b := address.As4()
	return fmt.Sprintf("02:42:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3])
}

// candidates are the networks tried when none is asked for.
func candidates() []string {
	var out []string
	for second := 89; second <= 99; second++ {
		out = append(out, fmt.Sprintf("10.%d.0.0/16", second))
	}
	return out
}
