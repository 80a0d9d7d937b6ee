//go:build linux

package gateway_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podyard/podyard/gateway"
)

const (
	podA, podB, podC = "10.77.64.10", "10.77.64.11", "10.77.64.12"
	webIP, otherIP   = "10.77.192.10", "10.77.192.11"
	web              = webIP + ":80"
	webUDP           = webIP + ":53"
)

// backends runs a story with each balancer.
func backends(t *testing.T, story func(t *testing.T, backend string)) {
	for _, backend := range []string{gateway.BackendNftables, gateway.BackendUserspace} {
		t.Run(backend, func(t *testing.T) { story(t, backend) })
	}
}

func TestConnectionsSpreadOverAllBackends(t *testing.T) {
	backends(t, func(t *testing.T, backend string) {
		l := newLab(t)
		l.pod(t, "a", podA)
		l.pod(t, "b", podB)
		l.pod(t, "c", podC)
		client := l.plug(t, "10.77.64.20", "")
		l.agent(t, backend).apply(t, service("web", webIP, podA, podB, podC))
		for _, network := range []string{"tcp4", "udp4"} {
			address := map[string]string{"tcp4": web, "udp4": webUDP}[network]
			count := map[string]int{}
			for range 300 {
				answered, _ := client.mustCall(t, network, address)
				count[answered]++
			}
			for _, name := range []string{"a", "b", "c"} {
				// 100 are expected and the deviation is 8: five of them are not chance.
				if count[name] < 60 || count[name] > 140 {
					t.Errorf("%s: uneven spread %v", network, count)
				}
			}
		}
	})
}

func TestWhatNobodyServesIsRefused(t *testing.T) {
	backends(t, func(t *testing.T, backend string) {
		l := newLab(t)
		client := l.plug(t, "10.77.64.20", "")
		unready := service("web", webIP, podA)
		unready.Endpoints[0].Ready = false
		l.agent(t, backend).apply(t, unready)
		for _, address := range []string{web, webIP + ":81", "10.77.200.1:80"} {
			start := time.Now()
			_, _, err := client.call("tcp4", address)
			if !errors.Is(err, syscall.ECONNREFUSED) || time.Since(start) > time.Second {
				t.Errorf("%s: %v after %s", address, err, time.Since(start))
			}
		}
		if _, _, err := client.call("udp4", webUDP); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s by UDP: %v", webUDP, err)
		}
	})
}

func TestBackendsSeeTheClient(t *testing.T) {
	l := newLab(t)
	l.pod(t, "a", podA)
	client := l.pod(t, "client", "10.77.64.20")
	l.agent(t, gateway.BackendNftables).apply(t, service("web", webIP, podA))
	for _, c := range []struct {
		ns   *namespace
		want string
	}{{client, "10.77.64.20"}, {l.host, bridgeIP}} {
		for network, address := range map[string]string{"tcp4": web, "udp4": webUDP} {
			if _, seen := c.ns.mustCall(t, network, address); seen != c.want {
				t.Errorf("%s from %s: backend sees %s", network, c.want, seen)
			}
		}
	}
}

func TestBackendsSeeTheGatewayWhenItMasquerades(t *testing.T) {
	l := newLab(t)
	l.pod(t, "a", podA)
	client := l.plug(t, "10.77.64.20", "")
	a := l.agent(t, gateway.BackendNftables, "--masquerade")
	a.apply(t, service("web", webIP, podA))
	if _, seen := client.mustCall(t, "tcp4", web); seen != gatewayIP || !a.Hello().Masquerade {
		t.Errorf("backend sees %s, hello says masquerade %t", seen, a.Hello().Masquerade)
	}
}

func TestPodReachesItselfThroughItsService(t *testing.T) {
	backends(t, func(t *testing.T, backend string) {
		l := newLab(t)
		pod := l.pod(t, "a", podA)
		l.agent(t, backend).apply(t, service("web", webIP, podA))
		for network, address := range map[string]string{"tcp4": web, "udp4": webUDP} {
			if answered, _ := pod.mustCall(t, network, address); answered != "a" {
				t.Errorf("%s: %s answered", network, answered)
			}
		}
	})
}

func TestBackendOutsideThePodRangeNeedsNoReturnRoute(t *testing.T) {
	backends(t, func(t *testing.T, backend string) {
		l := newLab(t)
		outside := l.plug(t, "10.77.1.5", "")
		l.backend(t, outside, "outside", "8080")
		client := l.pod(t, "client", "10.77.64.20")
		l.agent(t, backend).apply(t, service("web", webIP, "10.77.1.5"))
		if answered, seen := client.mustCall(t, "tcp4", web); answered != "outside" || seen != gatewayIP {
			t.Errorf("%s answered and saw %s", answered, seen)
		}
	})
}

func TestConnectionSurvivesAChangeOfBackends(t *testing.T) {
	backends(t, func(t *testing.T, backend string) {
		l := newLab(t)
		l.pod(t, "a", podA)
		l.pod(t, "b", podB)
		client := l.plug(t, "10.77.64.20", "")
		a := l.agent(t, backend)
		a.apply(t, service("web", webIP, podA))
		conn, err := client.dial("tcp4", web, "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for _, services := range [][]gateway.Service{
			{service("web", webIP, podA)}, {service("web", webIP, podA, podB)}, {service("web", webIP, podB)}, {},
		} {
			a.apply(t, services...)
			if answered, _, err := ask(conn); err != nil || answered != "a" {
				t.Fatalf("with %v: %s answers, %v", services, answered, err)
			}
		}
		if _, _, err := client.call("tcp4", web); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a new connection to a Service that is gone: %v", err)
		}
	})
}

// TestEachPodIsReachedAtItsOwnPort, by the slices of a rollout that changes the number of a named port.
func TestEachPodIsReachedAtItsOwnPort(t *testing.T) {
	backends(t, func(t *testing.T, backend string) {
		l := newLab(t)
		l.podAt(t, "old", podA, "8080")
		l.podAt(t, "new", podB, "9090")
		client := l.plug(t, "10.77.64.20", "")
		a := l.agent(t, backend)
		ready := discoveryv1.EndpointConditions{Ready: pointer(true), Serving: pointer(true), Terminating: pointer(false)}
		unready := discoveryv1.EndpointConditions{Ready: pointer(false), Serving: pointer(false), Terminating: pointer(false)}
		ending := discoveryv1.EndpointConditions{Ready: pointer(false), Serving: pointer(true), Terminating: pointer(true)}
		var conn net.Conn
		for _, c := range []struct {
			old, new discoveryv1.EndpointConditions
			want     []string
		}{
			{ready, unready, []string{"old"}},
			{ready, ready, []string{"new", "old"}},
			{ending, ready, []string{"new"}},
			{ending, unready, []string{"old"}}, // the last that serves, in whatever slice it is
		} {
			if err := a.Apply(timeout(t, 60*time.Second), slicesOfWeb(c.old, c.new)); err != nil {
				t.Fatal(err)
			}
			for network, address := range map[string]string{"tcp4": web, "udp4": webUDP} {
				if answered := client.whoAnswers(t, network, address); !slices.Equal(answered, c.want) {
					t.Errorf("%s: %v answer, want %v", network, answered, c.want)
				}
			}
			if conn == nil {
				var err error
				if conn, err = client.dial("tcp4", web, ""); err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
			}
			if answered, _, err := ask(conn); err != nil || answered != "old" {
				t.Errorf("on the old connection %s answers, %v", answered, err)
			}
		}
	})
}

// slicesOfWeb is the table of a Service with a slice for each of two pods: podA at 8080, podB at 9090.
func slicesOfWeb(a, b discoveryv1.EndpointConditions) gateway.Table {
	of := func(name, ip string, port int32, conditions discoveryv1.EndpointConditions) *discoveryv1.EndpointSlice {
		return &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
			Ports:      []discoveryv1.EndpointPort{{Name: pointer("http"), Port: &port}, {Name: pointer("dns"), Port: &port}},
			Endpoints:  []discoveryv1.Endpoint{{Addresses: []string{ip}, Conditions: conditions}},
		}
	}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}, Spec: corev1.ServiceSpec{
		ClusterIP: webIP, Ports: []corev1.ServicePort{{Name: "http", Port: 80}, {Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP}}}}
	return gateway.NewTable([]*corev1.Service{service},
		[]*discoveryv1.EndpointSlice{of("web", podA, 8080, a), of("web-5798f9d99c", podB, 9090, b)})
}

func pointer[T any](v T) *T { return &v }

// whoAnswers calls often enough to hear everybody, and returns who answered, sorted.
func (ns *namespace) whoAnswers(t *testing.T, network, address string) []string {
	t.Helper()
	heard := map[string]bool{}
	for range 30 {
		answered, _ := ns.mustCall(t, network, address)
		heard[answered] = true
	}
	return slices.Sorted(maps.Keys(heard))
}

// TestConnectionsToAPodThatIsGoneEnd, so that nobody waits for it: not who was connected, and not who connects anew from the same
// port.
func TestConnectionsToAPodThatIsGoneEnd(t *testing.T) {
	backends(t, func(t *testing.T, backend string) {
		l := newLab(t)
		first := l.pod(t, "a", podA)
		l.pod(t, "b", podB)
		client := l.plug(t, "10.77.64.20", "")
		a := l.agent(t, backend)
		a.apply(t, service("web", webIP, podA))
		var conns []net.Conn
		for _, port := range []string{"10.77.64.20:40000", "10.77.64.20:40002"} {
			conn, err := client.dial("tcp4", web, port)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if answered, _, err := ask(conn); err != nil || answered != "a" {
				t.Fatalf("%s answers, %v", answered, err)
			}
			conns = append(conns, conn)
		}
		a.apply(t, service("web", webIP, podB))
		first.must(t, func() error { // it vanishes without a word
			link, err := netlink.LinkByName("eth0")
			return errors.Join(err, netlink.LinkDel(link))
		})
		_ = conns[1].(*net.TCPConn).SetLinger(0)
		conns[1].Close()
		if err := a.Gone(timeout(t, 20*time.Second), netip.MustParseAddr(podA)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the old connection to be reset", func() error {
			if _, _, err := ask(conns[0]); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
				return fmt.Errorf("it has %v", err)
			}
			return nil
		})
		conn, err := client.dial("tcp4", web, "10.77.64.20:40002")
		if err != nil {
			t.Fatalf("connect from the port of an old connection: %v", err)
		}
		defer conn.Close()
		if answered, _, err := ask(conn); err != nil || answered != "b" {
			t.Errorf("from the port of an old connection: %s answers, %v", answered, err)
		}
	})
}

// TestAPortIsUsedAgainWhileAPodGoes: a client that makes many connections comes back to a port while the kernel still knows the
// connection from it that had ended at a pod which is gone now.
func TestAPortIsUsedAgainWhileAPodGoes(t *testing.T) {
	const first, ports, clients, rounds = 40000, 2000, 8, 8
	backends(t, func(t *testing.T, backend string) {
		l := newLab(t)
		l.pod(t, "a", podA)
		l.pod(t, "b", podB)
		client := l.plug(t, "10.77.64.20", "")
		a := l.agent(t, backend)
		connectFromAll := func() {
			var work sync.WaitGroup
			for i := range clients {
				work.Go(func() {
					err := client.do(func() error {
						for port := first + i; port < first+ports; port += clients {
							if err := lastWord(port); err != nil {
								return err
							}
						}
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				})
			}
			work.Wait()
		}
		for range rounds {
			a.apply(t, service("web", webIP, podA, podB))
			connectFromAll()
			a.apply(t, service("web", webIP, podB))
			if err := a.Gone(timeout(t, 20*time.Second), netip.MustParseAddr(podA)); err != nil {
				t.Fatal(err)
			}
			connectFromAll()
		}
	})
}

// lastWord connects to web from a port and has the backend end the connection, so that the port is free again at once.
func lastWord(port int) error {
	dialer := net.Dialer{Timeout: 3 * time.Second, LocalAddr: &net.TCPAddr{Port: port}}
	conn, err := dialer.Dial("tcp4", web)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(3 * time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("last\n")); err != nil {
		return err
	}
	_, err = io.ReadAll(conn)
	return err
}

// TestAClientThatWasResetGoesWhereOthersGo, although it connects from the same port as before.
func TestAClientThatWasResetGoesWhereOthersGo(t *testing.T) {
	backends(t, func(t *testing.T, backend string) {
		l := newLab(t)
		l.pod(t, "a", podA)
		l.pod(t, "b", podB)
		client := l.plug(t, "10.77.64.20", "")
		a := l.agent(t, backend)
		for name, ip := range map[string]string{"a": podA, "b": podB} {
			a.apply(t, service("web", webIP, ip))
			conn, err := client.dial("tcp4", web, "10.77.64.20:40000")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if answered, _, err := ask(conn); err != nil || answered != name {
				t.Fatalf("with %s: %s answers, %v", name, answered, err)
			}
			if _, err := conn.Write([]byte("reset\n")); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Fatalf("instead of a reset there is %v", err)
			}
			conn.Close()
		}
	})
}

func TestDatagramsFollowAChangeOfBackends(t *testing.T) {
	backends(t, func(t *testing.T, backend string) {
		l := newLab(t)
		l.pod(t, "a", podA)
		l.pod(t, "b", podB)
		client := l.plug(t, "10.77.64.20", "")
		a := l.agent(t, backend)
		conn, err := client.dial("udp4", webUDP, "10.77.64.20:5353")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		a.apply(t, service("web", webIP))
		if _, _, err := ask(conn); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("without a backend: %v", err)
		}
		for name, ip := range map[string]string{"a": podA, "b": podB} {
			a.apply(t, service("web", webIP, ip))
			if answered, _, err := ask(conn); err != nil || answered != name {
				t.Fatalf("with %s: %s answers, %v", name, answered, err)
			}
		}
	})
}

func TestTrafficGoesOnWithoutAgent(t *testing.T) {
	l := newLab(t)
	l.pod(t, "a", podA)
	l.pod(t, "b", podB)
	client := l.plug(t, "10.77.64.20", "")
	a := l.agent(t, gateway.BackendNftables)
	table := service("web", webIP, podA)
	a.apply(t, table, service("other", otherIP, podA))
	conn, err := client.dial("tcp4", web, "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	a.kill(t)
	client.mustCall(t, "tcp4", web)
	if answered, _, err := ask(conn); err != nil || answered != "a" {
		t.Fatalf("%s answers, %v", answered, err)
	}

	next := l.agent(t, gateway.BackendNftables)
	if got := next.Table(); len(got.Services) != 2 || !got.Equal(gateway.Table{Domain: "cluster.local",
		Services: []gateway.Service{table, service("other", otherIP, podA)}}) {
		t.Errorf("the next agent has %+v", got)
	}
	next.apply(t, service("web", webIP, podB))
	if answered, _ := client.mustCall(t, "tcp4", web); answered != "b" {
		t.Errorf("after the change %s answers", answered)
	}
	if answered, _, err := ask(conn); err != nil || answered != "a" {
		t.Errorf("on the old connection %s answers, %v", answered, err)
	}
	if _, _, err := client.call("tcp4", otherIP+":80"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the Service that is gone: %v", err)
	}
}

func TestAgentWithoutDaemonRestoresItsTable(t *testing.T) {
	l := newLab(t)
	l.pod(t, "a", podA)
	client := l.plug(t, "10.77.64.20", "")
	a := l.agent(t, gateway.BackendUserspace)
	a.apply(t, service("web", webIP, podA))
	a.kill(t)
	if _, _, err := client.call("tcp4", web); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("without agent: %v", err)
	}
	l.gw.start(t, part("gateway", "--ip="+gatewayIP, "--pod-cidr="+podCIDR, "--service-cidr="+serviceCIDR, "--publication-cidr="+publicationCIDR,
		"--state="+l.state, "--backend=userspace"))
	eventually(t, "the Service", func() error {
		_, _, err := client.call("tcp4", web)
		return err
	})
}

// TestClientStaysWhenBackendsAreAdded: forty clients came while one backend was all there was.
func TestClientStaysWhenBackendsAreAdded(t *testing.T) {
	backends(t, func(t *testing.T, backend string) {
		l := newLab(t)
		l.pod(t, "a", podA)
		l.pod(t, "b", podB)
		client := l.plug(t, "10.77.64.20", "")
		a := l.agent(t, backend)
		sticky := func(seconds int32, backends ...string) gateway.Service {
			s := service("web", webIP, backends...)
			s.AffinitySeconds = seconds
			return s
		}
		from := func(i int) string { return fmt.Sprintf("10.77.66.%d", i+1) }
		client.must(t, func() error { return addAddresses("eth0", from, 40) })
		ask := func(network, address string, i int) string {
			t.Helper()
			conn, err := client.dial(network, address, from(i)+":0")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			answered, _, err := ask(conn)
			if err != nil {
				t.Fatal(err)
			}
			return answered
		}
		for _, c := range []struct{ network, address string }{{"tcp4", web}, {"udp4", webUDP}} {
			a.apply(t, sticky(10800, podA))
			for i := range 40 {
				ask(c.network, c.address, i)
			}
			a.apply(t, sticky(10800, podA, podB))
			for i := range 40 {
				if got := ask(c.network, c.address, i); got != "a" {
					t.Fatalf("%s: %s answers client %d", c.network, got, i)
				}
			}
			moved := 0
			a.apply(t, sticky(1, podA, podB))
			time.Sleep(1100 * time.Millisecond)
			for i := range 40 {
				if ask(c.network, c.address, i) == "b" {
					moved++
				}
			}
			// Once they may move, about half do.
			if moved < 5 || moved > 35 {
				t.Errorf("%s: after the time-out %d of 40 clients moved", c.network, moved)
			}
		}
	})
}

// addAddresses gives an interface more of them.
func addAddresses(name string, address func(int) string, n int) error {
	link, err := netlink.LinkByName(name)
	for i := 0; err == nil && i < n; i++ {
		var addr *netlink.Addr
		if addr, err = netlink.ParseAddr(address(i) + "/16"); err == nil {
			err = netlink.AddrAdd(link, addr)
		}
	}
	return err
}

func TestClientStaysWithItsBackend(t *testing.T) {
	backends(t, func(t *testing.T, backend string) {
		l := newLab(t)
		l.pod(t, "a", podA)
		l.pod(t, "b", podB)
		l.pod(t, "c", podC)
		client := l.plug(t, "10.77.64.20", "")
		a := l.agent(t, backend)
		sticky := func(backends ...string) gateway.Service {
			s := service("web", webIP, backends...)
			s.AffinitySeconds = 10800
			return s
		}
		stays := func(with string) {
			t.Helper()
			for range 30 {
				if answered, _ := client.mustCall(t, "tcp4", web); answered != with {
					t.Fatalf("%s answers after %s", answered, with)
				}
			}
		}
		ips := map[string]string{"a": podA, "b": podB, "c": podC}
		a.apply(t, sticky(podA, podB, podC))
		first, _ := client.mustCall(t, "tcp4", web)
		stays(first)
		for name, ip := range ips {
			if name != first {
				a.apply(t, sticky(ips[first], ip))
				stays(first)
			}
		}
		for _, ip := range ips { // one after the other comes back
			a.apply(t, sticky(slices.Compact(slices.Sorted(slices.Values([]string{ips[first], ip})))...))
			stays(first)
		}
		a.apply(t, sticky(podA, podB, podC))
		stays(first)
		a.kill(t)
		a = l.agent(t, backend)
		a.apply(t, sticky(podA, podB, podC))
		stays(first)
		delete(ips, first)
		var rest []string
		for _, ip := range ips {
			rest = append(rest, ip)
		}
		a.apply(t, sticky(rest...))
		second, _ := client.mustCall(t, "tcp4", web)
		if second == first {
			t.Fatalf("%s still answers", first)
		}
		stays(second)
	})
}

func TestProbeAsksFromThePodNetwork(t *testing.T) {
	l := newLab(t)
	l.pod(t, "a", podA)
	a := l.agent(t, gateway.BackendNftables)
	for _, c := range []struct {
		probe   gateway.ProbeRequest
		ok      bool
		message string
	}{
		{gateway.ProbeRequest{Scheme: "tcp", Host: podA, Port: 8080}, true, ""},
		{gateway.ProbeRequest{Scheme: "tcp", Host: podA, Port: 9}, false,
			"dial tcp 10.77.64.10:9: connect: connection refused"},
		{gateway.ProbeRequest{Scheme: "http", Host: podA, Port: 8081, Path: "/healthz",
			Headers: []gateway.Header{{Name: "X-Probe", Value: "yes"}}}, true, "a yes"},
		{gateway.ProbeRequest{Scheme: "http", Host: podA, Port: 8081, Path: "/"}, false,
			"HTTP probe failed with statuscode: 503"},
		{gateway.ProbeRequest{Scheme: "ftp"}, false, `unknown probe scheme "ftp"`},
	} {
		ok, message, err := a.Probe(timeout(t, 10*time.Second), c.probe)
		if err != nil || ok != c.ok || message != c.message {
			t.Errorf("%+v: %t %q %v", c.probe, ok, message, err)
		}
	}
}

func TestGreetingFollowsGarbage(t *testing.T) {
	l := newLab(t)
	a := l.agent(t, gateway.BackendNftables)
	a.apply(t, service("web", webIP, podA))
	for _, garbage := range []string{"\x00\xff\n", "{}\n", `{"id":"x","apply":{"services":[`, `{"id":"y"`} {
		if _, err := fmt.Fprint(a.stdin, garbage); err != nil {
			t.Fatal(err)
		}
		// The next daemon, while the last is still attached: it hears the greeting too and ignores it.
		second, err := gateway.NewClient(timeout(t, 10*time.Second), a.attach())
		if err != nil {
			t.Fatalf("after %q: %v", garbage, err)
		}
		if len(second.Table().Services) != 1 {
			t.Errorf("after %q the table is %+v", garbage, second.Table())
		}
	}
}

// Translated packets cause no ICMP redirects, by the kernel's own rule. But a pod may send what the gateway does not know
// any more, and must not learn from it to send the rest past the gateway.
func TestPodsAreNotRedirectedAroundTheGateway(t *testing.T) {
	l := newLab(t)
	pod := l.pod(t, "a", podA)
	client := l.plug(t, "10.77.64.20", "")
	l.agent(t, gateway.BackendNftables)
	client.must(t, func() error {
		pod := &net.IPNet{IP: net.ParseIP(podA), Mask: net.CIDRMask(32, 32)}
		return netlink.RouteAdd(&netlink.Route{Dst: pod, Gw: net.ParseIP(gatewayIP)})
	})
	for range 5 {
		client.mustCall(t, "tcp4", podA+":8080")
	}
	for name, ns := range map[string]*namespace{"backend": pod, "client": client} {
		if n := ns.redirects(t); n != "0" {
			t.Errorf("%s was sent %s ICMP redirects", name, n)
		}
	}
}

// redirects returns how many ICMP redirects have arrived in the namespace.
func (ns *namespace) redirects(t *testing.T) string {
	t.Helper()
	var columns [][]string
	ns.must(t, func() error {
		data, err := os.ReadFile("/proc/thread-self/net/snmp")
		for line := range strings.Lines(string(data)) {
			if strings.HasPrefix(line, "Icmp:") {
				columns = append(columns, strings.Fields(line))
			}
		}
		return err
	})
	i := slices.Index(columns[0], "InRedirects")
	return columns[1][i]
}
