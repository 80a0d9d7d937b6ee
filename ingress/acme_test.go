package ingress

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
	networkingv1 "k8s.io/api/networking/v1"
)

// pebble is Let's Encrypt's ACME server for tests. It looks for every host on this machine, at the ports given.
type pebble struct {
	*httptest.Server
	settings ACME
}

func newPebble(t *testing.T, httpPort, tlsPort int) pebble {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "0")
	quiet := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	authority := ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {ValidityPeriod: 3600}})
	validation := va.New(quiet, httpPort, tlsPort, false, localNames(t), store)
	front := wfe.New(quiet, store, validation, authority, []string{"pebble.test"}, false, false, 1, 1)
	server := httptest.NewTLSServer(front.Handler())
	t.Cleanup(server.Close)
	roots := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return pebble{server, ACME{Directory: server.URL + wfe.DirectoryPath, Email: "ops@example.com", Agreed: true, Roots: roots}}
}

// localNames is a name server for which every name is this machine. Pebble asks by TCP.
func localNames(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	server := &dns.Server{Listener: listener, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, query *dns.Msg) {
		answer := new(dns.Msg).SetReply(query)
		if question := query.Question[0]; question.Qtype == dns.TypeA {
			answer.Answer = append(answer.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: question.Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(127, 0, 0, 1)})
		}
		_ = w.WriteMsg(answer)
	})}
	go server.ActivateAndServe()
	t.Cleanup(func() { server.Shutdown() })
	return listener.Addr().String()
}

func portOfAddress(t *testing.T, address string) int {
	t.Helper()
	resolved, err := net.ResolveTCPAddr("tcp", address)
	must(t, err)
	return resolved.Port
}

// secureIngress asks for a certificate.
func (l *lab) secureIngress(annotation, value string, hosts ...string) *networkingv1.Ingress {
	var rules []string
	for _, host := range hosts {
		rules = append(rules, host+"/ web")
	}
	in := l.ingress("web", rules...)
	in.Spec.TLS = []networkingv1.IngressTLS{{Hosts: hosts, SecretName: "made-by-acme"}}
	in.Annotations[annotation] = value
	return in
}

func (l *lab) state(host string) CertificateState {
	states := l.agent.greeting().Certificates
	if i := slices.IndexFunc(states, func(s CertificateState) bool { return s.Host == host }); i >= 0 {
		return states[i]
	}
	return CertificateState{}
}

// issuer is who has signed what the host is served with.
func (l *lab) issuerOf(host string) string {
	certificate, err := x509.ParseCertificate(l.served(host))
	must(l.t, err)
	if certificate.VerifyHostname(host) != nil {
		return "another host's"
	}
	return certificate.Issuer.CommonName
}

func TestCertificatesAreObtained(t *testing.T) {
	for _, c := range []struct {
		what, annotation, value string
		httpPort, httpsPort     int32
	}{
		{"by HTTP", "podyard.dev/acme", "true", 80, 0}, {"by TLS", "cert-manager.io/cluster-issuer", "letsencrypt", 0, 443},
	} {
		t.Run(c.what, func(t *testing.T) {
			l := newLab(t)
			server := newPebble(t, portOfAddress(t, l.plain), portOfAddress(t, l.secure))
			l.settings.ACME = server.settings
			put := func() {
				l.settings.HTTPPort, l.settings.HTTPSPort = c.httpPort, c.httpsPort
				l.agent.apply(l.config(), true)
			}
			l.service("web", backend(t, "web"))
			l.secureIngress(c.annotation, c.value, "shop.test", "www.shop.test")
			put()
			for _, host := range []string{"shop.test", "www.shop.test"} {
				if s := l.state(host); s.Phase != Obtaining && s.Phase != Ready {
					t.Errorf("%s: %+v", host, s)
				}
				eventually(t, host+" is ready", func() bool { return l.state(host).Phase == Ready })
				if issuer := l.issuerOf(host); !strings.HasPrefix(issuer, "Pebble Intermediate CA") {
					t.Errorf("%s is served with the certificate of %s", host, issuer)
				}
				if left := time.Until(l.state(host).NotAfter); left < 30*time.Minute || left > time.Hour {
					t.Errorf("%s: valid for %s", host, left)
				}
			}
			// Another agent finds them on disk, and asks nobody.
			server.Close()
			ctx, end := context.WithCancel(context.Background())
			defer end()
			next := newAutomatic(ctx, l.agent.opts.Storage, slog.New(slog.DiscardHandler))
			next.set([]string{"shop.test"}, l.settings, true)
			if found := next.states(); len(found) != 1 || found[0].Phase != Ready || !found[0].NotAfter.Equal(l.state("shop.test").NotAfter) {
				t.Errorf("another agent has %+v", found)
			}
			// A Secret that comes to git takes its place.
			l.certificates = []Certificate{secret(t, "made-by-acme")}
			put()
			if issuer := l.issuerOf("shop.test"); issuer != "another host's" || len(l.agent.greeting().Certificates) != 0 {
				t.Errorf("with a Secret: %s, %+v", issuer, l.agent.greeting().Certificates)
			}
		})
	}
}

func TestWhyThereIsNoCertificateIsSaid(t *testing.T) {
	l := newLab(t)
	l.service("web", backend(t, "web"))
	l.secureIngress("kubernetes.io/tls-acme", "true", "shop.test", "*.shop.test")
	l.apply()
	if s := l.state("shop.test"); s.Phase != Waiting || !strings.Contains(s.Message, "--acme-email") {
		t.Errorf("without agreement: %+v", s)
	}
	l.settings.ACME = ACME{Directory: "https://" + closedPort(t) + "/dir", Email: "ops@example.com", Agreed: true}
	l.apply()
	if s := l.state("*.shop.test"); s.Phase != Waiting || !strings.Contains(s.Message, "wildcard") {
		t.Errorf("a wildcard: %+v", s)
	}
	eventually(t, "the failure is told", func() bool { return l.state("shop.test").Phase == Failed })
	if s := l.state("shop.test"); !strings.Contains(s.Message, "refused") || time.Until(s.Next) < time.Second {
		t.Errorf("a server that does not answer: %+v", s)
	}
	if status, body := l.get("https://shop.test/"); status != 200 || body != "web" {
		t.Errorf("without a certificate: %d %s", status, body)
	}
	l.settings.ACME.Roots = []byte("no certificate")
	l.apply()
	if s := l.state("shop.test"); s.Phase != Failed || !strings.Contains(s.Message, "PEM") {
		t.Errorf("roots that are none: %+v", s)
	}
	l.ingresses = nil
	l.apply()
	if states := l.agent.greeting().Certificates; len(states) != 0 {
		t.Errorf("of hosts that nobody asks for: %+v", states)
	}
}

func TestAChallengeOfAHostThatIsNotOursIsTheBackends(t *testing.T) {
	l := newLab(t)
	l.service("web", backend(t, "web"))
	l.ingress("web", "shop.test/ web")
	l.apply()
	if status, body := l.get("http://shop.test" + challengePath + "token"); status != 200 || body != "web" {
		t.Errorf("%d %s", status, body)
	}
}
