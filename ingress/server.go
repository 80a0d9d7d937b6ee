package ingress

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// headerTimeout is how long a client may take to send a request's header, keepAlive how long a connection may be idle
	// (nginx's default).
	headerTimeout = 10 * time.Second
	keepAlive     = 75 * time.Second
	// maxHeader bounds the header of a request in bytes.
	maxHeader = 64 << 10
	// farewell is for how long a draining agent answers on open connections, each of which it closes after its next request: a
	// connection that is closed while it is idle may have a request on its way.
	farewell = 5 * time.Second
	// drainTick is how often a draining agent looks whether it is done.
	drainTick = 50 * time.Millisecond
)

// server serves a proxy on listeners until it is drained.
type server struct {
	proxy     *proxy
	servers   []*http.Server
	listeners []net.Listener
	// open counts connections that the servers know of: all but those that were taken over, as WebSockets are.
	open atomic.Int64
	// failed hears of a listener that fails.
	failed chan error
}

// newServer serves plain HTTP on the first listener and TLS on the second.
func newServer(p *proxy, config *tls.Config, listeners []net.Listener) *server {
	s := &server{proxy: p, listeners: listeners, failed: make(chan error, len(listeners))}
	plain, secure := s.newHTTP(), s.newHTTP()
	plain.Protocols.SetUnencryptedHTTP2(true) // gRPC without TLS
	secure.TLSConfig = config
	s.servers = []*http.Server{plain, secure}
	return s
}

func (s *server) newHTTP() *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &http.Server{
		Handler: s.proxy, Protocols: protocols, ErrorLog: s.proxy.quiet,
		ReadHeaderTimeout: headerTimeout, IdleTimeout: keepAlive, MaxHeaderBytes: maxHeader,
		HTTP2:     &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
		ConnState: s.count,
	}
}

func (s *server) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.open.Add(-1)
	}
}

// start serves in the background.
func (s *server) start() {
	for i, listener := range s.listeners {
		go func() {
			err := s.run(i, gate{listener, s.proxy})
			if !s.proxy.draining.Load() {
				s.failed <- err
			}
		}()
	}
}

func (s *server) run(i int, listener net.Listener) error {
	if s.servers[i].TLSConfig != nil {
		return s.servers[i].ServeTLS(listener, "", "")
	}
	return s.servers[i].Serve(listener)
}

// drain stops accepting, lets requests end, and then WebSockets and streams until ctx ends. tick is called now and then.
func (s *server) drain(ctx context.Context, tick func()) {
	s.proxy.draining.Store(true)
	closeAll(s.listeners)
	s.until(ctx, time.Now().Add(farewell), tick, func() bool { return s.open.Load() == 0 && s.proxy.active.Load() == 0 })
	var shutdown sync.WaitGroup
	for _, server := range s.servers {
		shutdown.Go(func() {
			if err := server.Shutdown(ctx); err != nil {
				server.Close()
			}
		})
	}
	s.until(ctx, time.Time{}, tick, func() bool { return s.proxy.active.Load() == 0 })
	shutdown.Wait()
}

func closeAll(listeners []net.Listener) {
	for _, listener := range listeners {
		listener.Close()
	}
}

// until returns when done says so, at the deadline if there is one, or when ctx ends.
func (s *server) until(ctx context.Context, deadline time.Time, tick func(), done func() bool) {
	for !done() && ctx.Err() == nil && (deadline.IsZero() || time.Now().Before(deadline)) {
		tick()
		pause(ctx, drainTick)
	}
}

// gate is a listener that lets in clients from the source ranges only.
type gate struct {
	net.Listener
	proxy *proxy
}

// Accept implements net.Listener.
func (g gate) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if g.proxy.router.Load().letsIn(addressOf(conn.RemoteAddr().String())) {
			return conn, nil
		}
		conn.Close()
	}
}

// letsIn tells whether a client may connect. Ranges of which none can be read let nobody in.
func (r *router) letsIn(client netip.Addr) bool {
	return len(r.settings.SourceRanges) == 0 || contains(r.sources, client)
}

// tlsConfig chooses the certificate of each connection anew, so that a new one counts at once. Versions and ciphers are Go's
// defaults, TLS 1.2 and later.
func tlsConfig(p *proxy, a *automatic, fallback *tls.Certificate) *tls.Config {
	return &tls.Config{
		NextProtos: []string{"h2", "http/1.1", challengeProtocol},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if isChallenge(hello) {
				if found := a.certificate(hello); found != nil {
					return found, nil
				}
				return nil, errors.New("no challenge for this host")
			}
			if found := p.router.Load().certificates.find(hostName(hello.ServerName)); found != nil {
				return found, nil
			}
			if found := a.certificate(hello); found != nil {
				return found, nil
			}
			return fallback, nil
		},
	}
}
