package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/podyard/podyard/status"
)

const ingressManifest = `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  tls: [{hosts: [www.example.com], secretName: www}]
  rules:
  - host: www.example.com
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
---
apiVersion: v1
kind: Secret
metadata: {name: www}
type: kubernetes.io/tls
stringData:
  tls.crt: |
    %s
  tls.key: |
    %s
`

// TestIngress from the host's ports: with a certificate of a Secret, through a rolling update, and with the daemon killed.
func TestIngress(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	plain, secure := h.freePort(), h.freePort()
	certificate, key := certificateFor(t, "www.example.com")
	indent := func(text string) string { return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") }
	version := func(n int) string {
		return strings.Replace(web(3, fmt.Sprintf("--version=%d", n)), "progressDeadlineSeconds: 8", "progressDeadlineSeconds: 300", 1)
	}
	h.commit("One", map[string]string{"web.yaml": version(1), "ingress.yaml": fmt.Sprintf(ingressManifest, indent(certificate), indent(key))})
	flags := []string{"--http-port", plain, "--https-port", secure}
	h.start(flags...)
	h.awaitOutcome("One", status.Succeeded)
	if got := h.object("Ingress").Summary; got["hosts"] != "www.example.com" || got["ports"] != plain+","+secure {
		t.Errorf("the Ingress is shown as %v", got)
	}
	site := newVisitor(certificate)
	h.await("version 1 by HTTPS", func() bool { return site.answers("https://www.example.com:"+secure+"/", `"version":"1"`) })
	if _, location := site.get("http://www.example.com:" + plain + "/a?b=c"); location != "https://www.example.com:"+secure+"/a?b=c" {
		t.Errorf("plain HTTP is redirected to %q", location)
	}
	if answer, _ := site.get("http://other.example.com:" + plain + "/"); !strings.HasPrefix(answer, "404 ") {
		t.Errorf("another host is answered with %q", answer)
	}

	load := site.begin("https://www.example.com:" + secure + "/")
	h.commit("Two", map[string]string{"web.yaml": version(2)})
	h.awaitOutcome("Two", status.Succeeded)
	h.await("version 2", func() bool { return site.answers("https://www.example.com:"+secure+"/", `"version":"2"`) })
	h.stop(syscall.SIGKILL)
	time.Sleep(time.Second)
	h.start(flags...)
	h.awaitOutcome("Two", status.Succeeded)
	load.end(t)

	h.commit("Closed", map[string]string{"ingress.yaml": ""})
	h.awaitOutcome("Closed", status.Succeeded)
	h.await("the ports to be closed", func() bool {
		connection, err := net.Dial("tcp", "127.0.0.1:"+secure)
		if err == nil {
			connection.Close()
		}
		return err != nil
	})
}

// TestTheIngressExample answers by both of its paths.
func TestTheIngressExample(t *testing.T) {
	tagExampleImages(t)
	h := newHost(t)
	h.copyTree("../examples/ingress", nil)
	h.commit("Example", nil)
	plain := h.freePort()
	h.start("--http-port", plain, "--https-port", "0")
	h.awaitOutcome("Example", status.Succeeded)
	site := newVisitor("")
	for _, path := range []string{"/health", "/api/health"} {
		h.await("an answer at "+path, func() bool {
			answer, _ := site.get("http://shop.localhost:" + plain + path)
			return answer != "" && !strings.HasPrefix(answer, "503 ")
		})
	}
}

// TestAPortOfIngressesThatAProgramHas is said of the Ingress, and taken when it is free.
func TestAPortOfIngressesThatAProgramHas(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	program, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	_, port, _ := net.SplitHostPort(program.Addr().String())
	h.commit("Taken", map[string]string{"ingress.yaml": `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
`})
	h.start("--http-port", port, "--https-port", "0")
	h.await("the Ingress to say who has the port", func() bool {
		return slices.ContainsFunc(h.snapshot().Objects, func(o status.Object) bool {
			return o.Kind == "Ingress" && o.Health == status.Stalled &&
				strings.Contains(o.Message, "port "+port+"/TCP of the host is in use by a program outside Podyard")
		})
	})
	program.Close()
	h.awaitOutcome("Taken", status.Succeeded)
}

// visitor is a client outside: every host is at 127.0.0.1.
type visitor struct{ client *http.Client }

func newVisitor(certificate string) visitor {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(certificate))
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	return visitor{&http.Client{
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				_, port, _ := net.SplitHostPort(address)
				return dialer.DialContext(ctx, "tcp", "127.0.0.1:"+port)
			},
		},
	}}
}

// get returns the status and the body, or the error, and where it redirects to.
func (v visitor) get(url string) (answer, location string) {
	response, err := v.client.Get(url)
	if err != nil {
		return err.Error(), ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error(), ""
	}
	return response.Status + " " + string(body), response.Header.Get("Location")
}

func (v visitor) answers(url, text string) bool {
	answer, _ := v.get(url)
	return strings.HasPrefix(answer, "200 ") && strings.Contains(answer, text)
}

// visits are requests without end.
type visits struct {
	stop   context.CancelFunc
	ended  sync.WaitGroup
	sent   atomic.Int64
	mu     sync.Mutex
	failed []string
}

// begin sends requests from four clients at once, until end.
func (v visitor) begin(url string) *visits {
	ctx, stop := context.WithCancel(context.Background())
	load := &visits{stop: stop}
	for range 4 {
		load.ended.Go(func() {
			for ctx.Err() == nil {
				load.sent.Add(1)
				if answer, _ := v.get(url); !strings.HasPrefix(answer, "200 ") {
					load.mu.Lock()
					load.failed = append(load.failed, answer)
					load.mu.Unlock()
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	return load
}

func (l *visits) end(t *testing.T) {
	l.stop()
	l.ended.Wait()
	t.Logf("%d requests, %d failed", l.sent.Load(), len(l.failed))
	if len(l.failed) > 0 {
		t.Errorf("%d of %d requests failed, the first: %s", len(l.failed), l.sent.Load(), l.failed[0])
	}
}

// certificateFor is one for a host, or an address, that its own key has signed, with the key, in PEM.
func certificateFor(t *testing.T, host string) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	chain, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: chain})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text}))
}
