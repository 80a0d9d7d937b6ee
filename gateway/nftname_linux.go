package gateway

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// The names of chains and sets. Namespace and name are at most 63 characters each, so they stay below the kernel's 255.

func frontName(owner string, f front) string {
	return fmt.Sprintf("%s %s/%d %s", owner, f.proto, f.port, f.ip)
}

// ruleName is that of the Service's rule, if it is a publication's.
func ruleName(r rule) string {
	if r.published() {
		return frontName(r.owner, r.of)
	}
	return frontName(r.owner, r.front)
}

func sourcesChain(r rule) string { return sourcesPrefix + frontName(r.owner, r.front) }

func serviceChain(r rule) string { return servicePrefix + ruleName(r) }

func backendChain(r rule, backend netip.AddrPort) string {
	return backendPrefix + ruleName(r) + " to " + backend.String()
}

// clientsSet holds the time-out in its name, since a set's cannot be changed.
func clientsSet(r rule, backend netip.AddrPort) string {
	return fmt.Sprintf("%s%s to %s for %d", clientsPrefix, ruleName(r), backend, int(r.affinity.Seconds()))
}

// key is the front as the kernel has it: each part fills whole words of four bytes.
func (f front) key() []byte {
	key := append(f.ip.AsSlice(), protocolNumber(f.proto), 0, 0, 0)
	return append(binary.BigEndian.AppendUint16(key, f.port), 0, 0)
}

// frontOf is the inverse of key.
func frontOf(key []byte) (front, bool) {
	if len(key) != 12 {
		return front{}, false
	}
	ip, _ := netip.AddrFromSlice(key[:4])
	f := front{ip: ip, proto: tcp, port: binary.BigEndian.Uint16(key[8:])}
	if key[4] == unix.IPPROTO_UDP {
		f.proto = udp
	}
	return f, true
}

func protocolNumber(proto string) byte {
	if proto == udp {
		return unix.IPPROTO_UDP
	}
	return unix.IPPROTO_TCP
}

// pairKey is an address as source and destination.
func pairKey(ip netip.Addr) []byte { return append(ip.AsSlice(), ip.AsSlice()...) }
