package gateway

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// flowIdle is how long a flow lives without a packet in either direction.
	flowIdle = time.Minute
	// maxFlows bounds the flows of one front, each a socket.
	maxFlows    = 4096
	maxDatagram = 64 << 10
)

// flows are the clients of one UDP front, each with a socket to its backend.
type flows struct {
	proxy    *proxy
	listener *listener
	socket   *net.UDPConn

	mu       sync.Mutex
	byClient map[netip.AddrPort]*flow
}

type flow struct {
	backend netip.AddrPort
	conn    *net.UDPConn
}

// listenUDP serves a UDP front. A change of the rule ends the flows that it would not begin.
func (p *proxy) listenUDP(l *listener, f front) error {
	socket, err := listenUDP(p.ctx, netip.AddrPortFrom(f.ip, f.port).String())
	if err != nil {
		return err
	}
	fl := &flows{proxy: p, listener: l, socket: socket.(*net.UDPConn), byClient: map[netip.AddrPort]*flow{}}
	l.changed = func() {
		r := l.rule.Load()
		fl.end(func(client netip.AddrPort, f *flow) bool { return !r.leads(client.Addr(), f.backend) })
	}
	l.stop = func() {
		socket.Close()
		fl.end(func(netip.AddrPort, *flow) bool { return true })
	}
	go fl.receive()
	return nil
}

// receive passes clients' datagrams on until the socket is closed.
func (fl *flows) receive() {
	buffer := make([]byte, maxDatagram)
	for {
		n, client, err := fl.socket.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return
		}
		if f := fl.of(netip.AddrPortFrom(client.Addr().Unmap(), client.Port())); f != nil {
			// A datagram that cannot be sent is lost, as datagrams may be.
			_, _ = f.conn.Write(buffer[:n])
			_ = f.conn.SetReadDeadline(time.Now().Add(flowIdle))
		}
	}
}

// of returns the client's flow, a new one if need be, or nil if there cannot be one.
func (fl *flows) of(client netip.AddrPort) *flow {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	if f, ok := fl.byClient[client]; ok {
		return f
	}
	ranked := fl.listener.backends(client)
	if len(ranked) == 0 || !fl.listener.rule.Load().admits(client.Addr()) || len(fl.byClient) >= maxFlows {
		return nil
	}
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(ranked[0]))
	if err != nil {
		fl.proxy.log.Warn("open UDP flow", "err", err)
		return nil
	}
	fl.listener.chosen(client, ranked[0])
	f := &flow{ranked[0], conn}
	fl.byClient[client] = f
	go fl.answer(client, f)
	return f
}

// answer passes a backend's datagrams back, until the flow is idle or ended.
func (fl *flows) answer(client netip.AddrPort, f *flow) {
	defer fl.forget(client, f)
	buffer := make([]byte, maxDatagram)
	for {
		if err := f.conn.SetReadDeadline(time.Now().Add(flowIdle)); err != nil {
			return
		}
		n, err := f.conn.Read(buffer)
		if err != nil {
			return
		}
		if _, err := fl.socket.WriteToUDPAddrPort(buffer[:n], client); err != nil {
			return
		}
	}
}

// forget removes a flow, unless the client has another by now.
func (fl *flows) forget(client netip.AddrPort, f *flow) {
	f.conn.Close()
	fl.mu.Lock()
	defer fl.mu.Unlock()
	if fl.byClient[client] == f {
		delete(fl.byClient, client)
	}
}

// end closes the flows that match. Their clients' next datagrams begin new ones.
func (fl *flows) end(match func(client netip.AddrPort, f *flow) bool) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	for client, f := range fl.byClient {
		if match(client, f) {
			f.conn.Close()
			delete(fl.byClient, client)
		}
	}
}
