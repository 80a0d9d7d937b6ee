package ingress

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"
)

const (
	// maxAttempts is how many times a request is sent at most.
	maxAttempts = 4
	// dialTimeout: an address where no pod is any more does not answer at all.
	dialTimeout = 3 * time.Second
	// idleTimeout of connections to backends is shorter than the shortest that is common with servers (Node.js: 5 s), so that
	// they do not close one just when a request is sent over it.
	idleTimeout        = 4 * time.Second
	maxIdlePerEndpoint = 256
)

// transports send requests, by what the backend speaks.
type transports map[Protocol]*http.Transport

func newTransports() transports {
	all := transports{}
	for _, protocol := range []Protocol{HTTP, HTTPS, H2C, H2} {
		all[protocol] = newTransport(protocol)
	}
	return all
}

// newTransport does not verify certificates of backends, as ingress-nginx by default: pods have none that a name could be
// checked against.
func newTransport(protocol Protocol) *http.Transport {
	protocols := new(http.Protocols)
	switch protocol {
	case H2C:
		protocols.SetUnencryptedHTTP2(true)
	case H2:
		protocols.SetHTTP2(true)
	default:
		protocols.SetHTTP1(true)
	}
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true},
		TLSHandshakeTimeout: 2 * dialTimeout,
		Protocols:           protocols,
		DisableCompression:  true,
		IdleConnTimeout:     idleTimeout,
		MaxIdleConnsPerHost: maxIdlePerEndpoint,
		WriteBufferSize:     16 << 10,
		ReadBufferSize:      16 << 10,
	}
}

// exchange is one request on its way to a backend. It is a http.RoundTripper for it alone.
type exchange struct {
	transports transports
	route      *route
	client     netip.Addr
	// endpoint is the last one tried.
	endpoint *endpoint
	attempts int
	// release ends the count of the request at its endpoint.
	release func()
}

// RoundTrip sends the request to one endpoint and, where that does not take it, to the next. A request is repeated if no byte
// of it was sent, or if its method is idempotent (RFC 9110, 9.2.2) and its body is small enough to be kept.
func (x *exchange) RoundTrip(request *http.Request) (*http.Response, error) {
	var tried []*endpoint
	body := keepBody(request)
	for {
		x.attempts++
		x.endpoint = x.route.pool.pick(x.client, tried, time.Now())
		if x.endpoint == nil {
			return nil, errNoEndpoint
		}
		response, err := x.send(request)
		if err == nil || x.attempts >= maxAttempts || !repeatable(request, body, err) {
			return response, err
		}
		body.again(request)
		again := slices.Contains(tried, x.endpoint) || x.route.pool.size() == 1
		tried = append(tried, x.endpoint)
		if again && !pause(request.Context(), time.Duration(x.attempts)*50*time.Millisecond) {
			return nil, err
		}
	}
}

// send sends the request once. The request counts at its endpoint until the answer is at its end.
func (x *exchange) send(request *http.Request) (*http.Response, error) {
	e := x.endpoint
	attempt := request.Clone(request.Context())
	attempt.URL.Host = e.address
	attempt.URL.Scheme = "http"
	if x.route.protocol == HTTPS || x.route.protocol == H2 {
		attempt.URL.Scheme = "https"
	}
	response, err := x.transports[x.route.protocol].RoundTrip(attempt)
	e.unanswered.Add(-1)
	if err != nil {
		e.active.Add(-1)
		if notConnected(err) {
			e.avoid.Store(time.Now().Add(avoidance).UnixNano())
		}
		return nil, err
	}
	x.release = func() { e.active.Add(-1) }
	return response, nil
}

// notConnected tells that the backend took no connection: nothing was sent.
func notConnected(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// repeatable tells whether a request may be sent again after an error.
func repeatable(request *http.Request, body *keptBody, err error) bool {
	switch {
	case request.Context().Err() != nil, !body.rewound():
		return false
	case notConnected(err):
		return true
	}
	return isIdempotent(request.Method) && request.Header.Get("Upgrade") == ""
}

// isIdempotent is RFC 9110, 9.2.2.
func isIdempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

// pause waits; it is false if the request has ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
