//go:build linux

package gateway_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/podyard/podyard/gateway"
	"github.com/podyard/podyard/runtime/docker/publisher"
	"github.com/podyard/podyard/runtime/docker/sandbox"
)

// The laboratory is a pod network of real network namespaces on a bridge, itself in a namespace: nothing of it is
// visible to the machine, and it is gone with the test process. The test binary plays all parts, as podyard does.

const (
	gatewayIP   = "10.77.0.2"
	gatewayMAC  = "02:42:0a:4d:00:02"
	bridgeIP    = "10.77.0.1"
	podCIDR     = "10.77.64.0/18"
	serviceCIDR = "10.77.192.0/18"

	publicationCIDR = "10.77.128.0/19"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "sandbox":
			os.Exit(sandbox.Main(os.Args[2:]))
		case "gateway":
			os.Exit(gateway.Main(os.Args[2:]))
		case "publish":
			os.Exit(publisher.Main(os.Args[2:]))
		case "backend":
			serveBackend(os.Args[2], os.Args[3])
		case "ask":
			askFor(os.Args[2], os.Args[3])
		}
	}
	os.Exit(m.Run())
}

// serveBackend answers on a port, by TCP and UDP, each line or datagram with its name and the client's address, the line
// "reset" with a reset, and ends the connection after it has answered the line "last"; and by HTTP on 8081.
func serveBackend(name, port string) {
	packets, err := net.ListenPacket("udp4", ":"+port)
	exitOn(err)
	connections, err := net.Listen("tcp4", ":"+port)
	exitOn(err)
	web, err := net.Listen("tcp4", ":8081")
	exitOn(err)
	go func() {
		exitOn(http.Serve(web, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/healthz" {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			fmt.Fprintf(w, "%s %s", name, r.Header.Get("X-Probe"))
		})))
	}()
	go func() {
		buffer := make([]byte, 64)
		for {
			_, from, err := packets.ReadFrom(buffer)
			exitOn(err)
			_, err = packets.WriteTo([]byte(name+" "+from.String()), from)
			exitOn(err)
		}
	}()
	fmt.Println("ready")
	for {
		conn, err := connections.Accept()
		exitOn(err)
		go func() {
			defer conn.Close()
			lines := bufio.NewScanner(conn)
			for lines.Scan() {
				if lines.Text() == "reset" {
					_ = conn.(*net.TCPConn).SetLinger(0)
					return
				}
				fmt.Fprintf(conn, "%s %s\n", name, conn.RemoteAddr())
				if lines.Text() == "last" {
					return
				}
			}
		}()
	}
}

// askFor prints who answers and whom it saw.
func askFor(network, address string) {
	conn, err := net.DialTimeout(network, address, 3*time.Second)
	exitOn(err)
	backend, client, err := ask(conn)
	exitOn(err)
	fmt.Print(backend, " ", client)
	os.Exit(0)
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// namespace is a network namespace, held open by a file.
type namespace struct{ file *os.File }

// newNamespace makes one, with lo up.
func newNamespace(t *testing.T) *namespace {
	t.Helper()
	var ns *namespace
	onThread(t, func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare (these tests need root): %w", err)
		}
		file, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			return err
		}
		ns = &namespace{file}
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(lo)
	})
	t.Cleanup(func() { ns.file.Close() })
	return ns
}

// onThread runs f on a thread that is thrown away afterwards.
func onThread(t *testing.T, f func() error) {
	t.Helper()
	if err := isolated(f); err != nil {
		t.Fatal(err)
	}
}

func isolated(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		done <- f()
	}()
	return <-done
}

// do runs f in the namespace.
func (ns *namespace) do(f func() error) error {
	return isolated(func() error {
		if err := unix.Setns(int(ns.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		return f()
	})
}

func (ns *namespace) must(t *testing.T, f func() error) {
	t.Helper()
	if err := ns.do(f); err != nil {
		t.Fatal(err)
	}
}

// start runs the test binary in the namespace, in another part.
func (ns *namespace) start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	cmd.Stderr = os.Stderr
	ns.must(t, cmd.Start)
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

func part(args ...string) *exec.Cmd { return exec.Command("/proc/self/exe", args...) }

// lab is a bridge with what is plugged into it.
type lab struct {
	host, gw *namespace
	state    string
	links    int
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{host: newNamespace(t), state: filepath.Join(t.TempDir(), "table.json")}
	l.host.must(t, func() error {
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}
		if err := netlink.LinkAdd(bridge); err != nil {
			return err
		}
		return configure("br0", bridgeIP)
	})
	l.gw = l.plug(t, gatewayIP, gatewayMAC)
	return l
}

// configure gives an interface its address and sets it up.
func configure(name, ip string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	addr, err := netlink.ParseAddr(ip + "/16")
	if err != nil {
		return err
	}
	return errors.Join(netlink.AddrAdd(link, addr), netlink.LinkSetUp(link))
}

// plug makes a namespace with eth0 on the bridge. An empty mac leaves the choice to the kernel.
func (l *lab) plug(t *testing.T, ip, mac string) *namespace {
	t.Helper()
	ns := newNamespace(t)
	l.links++
	name := fmt.Sprintf("veth%d", l.links)
	l.host.must(t, func() error {
		bridge, err := netlink.LinkByName("br0")
		if err != nil {
			return err
		}
		veth := &netlink.Veth{PeerName: "eth0", PeerNamespace: netlink.NsFd(ns.file.Fd()),
			LinkAttrs: netlink.LinkAttrs{Name: name, MasterIndex: bridge.Attrs().Index}}
		if mac != "" {
			veth.PeerHardwareAddr, _ = net.ParseMAC(mac)
		}
		return errors.Join(netlink.LinkAdd(veth), netlink.LinkSetUp(veth))
	})
	ns.must(t, func() error {
		if err := configure("eth0", ip); err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(bridgeIP)})
	})
	return ns
}

// pod plugs in a sandbox, return route and pause included, with a backend on port 8080 in it.
func (l *lab) pod(t *testing.T, name, ip string) *namespace {
	t.Helper()
	return l.podAt(t, name, ip, "8080")
}

// podAt is pod with the backend's port.
func (l *lab) podAt(t *testing.T, name, ip, port string) *namespace {
	t.Helper()
	ns := l.plug(t, ip, "")
	ns.start(t, part("sandbox", "--gateway="+gatewayIP, "--gateway-mac="+gatewayMAC))
	l.backend(t, ns, name, port)
	eventually(t, "the return route of "+name, func() error {
		return ns.do(func() error {
			rules, err := netlink.RuleListFiltered(netlink.FAMILY_V4, &netlink.Rule{Table: 100}, netlink.RT_FILTER_TABLE)
			if err == nil && len(rules) != 1 {
				err = fmt.Errorf("%d rules", len(rules))
			}
			return err
		})
	})
	return ns
}

// backend starts a backend in the namespace and waits for it.
func (l *lab) backend(t *testing.T, ns *namespace, name, port string) {
	t.Helper()
	cmd := part("backend", name, port)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	ns.start(t, cmd)
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("backend %s says %q, %v", name, line, err)
	}
}

// agent is a running agent with one daemon attached.
type agent struct {
	*gateway.Client
	process *os.Process
	stdin   io.WriteCloser

	mu       sync.Mutex
	attached []*io.PipeWriter
}

// stdio is an attachment to a child's standard input and output.
type stdio struct {
	io.ReadCloser
	io.Writer
}

// attach returns a stream of its own to the agent, as the engine does: all hear everything.
func (a *agent) attach() stdio {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, w := io.Pipe()
	a.attached = append(a.attached, w)
	return stdio{r, a.stdin}
}

// Write passes the agent's output on to all that are attached. It implements io.Writer for the agent's stdout.
func (a *agent) Write(p []byte) (int, error) {
	a.mu.Lock()
	attached := a.attached
	a.mu.Unlock()
	for _, w := range attached {
		_, _ = w.Write(p) // fails for those that detached
	}
	return len(p), nil
}

// agent starts an agent and attaches.
func (l *lab) agent(t *testing.T, backend string, flags ...string) *agent {
	t.Helper()
	cmd := part(append([]string{"gateway", "--ip=" + gatewayIP, "--pod-cidr=" + podCIDR, "--service-cidr=" + serviceCIDR, "--publication-cidr=" + publicationCIDR,
		"--state=" + l.state, "--backend=" + backend, "--upstream=127.0.0.1:9"}, flags...)...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{stdin: stdin}
	cmd.Stdout = a
	l.gw.start(t, cmd)
	a.process = cmd.Process
	a.Client, err = gateway.NewClient(timeout(t, 20*time.Second), a.attach())
	if err != nil {
		t.Fatal(err)
	}
	if a.Hello().Backend != backend {
		t.Fatalf("agent uses %s: %s", a.Hello().Backend, a.Hello().Reason)
	}
	return a
}

// kill ends the agent as a crash does.
func (a *agent) kill(t *testing.T) {
	t.Helper()
	if err := a.process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_, _ = a.process.Wait()
}

func (a *agent) apply(t *testing.T, services ...gateway.Service) {
	t.Helper()
	table := gateway.Table{Domain: gateway.DefaultDomain, Services: services}
	if err := a.Apply(timeout(t, 60*time.Second), table); err != nil {
		t.Fatal(err)
	}
}

func timeout(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// service returns one with port 80 by TCP and 53 by UDP, both served on the backends' port 8080.
func service(name, ip string, backends ...string) gateway.Service {
	s := gateway.Service{Namespace: "default", Name: name, ClusterIP: ip, Ports: []gateway.Port{
		{Name: "http", Protocol: "TCP", Port: 80}, {Name: "dns", Protocol: "UDP", Port: 53}}}
	for _, b := range backends {
		s.Endpoints = append(s.Endpoints, gateway.Endpoint{IP: b, Pod: "pod-" + b, Ready: true, Serving: true,
			Ports: map[string]int32{"http": 8080, "dns": 8080}})
	}
	return s
}

// dial connects from a namespace.
func (ns *namespace) dial(network, address, from string) (conn net.Conn, err error) {
	err = ns.do(func() error {
		dialer := net.Dialer{Timeout: 3 * time.Second}
		if from != "" {
			dialer.LocalAddr = net.UDPAddrFromAddrPort(netip.MustParseAddrPort(from))
			if network == "tcp4" {
				dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from))
			}
		}
		conn, err = dialer.Dial(network, address)
		return err
	})
	return conn, err
}

// ask sends one line or datagram and returns who answered and whom it saw.
func ask(conn net.Conn) (backend, client string, err error) {
	_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
	if _, err := conn.Write([]byte("?\n")); err != nil {
		return "", "", err
	}
	buffer := make([]byte, 128)
	n, err := conn.Read(buffer)
	if err != nil {
		return "", "", err
	}
	backend, client, _ = strings.Cut(strings.TrimSpace(string(buffer[:n])), " ")
	client, _, err = net.SplitHostPort(client)
	return backend, client, err
}

// call asks over a connection of its own.
func (ns *namespace) call(network, address string) (backend, client string, err error) {
	conn, err := ns.dial(network, address, "")
	if err != nil {
		return "", "", err
	}
	defer conn.Close()
	return ask(conn)
}

// mustCall fails the test unless there is an answer.
func (ns *namespace) mustCall(t *testing.T, network, address string) (backend, client string) {
	t.Helper()
	backend, client, err := ns.call(network, address)
	if err != nil {
		t.Fatalf("call %s %s: %v", network, address, err)
	}
	return backend, client
}

func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatalf("wait for %s: %v", what, err)
}
