package runtimetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

var publishChecks = []Check{
	{Name: "publications come back as they were asked for, sorted", run: publications},
	{Name: "publishing the same again changes nothing", run: publishTwice},
	{Name: "a publication whose ports change leaves the old ones to others", run: publishOtherPorts},
	{Name: "of two publications of one port the first has it, and after that the second", run: portTaken},
	{Name: "a publication that is no longer wanted ends, and one that is not there is none", run: unpublish},
}

// publication leads ports of the host, by TCP, to port 80 of an address for Services.
func (f *fixture) publication(name string, ports ...int32) runtime.Publication {
	f.Helper()
	p := runtime.Publication{Namespace: f.namespace, Name: name, To: f.clusterIP(3)}
	for _, port := range ports {
		p.Ports = append(p.Ports, runtime.PublishedPort{Protocol: corev1.ProtocolTCP, HostPort: port, Port: 80})
	}
	return p
}

// freePorts are ports of the host that nobody listens on, by TCP.
func (f *fixture) freePorts(n int) []int32 {
	f.Helper()
	var out []int32
	for range n {
		l, err := net.Listen("tcp4", "0.0.0.0:0")
		f.must(err)
		defer l.Close()
		out = append(out, int32(l.Addr().(*net.TCPAddr).Port))
	}
	return out
}

// published are the publications of the namespace, in the order of the state.
func (f *fixture) published() []runtime.Published {
	f.Helper()
	return slices.DeleteFunc(f.state().Publications, func(p runtime.Published) bool { return p.Namespace != f.namespace })
}

// arePublished wants the state to have these, and all of them running.
func (f *fixture) arePublished(want ...runtime.Publication) {
	f.Helper()
	var running []runtime.Published
	for _, p := range want {
		running = append(running, runtime.Published{Publication: p, Running: true})
	}
	if got := f.published(); len(got)+len(running) > 0 && !reflect.DeepEqual(got, running) {
		f.Errorf("published is %+v; want %+v", got, running)
	}
}

func (f *fixture) unpublishAll(ctx context.Context) error {
	state, err := f.Runtime.State(ctx)
	if err != nil {
		return err
	}
	for _, p := range state.Publications {
		if p.Namespace == f.namespace {
			err = errors.Join(err, f.Runtime.Unpublish(ctx, p.Namespace, p.Name))
		}
	}
	return err
}

func publications(f *fixture) {
	ports := f.freePorts(3)
	web, dns := f.publication("web", ports[0]), f.publication("dns", ports[1], ports[2])
	web.SourceRanges = []string{"192.0.2.0/24", "198.51.100.7/32"}
	dns.Ports[1].Protocol, dns.Ports[1].Port = corev1.ProtocolUDP, 53
	f.must(f.Runtime.Publish(f.ctx, web))
	f.must(f.Runtime.Publish(f.ctx, dns))
	f.arePublished(dns, web)
}

func publishTwice(f *fixture) {
	web := f.publication("web", f.freePorts(1)...)
	f.must(f.Runtime.Publish(f.ctx, web))
	f.must(f.Runtime.Publish(f.ctx, web))
	f.arePublished(web)
}

func publishOtherPorts(f *fixture) {
	ports := f.freePorts(2)
	f.must(f.Runtime.Publish(f.ctx, f.publication("web", ports[0])))
	web, other := f.publication("web", ports[1]), f.publication("other", ports[0])
	f.must(f.Runtime.Publish(f.ctx, web))
	f.must(f.Runtime.Publish(f.ctx, other))
	f.arePublished(other, web)
}

func portTaken(f *fixture) {
	ports := f.freePorts(1)
	first, second := f.publication("first", ports...), f.publication("second", ports...)
	f.must(f.Runtime.Publish(f.ctx, first))
	for range 2 {
		err := f.Runtime.Publish(f.ctx, second)
		if !errors.Is(err, runtime.ErrPortTaken) || !strings.Contains(err.Error(), fmt.Sprint(ports[0])) {
			f.Errorf("publishing a port that is taken: %v; want ErrPortTaken and the port", err)
		}
	}
	list := f.published()
	if len(list) != 2 || !list[0].Running || !reflect.DeepEqual(list[0].Publication, first) {
		f.Fatalf("published is %+v; want both, the first running", list)
	}
	if list[1].Running || list[1].Error == "" || !reflect.DeepEqual(list[1].Publication, second) {
		f.Errorf("the second is %+v; want it not running, and why", list[1])
	}
	f.must(f.Runtime.Unpublish(f.ctx, first.Namespace, first.Name))
	f.must(f.Runtime.Publish(f.ctx, second))
	f.arePublished(second)
}

func unpublish(f *fixture) {
	f.must(f.Runtime.Unpublish(f.ctx, f.namespace, "none"))
	web := f.publication("web", f.freePorts(1)...)
	f.must(f.Runtime.Publish(f.ctx, web))
	for range 2 {
		f.must(f.Runtime.Unpublish(f.ctx, web.Namespace, web.Name))
		f.arePublished()
	}
}
