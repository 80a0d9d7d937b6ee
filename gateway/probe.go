package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The semantics are those of the kubelet's probers: k8s.io/kubernetes/pkg/probe/{http,tcp,grpc}.
const (
	probeUserAgent  = "kube-probe/podyard"
	maxProbeBody    = 10 << 10
	maxProbeMessage = 1 << 10
	maxRedirects    = 10
)

// timeout returns how long the probe may take.
func (p *ProbeRequest) timeout() time.Duration {
	if p.Timeout <= 0 {
		return time.Second
	}
	return p.Timeout
}

// run carries the probe out.
func (p *ProbeRequest) run(ctx context.Context) ProbeAnswer {
	ctx, cancel := context.WithTimeout(ctx, p.timeout())
	defer cancel()
	var answer ProbeAnswer
	switch p.Scheme {
	case "tcp":
		answer = p.connect(ctx)
	case "http", "https":
		answer = p.get(ctx)
	case "grpc":
		answer = p.check(ctx)
	default:
		answer = ProbeAnswer{Message: fmt.Sprintf("unknown probe scheme %q", p.Scheme)}
	}
	answer.Message = clip(answer.Message, maxProbeMessage)
	return answer
}

func (p *ProbeRequest) address() string {
	return net.JoinHostPort(p.Host, strconv.Itoa(int(p.Port)))
}

// connect is a tcpSocket probe: ready is what accepts.
func (p *ProbeRequest) connect(ctx context.Context) ProbeAnswer {
	conn, err := probeDialer().DialContext(ctx, "tcp", p.address())
	if err != nil {
		return ProbeAnswer{Message: err.Error()}
	}
	conn.Close()
	return ProbeAnswer{OK: true}
}

// get is an httpGet probe: ready is what answers with 200 to 399.
func (p *ProbeRequest) get(ctx context.Context) ProbeAnswer {
	request, err := p.httpRequest(ctx)
	if err != nil {
		return ProbeAnswer{Message: err.Error()}
	}
	client := &http.Client{CheckRedirect: sameHost, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		// A server that speaks nothing older over TLS.
		ForceAttemptHTTP2:  true,
		DisableKeepAlives:  true,
		DisableCompression: true,
		DialContext:        probeDialer().DialContext,
	}}
	resp, err := client.Do(request)
	if err != nil {
		return ProbeAnswer{Message: err.Error()}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxProbeBody))
	if err != nil {
		return ProbeAnswer{Message: err.Error()}
	}
	if resp.StatusCode < http.StatusOK || resp.StatusCode >= http.StatusBadRequest {
		return ProbeAnswer{Message: fmt.Sprintf("HTTP probe failed with statuscode: %d", resp.StatusCode)}
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return ProbeAnswer{OK: true, Message: "Probe terminated redirects, Response body: " + string(body)}
	}
	return ProbeAnswer{OK: true, Message: string(body)}
}

// httpRequest builds the request. A header with an empty value takes the default away.
func (p *ProbeRequest) httpRequest(ctx context.Context) (*http.Request, error) {
	target, err := url.Parse(p.Path)
	if err != nil {
		target = &url.URL{Path: p.Path}
	}
	target.Scheme, target.Host = p.Scheme, p.address()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, err
	}
	for _, h := range p.Headers {
		request.Header.Add(h.Name, h.Value)
	}
	request.Host = request.Header.Get("Host") // the address if there is none
	if _, given := request.Header["User-Agent"]; !given {
		request.Header.Set("User-Agent", probeUserAgent)
	}
	if _, given := request.Header["Accept"]; !given {
		request.Header.Set("Accept", "*/*")
	} else if request.Header.Get("Accept") == "" {
		request.Header.Del("Accept")
	}
	return request, nil
}

// sameHost follows redirects within the pod. One that leads elsewhere is a success: the pod answered.
func sameHost(request *http.Request, via []*http.Request) error {
	if request.URL.Hostname() != via[0].URL.Hostname() {
		return http.ErrUseLastResponse
	}
	if len(via) >= maxRedirects {
		return errors.New("stopped after 10 redirects")
	}
	return nil
}

// probeDialer does not leave closed connections in TIME_WAIT for a minute, of which there would be thousands.
func probeDialer() *net.Dialer { return &net.Dialer{Control: lingerShortly} }

// clip cuts s to at most n bytes, at a whole character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
