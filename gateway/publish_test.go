//go:build linux

package gateway_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
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

// publish plugs in a publication of port 30080 and, by UDP, 30053, as the engine makes its container.
func (l *lab) publish(t *testing.T, flags ...string) *namespace {
	t.Helper()
	ns := l.plug(t, publicationIP, publicationMAC)
	ns.must(t, func() error { return forwarding("1") })
	l.runPublication(t, ns, flags...)
	return ns
}

func (l *lab) runPublication(t *testing.T, ns *namespace, flags ...string) {
	t.Helper()
	ready := filepath.Join(t.TempDir(), "open")
	args := append([]string{"publish", "--to=" + vip, "--port=tcp:30080:80", "--port=udp:30053:53", "--ready=" + ready}, flags...)
	ns.start(t, part(args...))
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

func publishers() []gateway.Publisher {
	return []gateway.Publisher{{IP: netip.MustParseAddr(publicationIP), MAC: publicationMAC}}
}

func (a *agent) applyPublished(t *testing.T, list []gateway.Publisher, services ...gateway.Service) {
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
	a.applyPublished(t, publishers(), service("web", vip, "10.77.64.1"))
	l.publish(t)
	outside := l.outside(t)
	outside.seen(t, outsideIP)
	l.host.seen(t, bridgeIP)
	pod := l.plug(t, "10.77.64.9", "")
	pod.seen(t, "10.77.64.9")

	// Another agent finds the way back in the kernel, and in the state file.
	a.kill(t)
	outside.seen(t, outsideIP)
	again := l.agent(t, gateway.BackendNftables)
	outside.seen(t, outsideIP)
	if table := again.Table(); !slices.Equal(table.Publications, publishers()) {
		t.Errorf("the next agent serves the publications %v", table.Publications)
	}
}

func TestAPublicationLeadsAClientBackToItsOwnPod(t *testing.T) {
	l := newLab(t)
	pod := l.pod(t, "one", "10.77.64.1")
	l.agent(t, gateway.BackendNftables).applyPublished(t, publishers(), service("web", vip, "10.77.64.1"))
	l.publish(t)
	pod.seen(t, gatewayIP)
}

func TestAPublicationLeadsToWhatHasNoReturnRoute(t *testing.T) {
	l := newLab(t)
	l.backend(t, l.plug(t, "10.77.130.1", ""), "external", "8080") // not among the pods
	l.agent(t, gateway.BackendNftables).applyPublished(t, publishers(), service("web", vip, "10.77.130.1"))
	l.publish(t)
	l.outside(t).seen(t, gatewayIP)
}

func TestAClientFromOutsideStaysWithItsBackend(t *testing.T) {
	l := newLab(t)
	var backends []string
	for i := range 3 {
		ip := fmt.Sprintf("10.77.64.%d", i+1)
		l.pod(t, ip, ip)
		backends = append(backends, ip)
	}
	web := service("web", vip, backends...)
	web.AffinitySeconds = 60
	l.agent(t, gateway.BackendNftables).applyPublished(t, publishers(), web)
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
}

func TestAPublicationRefusesAtOnceWhereTheServiceDoes(t *testing.T) {
	l := newLab(t)
	l.agent(t, gateway.BackendNftables).applyPublished(t, publishers(), service("web", vip))
	l.publish(t)
	outside := l.outside(t)
	_, _, _ = outside.call("tcp4", publicationIP+":30080") // the link comes up meanwhile
	for range 5 {
		begin := time.Now()
		if _, _, err := outside.call("tcp4", publicationIP+":30080"); err == nil || time.Since(begin) > time.Second {
			t.Errorf("a Service without endpoints: %v after %s", err, time.Since(begin))
		}
	}
}

func TestConnectionsOutliveARestartOfThePublication(t *testing.T) {
	l := newLab(t)
	l.pod(t, "one", "10.77.64.1")
	l.agent(t, gateway.BackendNftables).applyPublished(t, publishers(), service("web", vip, "10.77.64.1"))
	ns := l.publish(t)
	outside := l.outside(t)
	conn, err := outside.dial("tcp4", publicationIP+":30080", "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	l.runPublication(t, ns)
	if _, client, err := ask(conn); err != nil || client != outsideIP {
		t.Errorf("after the restart: client %q, %v", client, err)
	}
}

func TestPublicationsThatAreGoneLeaveNothingInTheGateway(t *testing.T) {
	l := newLab(t)
	a := l.agent(t, gateway.BackendNftables)
	other := gateway.Publisher{IP: netip.MustParseAddr("10.77.128.1"), MAC: "02:42:0a:4d:80:01"}
	for _, list := range [][]gateway.Publisher{append(publishers(), other), {other}, publishers(), nil} {
		a.applyPublished(t, list)
		l.gw.must(t, func() error { return waysBack(len(list)) })
	}
	a.applyPublished(t, publishers())
	a.kill(t)
	l.agent(t, gateway.BackendNftables).applyPublished(t, []gateway.Publisher{other})
	l.gw.must(t, func() error { return waysBack(1) })
}

// waysBack fails unless there are so many rules and routes of publications.
func waysBack(want int) error {
	rules, err := netlink.RuleList(netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return err
	}
	marked, tables := 0, 0
	for _, r := range rules {
		if r.Mark != 0 {
			marked++
		}
	}
	for _, r := range routes {
		if r.Table > 1<<16 {
			tables++
		}
	}
	if marked != want || tables != want {
		return fmt.Errorf("%d rules and %d routes for %d publications", marked, tables, want)
	}
	return nil
}

func TestAPublicationRefusesWhoMayNotConnect(t *testing.T) {
	for _, flags := range [][]string{{"--source=203.0.113.0/24"}, {"--source=203.0.113.0/24", "--proxy"}} {
		t.Run(fmt.Sprint(flags), func(t *testing.T) {
			l := newLab(t)
			l.pod(t, "one", "10.77.64.1")
			l.agent(t, gateway.BackendNftables).applyPublished(t, publishers(), service("web", vip, "10.77.64.1"))
			l.publish(t, flags...)
			l.outside(t).mustCall(t, "tcp4", publicationIP+":30080")
			begin := time.Now()
			if backend, _, err := l.host.call("tcp4", publicationIP+":30080"); err == nil || time.Since(begin) > time.Second {
				t.Errorf("the host is answered by %q, %v after %s", backend, err, time.Since(begin))
			}
			if backend, _, err := l.host.call("udp4", publicationIP+":30053"); err == nil {
				t.Errorf("the host is answered by %q by UDP", backend)
			}
		})
	}
}

// In every combination of what the two may do there is an answer. The address is lost where either is in the way.
func TestAPublicationWorksWithEveryKindOfGateway(t *testing.T) {
	for _, c := range []struct {
		backend, want string
		agent, flags  []string
	}{
		{backend: gateway.BackendNftables, flags: []string{"--masquerade"}, want: publicationIP},
		{backend: gateway.BackendNftables, flags: []string{"--proxy"}, want: publicationIP},
		{backend: gateway.BackendNftables, agent: []string{"--masquerade"}, flags: []string{"--masquerade"}, want: gatewayIP},
		{backend: gateway.BackendUserspace, flags: []string{"--masquerade"}, want: gatewayIP},
		{backend: gateway.BackendUserspace, flags: []string{"--proxy"}, want: gatewayIP},
	} {
		t.Run(fmt.Sprint(c.backend, c.agent, c.flags), func(t *testing.T) {
			l := newLab(t)
			l.pod(t, "one", "10.77.64.1")
			l.agent(t, c.backend, c.agent...).applyPublished(t, publishers(), service("web", vip, "10.77.64.1"))
			l.publish(t, c.flags...)
			l.outside(t).seen(t, c.want)
		})
	}
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
