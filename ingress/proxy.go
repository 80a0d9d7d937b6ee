package ingress

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// proxy answers requests as the router of the moment says.
type proxy struct {
	log *slog.Logger
	// quiet takes what the libraries log of single connections.
	quiet *log.Logger
	// access takes a line for each request, if Settings ask for it.
	access     *slog.Logger
	transports transports
	router     atomic.Pointer[router]
	// challenge answers requests of an ACME server; false means that it is none.
	challenge func(w http.ResponseWriter, r *http.Request) bool
	// draining has connections closed after their request; active counts requests, WebSockets among them.
	draining atomic.Bool
	active   atomic.Int64
}

func newProxy(logger, access *slog.Logger) *proxy {
	p := &proxy{
		log: logger, quiet: slog.NewLogLogger(logger.Handler(), slog.LevelDebug), access: access, transports: newTransports(),
		challenge: func(http.ResponseWriter, *http.Request) bool { return false },
	}
	empty, _ := compile(Config{}, nil)
	p.router.Store(empty)
	return p
}

// visitor is one request on its way.
type visitor struct {
	*http.Request
	router *router
	route  *route
	// peer is who is connected, client whom it speaks for: the same, unless the peer is a trusted proxy.
	peer, client netip.Addr
	trusted      bool
	// host is the name it asks for, scheme what the client speaks.
	host, scheme string
	id           string
	exchange     *exchange
}

func (p *proxy) newVisitor(r *http.Request) *visitor {
	v := &visitor{Request: r, router: p.router.Load(), host: hostName(r.Host), scheme: "http"}
	if r.TLS != nil {
		v.scheme = "https"
	}
	v.peer = addressOf(r.RemoteAddr)
	v.trusted = contains(v.router.proxies, v.peer)
	v.client = v.peer
	if v.trusted {
		v.client = clientOf(r.Header.Values("X-Forwarded-For"), v.peer, v.router.proxies)
		if proto := r.Header.Get("X-Forwarded-Proto"); proto == "http" || proto == "https" {
			v.scheme = proto
		}
	}
	v.id = requestID(r.Header.Get("X-Request-Id"))
	return v
}

// ServeHTTP implements http.Handler.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.active.Add(1)
	defer p.active.Add(-1)
	if p.draining.Load() && r.Header.Get("Upgrade") == "" {
		w.Header().Set("Connection", "close") // of HTTP/2 it is a GOAWAY
	}
	v := p.newVisitor(r)
	if v.router.settings.AccessLog {
		recorded := &recorder{ResponseWriter: w}
		defer p.logAccess(v, recorded, time.Now())
		w = recorded
	}
	if strings.Contains(strings.ToLower(r.Header.Get("Upgrade")), "h2c") {
		// A backend that took it would be spoken to past every rule.
		r.Header.Del("Upgrade")
	}
	p.serve(w, v)
}

// serve decides what a request gets.
func (p *proxy) serve(w http.ResponseWriter, v *visitor) {
	if v.TLS == nil && strings.HasPrefix(v.URL.Path, challengePath) && p.challenge(w, v.Request) {
		return
	}
	if v.Method == http.MethodConnect {
		writePage(w, v, http.StatusMethodNotAllowed, "This is no forward proxy.")
		return
	}
	v.route = v.router.match(v.host, v.URL.Path)
	switch route := v.route; {
	case route == nil:
		writePage(w, v, http.StatusNotFound, "No Ingress leads from this host and path to a Service.")
	case route.restricted && !contains(route.allowed, v.client):
		writePage(w, v, http.StatusForbidden, "Your address may not see this.")
	case route.redirect != "":
		http.Redirect(w, v.Request, route.redirect, route.redirectCode)
	case v.scheme == "http" && v.router.redirects(route, v.host):
		http.Redirect(w, v.Request, v.secureURL(), http.StatusPermanentRedirect)
	case route.pool == nil:
		writePage(w, v, http.StatusServiceUnavailable, "What this address leads to is not a Service.")
	case route.bodySize > 0 && v.ContentLength > route.bodySize:
		writePage(w, v, http.StatusRequestEntityTooLarge, "The request is larger than this address takes.")
	default:
		p.forward(w, v)
	}
}

// redirects tells whether plain HTTP is sent to HTTPS: by default where the host has TLS, as in ingress-nginx.
func (r *router) redirects(route *route, host string) bool {
	return r.settings.HTTPSPort != 0 && (route.forceRedirect || route.sslRedirect && r.isSecure(host))
}

// secureURL is the same address with HTTPS, at the port that is published.
func (v *visitor) secureURL() string {
	host := v.host
	if strings.Contains(host, ":") { // IPv6
		host = "[" + host + "]"
	}
	if port := v.router.settings.HTTPSPort; port != 443 {
		host = net.JoinHostPort(v.host, portText(port))
	}
	return "https://" + host + v.URL.RequestURI()
}

// forward sends the request to the backend and copies its answer as it comes.
func (p *proxy) forward(w http.ResponseWriter, v *visitor) {
	ctx, cancel := context.WithCancelCause(v.Context())
	defer cancel(nil)
	patience := newPatience(v.route.options, cancel)
	defer patience.stop()
	control := http.NewResponseController(w)
	in := v.WithContext(ctx)
	in.Body = patience.watch(w, v.Request)
	if v.ProtoMajor == 1 {
		// Else the server reads the rest of a body when the answer begins, and streams both ways would lose it.
		_ = control.EnableFullDuplex()
		if in.Body != nil && in.Body != http.NoBody {
			in.Body = &impatientBody{in.Body, control}
		}
	}
	v.exchange = &exchange{transports: p.transports, route: v.route, client: v.client}
	defer v.exchange.end()
	reverse := httputil.ReverseProxy{
		Rewrite:       func(out *httputil.ProxyRequest) { v.rewrite(out.Out) },
		Transport:     v.exchange,
		FlushInterval: -1,
		ErrorLog:      p.quiet,
		BufferPool:    buffers,
		ErrorHandler:  func(w http.ResponseWriter, r *http.Request, err error) { p.fail(w, v, context.Cause(r.Context()), err) },
	}
	reverse.ModifyResponse = func(response *http.Response) error {
		if response.ContentLength == 0 {
			// A header that is flushed first would not end the stream, as a gRPC status without a message must.
			reverse.FlushInterval = 0
		}
		patience.answered(response)
		return nil
	}
	reverse.ServeHTTP(&impatientWriter{w, control}, in)
}

// fail answers a request that no backend has answered.
func (p *proxy) fail(w http.ResponseWriter, v *visitor, cause, err error) {
	if v.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the client has gone
	}
	var tooLarge *http.MaxBytesError
	var timeout net.Error
	status, text := http.StatusBadGateway, "What serves this address did not answer."
	switch {
	case errors.As(err, &tooLarge):
		status, text = http.StatusRequestEntityTooLarge, "The request is larger than this address takes."
	case errors.Is(err, errNoEndpoint):
		status, text = http.StatusServiceUnavailable, "Nothing that serves this address is ready."
	case errors.Is(cause, errPatience), errors.As(err, &timeout) && timeout.Timeout():
		status, text = http.StatusGatewayTimeout, "What serves this address took too long to answer."
	}
	p.log.Warn("request failed", "ingress", v.route.ingress, "host", v.host, "path", v.URL.Path, "status", status,
		"endpoint", v.exchange.address(), "attempts", v.exchange.attempts, "id", v.id, "err", err)
	writePage(w, v, status, text)
}

// end is called when the answer has been copied.
func (x *exchange) end() {
	if x.release != nil {
		x.release()
	}
}

// address of the endpoint that was tried last.
func (x *exchange) address() string {
	if x == nil || x.endpoint == nil {
		return ""
	}
	return x.endpoint.address
}

// bufferPool lends the buffers in which answers are copied.
type bufferPool struct{ pool sync.Pool }

const bufferSize = 32 << 10

var buffers = &bufferPool{sync.Pool{New: func() any { return new([bufferSize]byte) }}}

// Get implements httputil.BufferPool.
func (b *bufferPool) Get() []byte { return b.pool.Get().(*[bufferSize]byte)[:] }

// Put implements httputil.BufferPool.
func (b *bufferPool) Put(buffer []byte) { b.pool.Put((*[bufferSize]byte)(buffer)) }
