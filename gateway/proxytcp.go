package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"
)

// dialTimeout bounds the wait for one backend; a pod that is gone does not answer at all.
const dialTimeout = 5 * time.Second

// acceptRetry is the pause after a failed accept, as for want of file descriptors.
const acceptRetry = 50 * time.Millisecond

// listenTCP serves a TCP front. Its backends are looked up for each connection.
func (p *proxy) listenTCP(l *listener, f front) error {
	socket, err := listenTCP(p.ctx, netip.AddrPortFrom(f.ip, f.port).String())
	if err != nil {
		return err
	}
	l.changed = func() {}
	l.stop = func() { socket.Close() }
	go p.accept(l, socket)
	return nil
}

// accept serves each connection in a goroutine until the socket is closed.
func (p *proxy) accept(l *listener, socket net.Listener) {
	for {
		conn, err := socket.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			p.log.Warn("accept connection", "err", err)
			sleep(p.ctx, acceptRetry)
			continue
		}
		go p.forward(l, conn.(*net.TCPConn))
	}
}

// forward joins a client with the first of its backends that accepts. Without one the client is reset.
func (p *proxy) forward(l *listener, client *net.TCPConn) {
	defer client.Close()
	backend, err := p.dial(l, addrPort(client.RemoteAddr()))
	if err != nil {
		_ = client.SetLinger(0)
		return
	}
	defer backend.Close()
	p.track(backend, true)
	defer p.track(backend, false)
	stop := context.AfterFunc(p.ctx, func() {
		client.Close()
		backend.Close()
	})
	defer stop()
	done := make(chan struct{})
	go func() {
		pipe(backend, client)
		close(done)
	}()
	pipe(client, backend)
	<-done
}

func (p *proxy) track(backend *net.TCPConn, open bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if open {
		p.open[backend] = true
	} else {
		delete(p.open, backend)
	}
}

// disconnect closes the connections to pods that are gone, and with them their clients'.
func (p *proxy) disconnect(gone map[netip.Addr]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for backend := range p.open {
		if gone[addrPort(backend.RemoteAddr()).Addr()] {
			backend.Close()
		}
	}
}

// dial tries the backends in the client's order.
func (p *proxy) dial(l *listener, client netip.AddrPort) (*net.TCPConn, error) {
	err := errors.New("no backend")
	if !l.rule.Load().admits(client.Addr()) {
		return nil, errors.New("the client may not connect")
	}
	for _, backend := range l.rule.Load().ranked(client) {
		var conn net.Conn
		conn, err = (&net.Dialer{Timeout: dialTimeout}).DialContext(p.ctx, "tcp4", backend.String())
		if err == nil {
			return conn.(*net.TCPConn), nil
		}
	}
	return nil, err
}

// pipe copies one direction (within the kernel) and passes on the end of it. An error resets both ends: neither may take what
// it has for all there was.
func pipe(dst, src *net.TCPConn) {
	if _, err := io.Copy(dst, src); err != nil {
		for _, end := range []*net.TCPConn{dst, src} {
			_ = end.SetLinger(0) // fails if it is closed already
			end.Close()
		}
		return
	}
	_ = dst.CloseWrite() // fails if dst is closed already
}

// addrPort returns a TCP or UDP address as a value.
func addrPort(address net.Addr) netip.AddrPort {
	var a netip.AddrPort
	switch address := address.(type) {
	case *net.TCPAddr:
		a = address.AddrPort()
	case *net.UDPAddr:
		a = address.AddrPort()
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
