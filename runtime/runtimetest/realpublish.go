package runtimetest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/podyard/podyard/runtime"
)

// The clients of these checks are of the engine's host, on which the tests run. From another address of it than the bridge's
// they are as far away for the data plane as clients from outside.
var realPublishChecks = []Check{
	{Name: "a published port leads to the Service, whose pods see the client", Alone: true, run: publishedClient},
	{Name: "a published port follows the Service's endpoints and refuses without any", Alone: true, run: publishedFollows},
	{Name: "a published port admits the source ranges only", Alone: true, run: publishedSources},
	{Name: "a published port keeps a client with its pod if the Service does", Alone: true, run: publishedAffinity},
	{Name: "a published port leads to what is no pod, by TCP and UDP", Alone: true, run: publishedExternal},
	{Name: "a pod reaches a published port of its host, its own Service's too", Alone: true, run: publishedHairpin},
}

// hostAddress is one of the host's addresses outside the engine's networks.
func (f *fixture) hostAddress() netip.Addr {
	f.Helper()
	route, err := net.Dial("udp4", "192.0.2.1:9") // sends nothing
	if err != nil {
		f.Fatalf("the host needs an address beside the engine's bridges: %v", err)
	}
	defer route.Close()
	return route.LocalAddr().(*net.UDPAddr).AddrPort().Addr()
}

// dial connects to a port of the host, from one of its addresses.
func (f *fixture) dial(from netip.Addr, port int32) (net.Conn, error) {
	d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
	return d.DialContext(f.ctx, "tcp4", fmt.Sprintf("%s:%d", f.state().HostIP, port))
}

// fetch asks a port of the host for a path over plain HTTP.
func (f *fixture) fetch(from netip.Addr, port int32, path string) (string, error) {
	conn, err := f.dial(from, port)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.0\r\n\r\n", path); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	if err == nil && len(answer) == 0 {
		err = io.ErrUnexpectedEOF
	}
	return string(answer), err
}

// fetches fails unless a port of the host answers with some words.
func (f *fixture) fetches(from netip.Addr, port int32, path, words string) {
	f.Helper()
	answer, err := f.fetch(from, port, path)
	if err != nil || !strings.Contains(answer, words) {
		f.Errorf("%s from %s answers %q, %v; want %q", path, from, answer, err, words)
	}
}

// bridge is the host's address in the pod network.
func (f *fixture) bridge() netip.Addr {
	f.Helper()
	address, err := netip.ParseAddr(f.state().HostIP)
	f.must(err)
	return address
}

// publish publishes the Service web, whose address is the third, on a port of the host.
func (f *fixture) publish(sources ...string) (port int32) {
	f.Helper()
	web := f.publication("web", f.freePorts(1)...)
	web.SourceRanges = sources
	f.must(f.Runtime.Publish(f.ctx, web))
	return web.Ports[0].HostPort
}

// tells has a server answer /cgi-bin/client with the address of its client, which may be written as in IPv6.
const tells = `mkdir -p /tmp/www/cgi-bin
printf '#!/bin/sh\necho; echo client=${REMOTE_ADDR##*:}\n' >/tmp/www/cgi-bin/client
chmod +x /tmp/www/cgi-bin/client`

func publishedClient(f *fixture) {
	f.noRoutesAfterwards()
	f.route(f.clusterIP(3), f.web("one"))
	f.sh(f.pods()[0].Containers[0].ID, tells)
	port := f.publish()
	for _, client := range []netip.Addr{f.hostAddress(), f.bridge()} {
		f.fetches(client, port, "/cgi-bin/client", "client="+client.String())
	}
}

func publishedFollows(f *fixture) {
	f.noRoutesAfterwards()
	port, client := f.publish(), f.hostAddress()
	one, two := f.web("one"), f.web("two")
	for range 2 {
		f.route(f.clusterIP(3), one)
		f.fetches(client, port, "/", "I am one")
		f.route(f.clusterIP(3), two)
		f.fetches(client, port, "/", "I am two")
		f.route(f.clusterIP(3))
		begin := time.Now()
		if answer, err := f.fetch(client, port, "/"); err == nil || time.Since(begin) > 4*time.Second {
			f.Errorf("without endpoints it answers %q, %v after %s; want it refused at once", answer, err, time.Since(begin))
		}
	}
}

func publishedSources(f *fixture) {
	f.noRoutesAfterwards()
	f.route(f.clusterIP(3), f.web("one"))
	port := f.publish("203.0.113.0/24", f.hostAddress().String()+"/32")
	f.fetches(f.hostAddress(), port, "/", "I am one")
	if answer, err := f.fetch(f.bridge(), port, "/"); err == nil {
		f.Errorf("a client outside the ranges is answered %q", answer)
	}
	port = f.publish("203.0.113.0/24")
	if answer, err := f.fetch(f.hostAddress(), port, "/"); err == nil {
		f.Errorf("a client outside the new ranges is answered %q", answer)
	}
}

func publishedAffinity(f *fixture) {
	f.noRoutesAfterwards()
	servers := []string{f.web("one"), f.web("two"), f.web("three")}
	web := f.service("web", f.clusterIP(3))
	web.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	f.must(f.Runtime.Route(f.ctx, runtime.Routes{
		Services: []*corev1.Service{web}, Endpoints: []*discoveryv1.EndpointSlice{f.endpoints("web", servers...)},
	}))
	port := f.publish()
	answers := map[string]int{}
	for range 30 {
		answer, err := f.fetch(f.hostAddress(), port, "/")
		f.must(err)
		answers[answer[strings.LastIndex(answer, "I am"):]]++
	}
	if len(answers) != 1 {
		f.Errorf("30 connections of one client were answered by %v; want one", answers)
	}
}

// publishedExternal has this process for an endpoint, at the host's address.
func publishedExternal(f *fixture) {
	f.noRoutesAfterwards()
	stream, err := net.Listen("tcp4", f.bridge().String()+":0")
	f.must(err)
	defer stream.Close()
	packets, err := net.ListenPacket("udp4", stream.Addr().String())
	f.must(err)
	defer packets.Close()
	go echoStreams(stream)
	go echoPackets(packets)
	name, other, number := "http", "dns", int32(stream.Addr().(*net.TCPAddr).Port)
	tcp, udp := corev1.ProtocolTCP, corev1.ProtocolUDP
	web, slice := f.service("web", f.clusterIP(3)), f.endpoints("web", f.bridge().String())
	web.Spec.Ports = append(web.Spec.Ports, corev1.ServicePort{Name: other, Protocol: udp, Port: 53})
	slice.Ports = []discoveryv1.EndpointPort{{Name: &name, Port: &number, Protocol: &tcp}, {Name: &other, Port: &number, Protocol: &udp}}
	f.must(f.Runtime.Route(f.ctx, runtime.Routes{Services: []*corev1.Service{web}, Endpoints: []*discoveryv1.EndpointSlice{slice}}))

	p := f.publication("web", f.freePorts(1)...)
	p.Ports = append(p.Ports, runtime.PublishedPort{Protocol: udp, HostPort: p.Ports[0].HostPort, Port: 53})
	f.must(f.Runtime.Publish(f.ctx, p))
	for _, network := range []string{"tcp4", "udp4"} {
		if err := f.echoes(network, p.Ports[0].HostPort); err != nil {
			f.Errorf("by %s: %v", network, err)
		}
	}
}

func echoStreams(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			_, _ = io.Copy(conn, conn) // the client says what is wrong
		}()
	}
}

func echoPackets(packets net.PacketConn) {
	buffer := make([]byte, 1500)
	for {
		n, from, err := packets.ReadFrom(buffer)
		if err != nil {
			return
		}
		_, _ = packets.WriteTo(buffer[:n], from) // the client says what is wrong
	}
}

// echoes sends words to a port of the host and wants them back.
func (f *fixture) echoes(network string, port int32) error {
	const words = "are you there?"
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(f.ctx, network, fmt.Sprintf("%s:%d", f.state().HostIP, port))
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Write([]byte(words)); err != nil {
		return err
	}
	buffer := make([]byte, len(words))
	if _, err := io.ReadFull(conn, buffer); err != nil {
		return err
	}
	if string(buffer) != words {
		return errors.New("other words came back: " + string(buffer))
	}
	return nil
}

func publishedHairpin(f *fixture) {
	f.noRoutesAfterwards()
	f.route(f.clusterIP(3), f.web("one"))
	server := f.pods()[0].Containers[0].ID
	client := f.run(f.pod("client"), "main", Behaviour{Kind: Sleep})
	port := int(f.publish())
	for _, from := range []string{client, server} {
		f.answers(from, f.state().HostIP, port, "I am one")
	}
}
