package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"

	"github.com/podyard/podyard/status"
)

const acmeManifest = `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, annotations: {cert-manager.io/cluster-issuer: letsencrypt}}
spec:
  tls: [{hosts: [www.example.com], secretName: made-by-acme}]
  rules:
  - host: www.example.com
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
`

// TestACertificateFromAnACMEServer with a certificate authority of its own: no Secret is in the commit.
func TestACertificateFromAnACMEServer(t *testing.T) {
	h := newHost(t)
	plain, secure := h.freePort(), h.freePort()
	directory, root := h.pebble(plain, secure)
	h.commit("One", map[string]string{"web.yaml": web(1, "--version=1"), "ingress.yaml": acmeManifest})
	h.start("--http-port", plain, "--https-port", secure, "--acme-email", "ops@example.com", "--acme-directory", directory,
		"--acme-ca", h.acmeCA())
	h.awaitOutcome("One", status.Succeeded)
	site := newVisitor(root)
	h.await("the certificate", func() bool { return site.answers("https://www.example.com:"+secure+"/", `"version":"1"`) })
}

// pebble is Let's Encrypt's ACME server for tests, at an address of this machine that containers reach. It looks for every host on
// this machine, at the ports given. root is the certificate of its authority.
func (h *host) pebble(plain, secure string) (directory, root string) {
	h.Helper()
	h.Setenv("PEBBLE_VA_NOSLEEP", "1")
	h.Setenv("PEBBLE_WFE_NONCEREJECT", "0")
	quiet, store := log.New(io.Discard, "", 0), db.NewMemoryStore()
	authority := ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {ValidityPeriod: 3600}})
	checks := va.New(quiet, h.number(plain), h.number(secure), false, h.localNames(), store)
	address := hostAddress(h.T)
	front := wfe.New(quiet, store, checks, authority, []string{"pebble.test"}, false, false, 1, 1)
	server := httptest.NewUnstartedServer(front.Handler())
	server.Listener.Close()
	listener, err := net.Listen("tcp4", address+":0")
	if err != nil {
		h.Fatal(err)
	}
	server.Listener = listener
	certificate, key := certificateFor(h.T, address)
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		h.Fatal(err)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.StartTLS()
	h.Cleanup(server.Close)
	if err := os.WriteFile(h.acmeCA(), []byte(certificate), 0o644); err != nil {
		h.Fatal(err)
	}
	return fmt.Sprintf("https://%s%s", listener.Addr(), wfe.DirectoryPath), string(authority.GetRootCert(0).PEM())
}

// acmeCA is the file with the certificate by which the ACME server is known.
func (h *host) acmeCA() string { return filepath.Join(filepath.Dir(h.work), "acme-ca.pem") }

func (h *host) number(port string) int {
	n, err := strconv.Atoi(port)
	if err != nil {
		h.Fatal(err)
	}
	return n
}

// localNames is a name server for which every name is this machine. Pebble asks by TCP.
func (h *host) localNames() string {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		h.Fatal(err)
	}
	server := &dns.Server{Listener: listener, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, query *dns.Msg) {
		answer := new(dns.Msg).SetReply(query)
		if question := query.Question[0]; question.Qtype == dns.TypeA {
			answer.Answer = append(answer.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: question.Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(127, 0, 0, 1)})
		}
		_ = w.WriteMsg(answer)
	})}
	go func() { _ = server.ActivateAndServe() }() // until Shutdown
	h.Cleanup(func() { _ = server.Shutdown() })
	return listener.Addr().String()
}
