package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podyard/podyard/gateway"
	"github.com/podyard/podyard/runtime"
)

// greeter says hello to whoever connects, at the host's address in the pod network, and is the only endpoint of a Service.
func greeter(t *testing.T, e *Engine) runtime.Publication {
	t.Helper()
	bridge := state(t, e).HostIP
	l := got(net.Listen("tcp4", bridge+":0"))(t)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "hello") // who connected says what is wrong
			conn.Close()
		}
	}()
	to, name, number, tcp := e.ensured().network.services.Addr().Next().String(), "hello", int32(l.Addr().(*net.TCPAddr).Port), corev1.ProtocolTCP
	must(t, e.Route(t.Context(), runtime.Routes{
		Services: []*corev1.Service{{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
			Spec:       corev1.ServiceSpec{ClusterIP: to, Ports: []corev1.ServicePort{{Name: name, Port: 80, Protocol: tcp}}},
		}},
		Endpoints: []*discoveryv1.EndpointSlice{{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
			Ports:      []discoveryv1.EndpointPort{{Name: &name, Port: &number, Protocol: &tcp}},
			Endpoints:  []discoveryv1.Endpoint{{Addresses: []string{bridge}}},
		}},
	}))
	free := got(net.Listen("tcp4", "0.0.0.0:0"))(t)
	defer free.Close()
	return runtime.Publication{Namespace: "default", Name: "web", To: to, Ports: []runtime.PublishedPort{
		{Protocol: tcp, HostPort: int32(free.Addr().(*net.TCPAddr).Port), Port: 80},
	}}
}

// greets connects to the published port, by one of the host's addresses.
func greets(host string, p runtime.Publication) bool {
	conn, err := net.DialTimeout("tcp4", fmt.Sprintf("%s:%d", host, p.Ports[0].HostPort), 2*time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	words, _ := io.ReadAll(conn)
	return string(words) == "hello"
}

func onlyPublication(t *testing.T, e *Engine) *entry {
	t.Helper()
	all := slices.DeleteFunc(e.cache.all(), func(en *entry) bool { return en.publication == nil })
	if len(all) != 1 {
		t.Fatalf("%d containers of publications", len(all))
	}
	return all[0]
}

func TestAPublicationIsOpenWhenPublishReturns(t *testing.T) {
	e := ensuredEngine(t)
	p := greeter(t, e)
	for range 3 {
		must(t, e.Publish(t.Context(), p))
		found := got(e.cli.ContainerInspect(t.Context(), onlyPublication(t, e).id))(t)
		eventually(t, "process 1 is the pause", func() bool {
			return string(got(os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", found.State.Pid)))(t)) == "/pause\x00"
		})
		for _, host := range []string{"127.0.0.1", state(t, e).HostIP} {
			if !greets(host, p) {
				t.Errorf("nothing answers at %s", host)
			}
		}
		must(t, e.Unpublish(t.Context(), p.Namespace, p.Name))
	}
	if greets("127.0.0.1", p) {
		t.Error("it answers although it was unpublished")
	}
}

func TestAPublicationGoesOnWithoutItsDaemon(t *testing.T) {
	e := ensuredEngine(t)
	p := greeter(t, e)
	must(t, e.Publish(t.Context(), p))
	must(t, e.Publish(t.Context(), p))
	before := onlyPublication(t, e)
	must(t, e.Close())
	if !greets("127.0.0.1", p) {
		t.Error("nothing answers without the daemon")
	}

	again := got(New(t.Context(), e.options))(t)
	t.Cleanup(func() { again.Close() })
	must(t, again.Ensure(t.Context(), func(line string) { t.Errorf("a second Ensure did something: %s", line) }))
	must(t, again.Publish(t.Context(), p))
	if after := onlyPublication(t, again); after.id != before.id || !after.started.Equal(before.started) {
		t.Errorf("before %+v\nafter  %+v", before, after)
	}
	if !greets(state(t, again).HostIP, p) {
		t.Error("nothing answers after the daemon has come back")
	}
}

func TestAPublicationThatWasKilledComesBackByItself(t *testing.T) {
	e := ensuredEngine(t)
	p := greeter(t, e)
	must(t, e.Publish(t.Context(), p))
	before := onlyPublication(t, e)
	found := got(e.cli.ContainerInspect(t.Context(), before.id))(t)
	must(t, syscall.Kill(found.State.Pid, syscall.SIGKILL)) // what the engine kills it does not start again
	eventually(t, "the event that it runs again", func() bool {
		after := onlyPublication(t, e)
		return after.running && after.started.After(before.started)
	})
	eventually(t, "it answers", func() bool { return greets(state(t, e).HostIP, p) })
	if after := onlyPublication(t, e); after.publication.address != before.publication.address {
		t.Errorf("it was at %s and is at %s", before.publication.address, after.publication.address)
	}
}

func TestAPublicationThatWasStoppedOrRemovedIsNoticedAndMended(t *testing.T) {
	e := ensuredEngine(t)
	p := greeter(t, e)
	must(t, e.Publish(t.Context(), p))
	zero := 0
	must(t, e.cli.ContainerStop(t.Context(), onlyPublication(t, e).id, container.StopOptions{Timeout: &zero}))
	eventually(t, "the state tells that it does not run", func() bool {
		list := state(t, e).Publications
		return len(list) == 1 && !list[0].Running
	})
	must(t, e.Publish(t.Context(), p))
	if !greets(state(t, e).HostIP, p) {
		t.Error("nothing answers after it was started")
	}
	must(t, e.cli.ContainerRemove(t.Context(), onlyPublication(t, e).id, container.RemoveOptions{Force: true}))
	eventually(t, "the state tells that it is gone", func() bool { return len(state(t, e).Publications) == 0 })
	must(t, e.Publish(t.Context(), p))
	if !greets(state(t, e).HostIP, p) {
		t.Error("nothing answers after it was made anew")
	}
}

// A publication of another format has another hash in its name.
func TestAPublicationOfAnEarlierFormatIsReplaced(t *testing.T) {
	e := ensuredEngine(t)
	p := greeter(t, e)
	must(t, e.Publish(t.Context(), p))
	before := onlyPublication(t, e)
	must(t, e.cli.ContainerRename(t.Context(), before.id, before.name+"-old"))
	eventually(t, "the new name is known", func() bool { return strings.HasSuffix(onlyPublication(t, e).name, "-old") })
	must(t, e.Ensure(t.Context(), nil))
	after := onlyPublication(t, e)
	if after.id == before.id || after.publication.address != before.publication.address {
		t.Errorf("before %+v\nafter  %+v", before, after)
	}
	if !greets(state(t, e).HostIP, p) {
		t.Error("nothing answers after the replacement")
	}
}

func TestAPublicationGetsOutOfTheWayOfWhoHasItsAddress(t *testing.T) {
	e := ensuredEngine(t)
	ref := busybox(t, e.cli)
	taken := e.ensured().network.publications.Addr()
	stranger := got(e.cli.ContainerCreate(t.Context(), &container.Config{Image: ref}, nil, at(e.names.network(), &network.EndpointSettings{
		IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: taken.String()},
	}), nil, "podyard-docker-test-stranger-"+e.options.Instance))(t)
	t.Cleanup(func() {
		_ = e.cli.ContainerRemove(context.Background(), stranger.ID, container.RemoveOptions{Force: true})
		must(t, e.Teardown(context.Background(), true, nil))
	})
	must(t, e.cli.ContainerStart(t.Context(), stranger.ID, container.StartOptions{}))
	p := greeter(t, e)
	must(t, e.Publish(t.Context(), p))
	if got := onlyPublication(t, e).publication.address; got != taken.Next() {
		t.Errorf("it is at %s", got)
	}
	if !greets(state(t, e).HostIP, p) {
		t.Error("nothing answers")
	}
}

func TestAPortThatAProgramOfTheHostHasIsNamed(t *testing.T) {
	e := ensuredEngine(t)
	p := greeter(t, e)
	l := got(net.Listen("tcp4", fmt.Sprintf("0.0.0.0:%d", p.Ports[0].HostPort)))(t)
	err := e.Publish(t.Context(), p)
	l.Close()
	if !errors.Is(err, runtime.ErrPortTaken) || !strings.Contains(err.Error(), fmt.Sprintf("%d/TCP is taken by a program outside Docker", p.Ports[0].HostPort)) {
		t.Errorf("Publish: %v", err)
	}
	must(t, e.Publish(t.Context(), p))
	if !greets(state(t, e).HostIP, p) {
		t.Error("nothing answers after the port was free")
	}
}

func TestWhatCannotBePublishedIsInvalid(t *testing.T) {
	tcp := runtime.PublishedPort{Protocol: corev1.ProtocolTCP, HostPort: 30080, Port: 80}
	for want, p := range map[string]runtime.Publication{
		`"" is not an IPv4 address to forward to`: {Ports: []runtime.PublishedPort{tcp}},
		`no ports`: {To: "10.89.192.1"},
		`port 30080: a Service is not forwarded by SCTP, only by TCP and UDP`: {To: "10.89.192.1", Ports: []runtime.PublishedPort{{Protocol: corev1.ProtocolSCTP, HostPort: 30080, Port: 80}}},
		`port 0 to 80: want 1 to 65535`:                                       {To: "10.89.192.1", Ports: []runtime.PublishedPort{{Protocol: corev1.ProtocolTCP, Port: 80}}},
		`source range "2001:db8::/32" is not IPv4`:                            {To: "10.89.192.1", Ports: []runtime.PublishedPort{tcp}, SourceRanges: []string{"2001:db8::/32"}},
		`source range "192.0.2.1" is not IPv4`:                                {To: "10.89.192.1", Ports: []runtime.PublishedPort{tcp}, SourceRanges: []string{"192.0.2.1"}},
	} {
		if err := validatePublication(p); err == nil || err.Error() != want {
			t.Errorf("%+v: %v; want %s", p, err, want)
		}
	}
}

func TestWhatTheGatewayServesIsReadFromTheContainers(t *testing.T) {
	ip := got(parseRanges("10.89.0.0/16"))(t).publications.Addr()
	at := func(ip netip.Addr, running bool, p runtime.Publication) *entry {
		return &entry{running: running, publication: &publication{runtime.Published{Publication: p}, ip}}
	}
	web := runtime.Publication{Namespace: "default", Name: "web", To: "10.89.192.1", SourceRanges: []string{"192.0.2.0/24"}, Ports: []runtime.PublishedPort{
		{Protocol: corev1.ProtocolTCP, HostPort: 30080, Port: 80}, {Protocol: corev1.ProtocolUDP, HostPort: 30053, Port: 53},
	}}
	old := web
	old.Ports = web.Ports[:1]
	want := []gateway.Publication{
		{IP: ip, To: netip.MustParseAddr("10.89.192.1"), Ports: []gateway.PublishedPort{{Protocol: "TCP", Port: 30080, ToPort: 80}},
			Sources: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
		{IP: ip.Next(), To: netip.MustParseAddr("10.89.192.1"), Sources: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
			Ports: []gateway.PublishedPort{{Protocol: "TCP", Port: 30080, ToPort: 80}, {Protocol: "UDP", Port: 30053, ToPort: 53}}},
	}
	damaged := runtime.Publication{Namespace: "default", Name: "damaged", To: "10.89.192.1", SourceRanges: []string{"everywhere"}, Ports: web.Ports}
	// Of the two at the first address, the one that does not run is about to replace the other.
	list := []*entry{at(ip.Next(), false, web), at(ip, true, old), at(ip, false, web), at(ip.Next().Next(), true, damaged), {}}
	if got := servedPublications(list); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	slices.Reverse(list)
	if got := servedPublications(list); !reflect.DeepEqual(got, want) {
		t.Errorf("in another order: %+v", got)
	}
}

// Clients by IPv6 reach a container through the engine's proxy, from the host's address, which a source range may hold.
func TestSourceRangesKeepIPv6Out(t *testing.T) {
	d := got(draftPublication(runtime.Publication{Namespace: "default", Name: "web", To: "10.89.192.1", SourceRanges: []string{"10.0.0.0/8"},
		Ports: []runtime.PublishedPort{{Protocol: corev1.ProtocolTCP, HostPort: 30080, Port: 80}}}))(t)
	r := got(parseRanges("10.89.0.0/16"))(t)
	s := names{"test"}.publicationSpec(d, shared{network: r}, r.publications.Addr(), facts{})
	if b := s.host.PortBindings["30080/tcp"]; len(b) != 1 || b[0].HostIP != "0.0.0.0" {
		t.Errorf("it publishes %v", s.host.PortBindings)
	}
}
