package publisher

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The engine gives the container an address, to which it translates ports, and the container must not have it: the host
// remembers the hardware address of whoever has said last that the address is its own. Therefore the container first falls
// silent about it, and only then says that it is the gateway's. At the end its interface goes down: engines from version 28 on
// announce the address in its name for two seconds after the start.

// interval is the time between two announcements, of which any may be lost while the link comes up.
const (
	announcements = 3
	interval      = 30 * time.Millisecond
)

// address is one of an interface.
type address struct {
	link netlink.Link
	ip   netip.Addr
}

// takeAddresses takes all IPv4 addresses from the interfaces, and returns them.
func takeAddresses() ([]address, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var taken []address
	for _, link := range links {
		if link.Attrs().Flags&net.FlagLoopback != 0 {
			continue
		}
		list, err := netlink.AddrList(link, netlink.FAMILY_V4)
		if err != nil {
			return nil, fmt.Errorf("list addresses of %s: %w", link.Attrs().Name, err)
		}
		for _, a := range list {
			if err := netlink.AddrDel(link, &a); err != nil {
				return nil, fmt.Errorf("take %s from %s: %w", a.IP, link.Attrs().Name, err)
			}
			ip, _ := netip.AddrFromSlice(a.IP.To4())
			taken = append(taken, address{link, ip})
		}
	}
	if len(taken) == 0 {
		return nil, errors.New("no interface has an IPv4 address")
	}
	return taken, nil
}

// announce tells the neighbours that the gateway has the addresses.
func announce(addresses []address, gateway net.HardwareAddr) error {
	socket, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open packet socket: %w", err)
	}
	defer unix.Close(socket)
	for i := range announcements {
		if i > 0 {
			time.Sleep(interval)
		}
		for _, a := range addresses {
			to := &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ARP), Ifindex: a.link.Attrs().Index,
				Halen: 6, Addr: [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}
			if err := unix.Sendto(socket, announcement(a.ip, gateway), 0, to); err != nil {
				return fmt.Errorf("announce %s: %w", a.ip, err)
			}
		}
	}
	return nil
}

func networkOrder(n uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n))
}

// announcement is an ARP request for an address by whoever has it (RFC 5227, section 3): neighbours correct what they remember.
// As a request it counts at once, where an answer that follows another within a second does not (arp_is_garp in Linux's
// net/ipv4/arp.c).
func announcement(ip netip.Addr, mac net.HardwareAddr) []byte {
	const ethernet, request = 1, 1
	packet := binary.BigEndian.AppendUint16(nil, ethernet)
	packet = binary.BigEndian.AppendUint16(packet, unix.ETH_P_IP)
	packet = append(packet, 6, 4)
	packet = binary.BigEndian.AppendUint16(packet, request)
	packet = append(append(packet, mac...), ip.AsSlice()...)
	return append(append(packet, make([]byte, 6)...), ip.AsSlice()...)
}

// silence sets the interfaces down.
func silence(addresses []address) error {
	for _, a := range addresses {
		if err := netlink.LinkSetDown(a.link); err != nil {
			return fmt.Errorf("set %s down: %w", a.link.Attrs().Name, err)
		}
	}
	return nil
}
