package ingress

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"
)

// BenchmarkRequests compares requests on kept connections to a backend itself, through the proxy, and through it with TLS.
func BenchmarkRequests(b *testing.B) {
	life := b.Context()
	a := newAgent(life, withDefaults(AgentOptions{Storage: b.TempDir(), Log: slog.New(slog.DiscardHandler)}))
	listeners, err := listen(life, []string{"127.0.0.1:0", "127.0.0.1:0"})
	if err != nil {
		b.Fatal(err)
	}
	fallback, err := selfSigned(time.Now())
	if err != nil {
		b.Fatal(err)
	}
	s := newServer(a.proxy, tlsConfig(a.proxy, a.automatic, fallback), listeners)
	s.start()
	backend, err := listen(life, []string{"127.0.0.1:0"})
	if err != nil {
		b.Fatal(err)
	}
	answers := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })}
	go answers.Serve(backend[0])
	b.Cleanup(func() { answers.Close(); closeAll(listeners) })
	w := &world{}
	w.service("web", backend[0].Addr().String())
	w.ingress("web", "/ web")
	a.proxy.serveConfig(w.config())
	for _, c := range []struct{ name, url string }{
		{"direct", "http://" + backend[0].Addr().String()}, {"proxy", "http://" + listeners[0].Addr().String()},
		{"proxy with TLS and HTTP2", "https://" + listeners[1].Addr().String()},
	} {
		b.Run(c.name, func(b *testing.B) {
			transport := &http.Transport{MaxIdleConnsPerHost: 64, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
			defer transport.CloseIdleConnections()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					response, err := transport.RoundTrip(requestFor(b, c.url))
					if err != nil {
						b.Error(err)
						return
					}
					io.Copy(io.Discard, response.Body)
					response.Body.Close()
				}
			})
		})
	}
}

func requestFor(b *testing.B, url string) *http.Request {
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		b.Fatal(err)
	}
	return r
}
