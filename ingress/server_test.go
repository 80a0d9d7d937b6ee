package ingress

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	networkingv1 "k8s.io/api/networking/v1"
)

func insecureTLS() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// secret is a certificate of its own in PEM.
func secret(t *testing.T, name string) Certificate {
	t.Helper()
	made, err := selfSigned(time.Now())
	must(t, err)
	key, err := x509.MarshalPKCS8PrivateKey(made.PrivateKey)
	must(t, err)
	return Certificate{Namespace: "shop", Secret: name,
		Chain: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made.Certificate[0]}),
		Key:   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})}
}

// served is the certificate that a client is shown for a server name.
func (l *lab) served(name string) []byte {
	l.t.Helper()
	config := insecureTLS()
	config.ServerName = name
	conn, err := tls.Dial("tcp", l.secure, config)
	must(l.t, err)
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].Raw
}

func TestTheCertificateIsThatOfTheHost(t *testing.T) {
	l := newLab(t)
	l.service("web", backend(t, "web"))
	one, wild, next := secret(t, "one"), secret(t, "wild"), secret(t, "one")
	l.certificates = []Certificate{one, wild, secret(t, "unused")}
	l.ingress("a", "one.example.com/ web").Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{"One.example.com"}, SecretName: "one"}}
	l.ingress("b", "*.example.com/ web").Spec.TLS = []networkingv1.IngressTLS{{SecretName: "wild"}} // the rules' hosts
	l.ingress("c", "gone.test/ web").Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{"gone.test"}, SecretName: "gone"}}
	l.apply()
	der := func(c Certificate) []byte { block, _ := pem.Decode(c.Chain); return block.Bytes }
	for name, want := range map[string][]byte{"one.example.com": der(one), "two.example.com": der(wild), "gone.test": l.fallback.Certificate[0],
		"a.b.example.com": l.fallback.Certificate[0], "": l.fallback.Certificate[0]} {
		if !bytes.Equal(l.served(name), want) {
			t.Errorf("%q gets another's certificate", name)
		}
	}
	l.certificates[0] = next
	l.apply()
	if !bytes.Equal(l.served("one.example.com"), der(next)) {
		t.Error("a new certificate is not served")
	}
}

func TestPlainHTTPIsSentToTLSWhereThereIsTLS(t *testing.T) {
	l := newLab(t)
	l.service("web", backend(t, "web"))
	l.ingress("a", "secure.test/ web").Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{"secure.test"}}}
	off := l.ingress("b", "both.test/ web")
	off.Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{"both.test"}}}
	off.Annotations["nginx.ingress.kubernetes.io/ssl-redirect"] = "false"
	l.ingress("c", "plain.test/ web")
	l.ingress("d", "forced.test/ web").Annotations["nginx.ingress.kubernetes.io/force-ssl-redirect"] = "true"
	l.apply()
	for url, want := range map[string]string{
		"http://secure.test/a%20b?q=1": "https://secure.test/a%20b?q=1", "http://forced.test/": "https://forced.test/",
		"http://both.test/": "", "http://plain.test/": "", "https://secure.test/": "", "https://forced.test/": "",
	} {
		response := l.send("GET", url)
		bodyOf(t, response)
		if got := response.Header.Get("Location"); got != want || (response.StatusCode == http.StatusPermanentRedirect) != (want != "") {
			t.Errorf("%s: %d to %q, want %q", url, response.StatusCode, got, want)
		}
	}
	config := l.config()
	config.Settings.HTTPSPort = 8443
	l.agent.apply(config, true)
	if got := l.send("GET", "http://secure.test/x").Header.Get("Location"); got != "https://secure.test:8443/x" {
		t.Errorf("at another port of the host: %s", got)
	}
	config.Settings.HTTPSPort = 0
	l.agent.apply(config, true)
	if status, _ := l.get("http://secure.test/x"); status != 200 {
		t.Errorf("where TLS is not published: %d", status)
	}
}

// running is an agent as the engine runs it, in this process.
type running struct {
	stop  context.CancelFunc
	ended chan error
}

// runAgent returns when the agent serves.
func runAgent(t *testing.T, opts AgentOptions) running {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	serves := make(chan struct{})
	opts.Log = newJSONLog(writerFunc(func(line []byte) {
		if bytes.Contains(line, []byte("agent serves")) {
			close(serves)
		}
	}))
	r := running{stop, make(chan error, 1)}
	in, keep := io.Pipe()
	t.Cleanup(func() { keep.Close(); stop(); <-r.ended })
	go func() {
		r.ended <- Run(ctx, opts, in, io.Discard)
		close(r.ended)
	}()
	select {
	case <-serves:
	case err := <-r.ended:
		t.Fatalf("the agent ended: %v", err)
	}
	return r
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

// freeAddresses are two that were free a moment ago.
func freeAddresses(t *testing.T) (http, https string) { return closedPort(t), closedPort(t) }

func TestAnotherAgentTakesOverWithoutAFailedRequest(t *testing.T) {
	w := &world{settings: Settings{HTTPPort: 80, HTTPSPort: 443}}
	w.service("web", serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "ok %d", len(body))
			return
		}
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		for {
			kind, message, err := conn.Read(r.Context())
			if err != nil || conn.Write(r.Context(), kind, message) != nil {
				return
			}
		}
	}))
	w.ingress("web", "shop.test/ web")
	dir := t.TempDir()
	opts := AgentOptions{StateFile: filepath.Join(dir, "config.json"), Storage: filepath.Join(dir, "acme"), Drain: 30 * time.Second}
	opts.HTTP, opts.HTTPS = freeAddresses(t)
	keepConfig(t, opts.StateFile, w.config())
	agent := runAgent(t, opts)
	l := &lab{t: t, plain: opts.HTTP, secure: opts.HTTPS}

	socket, _, err := websocket.Dial(t.Context(), "ws://shop.test/", &websocket.DialOptions{HTTPClient: l.newClient(nil)})
	must(t, err)
	defer socket.CloseNow()
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var requests atomic.Int64
	for i := range 6 {
		wg.Go(func() {
			client := l.newClient(insecureTLS())
			client.Transport.(*http.Transport).DisableKeepAlives = i%3 == 0
			url := []string{"http://shop.test/", "https://shop.test/"}[i%2]
			for ctx.Err() == nil {
				response, err := client.Post(url, "text/plain", strings.NewReader("body"))
				if err != nil {
					t.Errorf("%s: %v", url, err)
					return
				}
				if body, err := io.ReadAll(response.Body); string(body) != "ok 4" {
					t.Errorf("%s: %d %q %v", url, response.StatusCode, body, err)
				}
				response.Body.Close()
				requests.Add(1)
			}
		})
	}
	for range 3 {
		time.Sleep(200 * time.Millisecond)
		next := runAgent(t, opts)
		agent.stop()
		agent = next
	}
	time.Sleep(300 * time.Millisecond)
	must(t, socket.Write(t.Context(), websocket.MessageText, []byte("still here")))
	if _, message, err := socket.Read(t.Context()); err != nil || string(message) != "still here" {
		t.Errorf("a WebSocket of the first agent: %q, %v", message, err)
	}
	stop()
	wg.Wait()
	t.Logf("%d requests", requests.Load())
	if requests.Load() < 100 {
		t.Errorf("only %d requests", requests.Load())
	}
}

func TestADrainingAgentEndsWhenItsStreamsDoAndNotLaterThanItMay(t *testing.T) {
	for _, c := range []struct {
		what   string
		closes bool
		drain  time.Duration
	}{{"a stream that ends", true, time.Minute}, {"a stream that does not", false, 500 * time.Millisecond}} {
		w := &world{}
		release := make(chan struct{})
		w.service("web", serve(t, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "begin\n")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-release:
				io.WriteString(w, "end\n")
			case <-r.Context().Done():
			}
		}))
		w.ingress("web", "shop.test/ web")
		dir := t.TempDir()
		opts := AgentOptions{StateFile: filepath.Join(dir, "config.json"), Storage: filepath.Join(dir, "acme"), Drain: c.drain}
		opts.HTTP, opts.HTTPS = freeAddresses(t)
		keepConfig(t, opts.StateFile, w.config())
		agent := runAgent(t, opts)
		l := &lab{t: t, plain: opts.HTTP, secure: opts.HTTPS}
		response, err := l.newClient(nil).Get("http://shop.test/")
		must(t, err)
		answer := bufio.NewReader(response.Body)
		if line, err := answer.ReadString('\n'); line != "begin\n" {
			t.Fatalf("%q, %v", line, err)
		}
		agent.stop()
		eventually(t, "no more connections are taken", func() bool {
			conn, err := net.Dial("tcp", opts.HTTP)
			if err == nil {
				conn.Close()
			}
			return err != nil
		})
		if c.closes {
			close(release)
			if line, err := answer.ReadString('\n'); line != "end\n" {
				t.Errorf("%s: %q, %v", c.what, line, err)
			}
		}
		select {
		case err := <-agent.ended:
			if err != nil {
				t.Errorf("%s: %v", c.what, err)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: the agent does not end", c.what)
		}
		response.Body.Close()
	}
}
