package ingress

import (
	"net/http"
	"time"
)

// recorder notes what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// Unwrap lets http.ResponseController reach what is behind.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(data []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(data)
	r.bytes += int64(n)
	return n, err
}

// logAccess writes one line of a request that has ended. Queries are left out: they may hold secrets.
func (p *proxy) logAccess(v *visitor, answer *recorder, began time.Time) {
	ingress := ""
	if v.route != nil {
		ingress = v.route.ingress
	}
	attempts := 0
	if v.exchange != nil {
		attempts = v.exchange.attempts
	}
	p.access.Info("request", "client", v.client.String(), "method", v.Method, "scheme", v.scheme, "host", v.host,
		"path", v.URL.Path, "protocol", v.Proto, "status", answer.status, "bytes", answer.bytes,
		"ms", float64(time.Since(began).Microseconds())/1000, "ingress", ingress, "endpoint", v.exchange.address(),
		"attempts", attempts, "agent", v.UserAgent(), "id", v.id)
}
