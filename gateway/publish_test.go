//go:build linux

package gateway_test

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/podyard/podyard/gateway"
)

const (
	publicationIP  = "10.77.128.0"
	publicationMAC = "02:42:0a:4d:80:00"
	outsideIP      = "203.0.113.7"
	vip            = "10.77.192.10"
)

// publish plugs in a publication as the engine makes its container.
func (l *lab) publish(t *testing.T) *namespace {
	t.Helper()
	ns := l.plug(t, publicationIP, publicationMAC)
	l.runPublication(t, ns)
	return ns
}

func (l *lab) runPublication(t *testing.T, ns *namespace) {
	t.Helper()
	ready := filepath.Join(t.TempDir(), "open")
	ns.start(t, part("publish", "--gateway-mac="+gatewayMAC, "--ready="+ready))
	eventually(t, "the publication", func() error { return exists(ready) })
}

// outside is a client beyond the host, which routes between it and the pod network. Its own way in leads to the publication, as
// the engine's translation would lead it there.
func (l *lab) outside(t *testing.T) *namespace {
	t.Helper()
	ns := newNamespace(t)
	l.host.must(t, func() error {
		veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "outside"}, PeerName: "eth0", PeerNamespace: netlink.NsFd(ns.file.Fd())}
		if err := netlink.LinkAdd(veth); err != nil {
			return err
		}
		return addressed("outside", "203.0.113.1/24")
	})
	l.host.must(t, func() error { return forwarding("1") })
	ns.must(t, func() error {
		if err := addressed("eth0", outsideIP+"/24"); err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP("203.0.113.1")})
	})
	return ns
}

// published leads port 30080 and, by UDP, 30053, to the Service.
func published(sources ...string) []gateway.Publication {
	p := gateway.Publication{IP: netip.MustParseAddr(publicationIP), To: netip.MustParseAddr(vip),
		Ports: []gateway.PublishedPort{{Protocol: "TCP", Port: 30080, ToPort: 80}, {Protocol: "UDP", Port: 30053, ToPort: 53}}}
	for _, source := range sources {
		p.Sources = append(p.Sources, netip.MustParsePrefix(source))
	}
	return []gateway.Publication{p}
}

func (a *agent) applyPublished(t *testing.T, list []gateway.Publication, services ...gateway.Service) {
	t.Helper()
	table := gateway.Table{Domain: gateway.DefaultDomain, Services: services, Publications: list}
	if err := a.Apply(timeout(t, 60*time.Second), table); err != nil {
		t.Fatal(err)
	}
}

// seen calls the publication by TCP and UDP and wants the backend to see a client.
func (ns *namespace) seen(t *testing.T, want string) {
	t.Helper()
	for _, call := range []struct{ network, port string }{{"tcp4", "30080"}, {"udp4", "30053"}} {
		backend, client, err := ns.call(call.network, net.JoinHostPort(publicationIP, call.port))
		if err != nil || backend == "" || client != want {
			t.Errorf("by %s, %q saw %q, %v; want it to see %s", call.network, backend, client, err, want)
		}
	}
}

func TestAPublicationKeepsTheClientsAddress(t *testing.T) {
	l := newLab(t)
	l.pod(t, "one", "10.77.64.1")
	a := l.agent(t, gateway.BackendNftables)
	a.applyPublished(t, published(), service("web", vip, "10.77.64.1"))
	l.publish(t)
	outside := l.outside(t)
	outside.seen(t, outsideIP)
	l.host.seen(t, bridgeIP)
	pod := l.plug(t, "10.77.64.9", "")
	pod.seen(t, "10.77.64.9")

	// Another agent finds it in the kernel, and in the state file.
	a.kill(t)
	outside.seen(t, outsideIP)
	again := l.agent(t, gateway.BackendNftables)
	outside.seen(t, outsideIP)
	if table := again.Table(); !reflect.DeepEqual(table.Publications, published()) {
		t.Errorf("the next agent serves the publications %v", table.Publications)
	}
}

func TestAPublicationIsServedByTheProxyToo(t *testing.T) {
	l := newLab(t)
	l.pod(t, "one", "10.77.64.1")
	l.agent(t, gateway.BackendUserspace).applyPublished(t, published(), service("web", vip, "10.77.64.1"))
	l.publish(t)
	l.outside(t).seen(t, gatewayIP)
}

func TestAPublicationLeadsAClientBackToItsOwnPod(t *testing.T) {
	backends(t, func(t *testing.T, backend string) {
		l := newLab(t)
		pod := l.pod(t, "one", "10.77.64.1")
		l.agent(t, backend).applyPublished(t, published(), service("web", vip, "10.77.64.1"))
		l.publish(t)
		pod.seen(t, gatewayIP)
	})
}

func TestAPublicationLeadsToWhatHasNoReturnRoute(t *testing.T) {
	backends(t, func(t *testing.T, backend string) {
		l := newLab(t)
		l.backend(t, l.plug(t, "10.77.1.5", ""), "external", "8080") // not among the pods
		l.agent(t, backend).applyPublished(t, published(), service("web", vip, "10.77.1.5"))
		l.publish(t)
		l.outside(t).seen(t, gatewayIP)
	})
}

func TestAClientFromOutsideStaysWithItsBackend(t *testing.T) {
	backends(t, func(t *testing.T, backend string) {
		l := newLab(t)
		var pods []string
		for i := range 3 {
			ip := fmt.Sprintf("10.77.64.%d", i+1)
			l.pod(t, ip, ip)
			pods = append(pods, ip)
		}
		web := service("web", vip, pods...)
		web.AffinitySeconds = 60
		l.agent(t, backend).applyPublished(t, published("203.0.113.0/24"), web)
		l.publish(t)
		outside := l.outside(t)
		answered := map[string]bool{}
		for range 20 {
			backend, _ := outside.mustCall(t, "tcp4", publicationIP+":30080")
			answered[backend] = true
		}
		if len(answered) != 1 {
			t.Errorf("one client was answered by %v", answered)
		}
	})
}

func TestAPublicationRefusesAtOnceWhereTheServiceDoes(t *testing.T) {
	backends(t, func(t *testing.T, backend string) {
		l := newLab(t)
		l.pod(t, "one", "10.77.64.1")
		a := l.agent(t, backend)
		l.publish(t)
		outside := l.outside(t)
		a.applyPublished(t, published(), service("web", vip, "10.77.64.1"))
		outside.mustCall(t, "tcp4", publicationIP+":30080")
		outside.refused(t, "10.77.128.0:30081")
		outside.refused(t, "10.77.128.1:30080")
		a.applyPublished(t, published(), service("web", vip))
		outside.refused(t, publicationIP+":30080")
		a.applyPublished(t, published())
		outside.refused(t, publicationIP+":30080")
		a.applyPublished(t, published(), service("web", vip, "10.77.64.1"))
		outside.mustCall(t, "tcp4", publicationIP+":30080")
		a.applyPublished(t, nil, service("web", vip, "10.77.64.1"))
		outside.refused(t, publicationIP+":30080")
	})
}

// refused fails unless connections to the address are refused at once.
func (ns *namespace) refused(t *testing.T, address string) {
	t.Helper()
	begin := time.Now()
	if backend, _, err := ns.call("tcp4", address); err == nil || time.Since(begin) > time.Second {
		t.Errorf("%s is answered by %q, %v after %s", address, backend, err, time.Since(begin))
	}
}

// The engine gives the container its address again at each start, and the host may have asked who has it before the process in it
// runs.
func TestTheGatewayHasThePublicationsAddressAtOnce(t *testing.T) {
	l := newLab(t)
	l.pod(t, "one", "10.77.64.1")
	l.agent(t, gateway.BackendNftables).applyPublished(t, published(), service("web", vip, "10.77.64.1"))
	ns := l.publish(t)
	outside := l.outside(t)
	conn, err := outside.dial("tcp4", publicationIP+":30080", "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 5 {
		ns.must(t, func() error { return addressed("eth0", publicationIP+"/16") })
		// What Docker 28 and later say, and what the host remembers then.
		l.host.must(t, func() error { return remember(publicationIP, publicationMAC) })
		l.runPublication(t, ns)
		if mac, err := l.host.neighbour(publicationIP); err != nil || mac != gatewayMAC {
			t.Errorf("the host takes %s for it, %v", mac, err)
		}
		if _, client, err := ask(conn); err != nil || client != outsideIP {
			t.Errorf("on an established connection: client %q, %v", client, err)
		}
		outside.seen(t, outsideIP)
	}
}

// remember has the neighbours' table hold an entry as if it had just been confirmed.
func remember(ip, mac string) error {
	link, err := netlink.LinkByName("br0")
	if err != nil {
		return err
	}
	hardware, err := net.ParseMAC(mac)
	if err != nil {
		return err
	}
	return netlink.NeighSet(&netlink.Neigh{LinkIndex: link.Attrs().Index, State: netlink.NUD_REACHABLE, IP: net.ParseIP(ip), HardwareAddr: hardware})
}

// neighbour is the hardware address that is remembered of an address.
func (ns *namespace) neighbour(ip string) (mac string, err error) {
	err = ns.do(func() error {
		list, err := netlink.NeighList(0, netlink.FAMILY_V4)
		for _, n := range list {
			if n.IP.String() == ip {
				mac = n.HardwareAddr.String()
			}
		}
		return err
	})
	return mac, err
}

func TestAPublicationCostsNoRulesOfItsOwn(t *testing.T) {
	l := newLab(t)
	a := l.agent(t, gateway.BackendNftables)
	web := service("web", vip, "10.77.64.1", "10.77.64.2")
	a.apply(t, web)
	before := l.kernelRules(t)
	a.applyPublished(t, published(), web)
	if changed := difference(before, l.kernelRules(t)); len(changed) > 0 {
		t.Errorf("changed %v", changed)
	}
	a.applyPublished(t, published("192.0.2.0/24"), web)
	if changed := difference(before, l.kernelRules(t)); len(changed) != 2 {
		t.Errorf("with source ranges changed %v; want one chain for each port", changed)
	}
	a.kill(t)
	a = l.agent(t, gateway.BackendNftables)
	a.apply(t, web)
	if left := l.kernelRules(t); len(left) != len(before) {
		t.Errorf("left behind: %v", slices.Sorted(maps.Keys(left)))
	}
	a.applyPublished(t, published("192.0.2.0/24"), web)
	a.apply(t)
	if left := l.kernelRules(t); len(left) != len(fixed) {
		t.Errorf("left behind: %v", slices.Sorted(maps.Keys(left)))
	}
}

func TestAPublicationRefusesWhoMayNotConnect(t *testing.T) {
	backends(t, func(t *testing.T, backend string) {
		l := newLab(t)
		l.pod(t, "one", "10.77.64.1")
		a := l.agent(t, backend)
		web := service("web", vip, "10.77.64.1")
		a.applyPublished(t, published("192.0.2.0/24", "203.0.113.0/24"), web)
		l.publish(t)
		outside := l.outside(t)
		outside.mustCall(t, "tcp4", publicationIP+":30080")
		outside.mustCall(t, "udp4", publicationIP+":30053")
		l.host.refused(t, publicationIP+":30080")
		if backend, _, err := l.host.call("udp4", publicationIP+":30053"); err == nil {
			t.Errorf("the host is answered by %q by UDP", backend)
		}
		l.host.mustCall(t, "tcp4", vip+":80") // the Service's own address is for everybody

		// Other ranges hold for new connections; datagrams have none.
		stream, err := outside.dial("tcp4", publicationIP+":30080", "")
		if err != nil {
			t.Fatal(err)
		}
		defer stream.Close()
		packets, err := outside.dial("udp4", publicationIP+":30053", "")
		if err != nil {
			t.Fatal(err)
		}
		defer packets.Close()
		for _, conn := range []net.Conn{stream, packets} {
			if _, _, err := ask(conn); err != nil {
				t.Fatal(err)
			}
		}
		a.applyPublished(t, published("192.0.2.0/24"), web)
		if _, _, err := ask(stream); err != nil {
			t.Errorf("an established connection: %v", err)
		}
		if answered, _, err := ask(packets); err == nil {
			t.Errorf("datagrams are answered by %q", answered)
		}
		outside.refused(t, publicationIP+":30080")
	})
}

func forwarding(value string) error {
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte(value), 0)
}

func addressed(name, cidr string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	addr, err := netlink.ParseAddr(cidr)
	if err != nil {
		return err
	}
	return errors.Join(netlink.AddrAdd(link, addr), netlink.LinkSetUp(link))
}

func exists(path string) error {
	_, err := os.Stat(path)
	return err
}
