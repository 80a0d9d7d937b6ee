package ingress

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

const (
	// challengePath is that of RFC 8555, 8.3; challengeProtocol the ALPN of RFC 8737.
	challengePath     = "/.well-known/acme-challenge/"
	challengeProtocol = "acme-tls/1"
	// loading is how long an agent that starts waits for certificates that are on disk.
	loading = 5 * time.Second
)

// CertificateState tells how the automatic certificate of a host fares.
type CertificateState struct {
	Host  string           `json:"host"`
	Phase CertificatePhase `json:"phase"`
	// Message says why there is none yet, or why it is not renewed; it may be empty.
	Message string `json:"message,omitempty"`
	// NotAfter is the end of the certificate's validity, Next when it is tried again; zero if there is none.
	NotAfter time.Time `json:"notAfter,omitzero"`
	Next     time.Time `json:"next,omitzero"`
}

// CertificatePhase is the life of an automatic certificate.
type CertificatePhase string

// The phases. Waiting is for a person: the message says for what.
const (
	Waiting   CertificatePhase = "Waiting"
	Obtaining CertificatePhase = "Obtaining"
	Ready     CertificatePhase = "Ready"
	Failed    CertificatePhase = "Failed"
)

// automatic obtains certificates by ACME (RFC 8555) and renews them. They are kept in a directory, which agents that run beside
// each other share.
type automatic struct {
	log     *slog.Logger
	storage certmagic.Storage
	life    context.Context
	// httpPort and httpsPort are where challenges arrive: there certmagic need not listen itself.
	httpPort, httpsPort int

	mu       sync.Mutex
	settings Settings
	cache    *certmagic.Cache
	hosts    map[string]*managed
}

// managed is one host's certificate.
type managed struct {
	cancel context.CancelFunc
	config *certmagic.Config
	issuer *certmagic.ACMEIssuer
	state  CertificateState
}

// newAutomatic obtains nothing yet. Everything ends with ctx.
func newAutomatic(ctx context.Context, dir string, log *slog.Logger) *automatic {
	a := &automatic{log: log, life: ctx, storage: &certmagic.FileStorage{Path: dir}, hosts: map[string]*managed{}}
	a.cache = certmagic.NewCache(certmagic.CacheOptions{GetConfigForCert: a.configOf, Logger: zap.NewNop()})
	context.AfterFunc(ctx, a.cache.Stop)
	return a
}

// listenAt is called before the first set.
func (a *automatic) listenAt(listeners []net.Listener) {
	a.httpPort, a.httpsPort = listeners[0].Addr().(*net.TCPAddr).Port, listeners[1].Addr().(*net.TCPAddr).Port
}

// set has certificates obtained for these hosts and no others. With wait it returns when those on disk are loaded.
func (a *automatic) set(hosts []string, settings Settings, wait bool) {
	added, removed := a.compare(hosts, settings)
	a.cache.RemoveManaged(removed)
	if loaded := a.manage(added, settings); wait {
		select {
		case <-loaded:
		case <-time.After(loading):
		case <-a.life.Done():
		}
	}
}

// compare takes over the hosts and tells what is new and what is not wanted any more. The cache must not be called while mu is
// held: it asks for configurations under its own lock.
func (a *automatic) compare(hosts []string, settings Settings) (added []string, removed []certmagic.SubjectIssuer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	changed := !sameACME(a.settings, settings)
	a.settings = settings
	for host, m := range a.hosts {
		if changed || !slices.Contains(hosts, host) {
			m.cancel()
			delete(a.hosts, host)
			removed = append(removed, certmagic.SubjectIssuer{Subject: host})
		}
	}
	for _, host := range hosts {
		if a.hosts[host] == nil {
			added = append(added, host)
			a.hosts[host] = &managed{cancel: func() {}, state: CertificateState{Host: host, Phase: Waiting, Message: obstacle(host, settings)}}
		}
	}
	return added, removed
}

// sameACME: what is asked for is asked for in the same way.
func sameACME(a, b Settings) bool {
	return a.HTTPPort == b.HTTPPort && a.HTTPSPort == b.HTTPSPort && reflect.DeepEqual(a.ACME, b.ACME)
}

// obstacle says why no certificate can be asked for, and what to do; empty if it can.
func obstacle(host string, settings Settings) string {
	switch {
	case strings.HasPrefix(host, "*"):
		return "a wildcard cannot be proven by HTTP or TLS: list the hosts, or put a certificate into the Secret"
	case settings.HTTPPort == 0 && settings.HTTPSPort == 0:
		return "no port is published at which a challenge could arrive"
	case !settings.ACME.Agreed:
		return "the terms of service of the certificate authority are not agreed to: start the daemon with --acme-email"
	}
	return ""
}

// manage begins with new hosts. The channel is closed when what is on disk is loaded; the rest goes on by itself.
func (a *automatic) manage(hosts []string, settings Settings) (done chan struct{}) {
	done = make(chan struct{})
	hosts = slices.DeleteFunc(hosts, func(host string) bool { return obstacle(host, settings) != "" })
	if len(hosts) == 0 {
		close(done)
		return done
	}
	roots, err := trustedRoots(settings.ACME.Roots)
	var loaded sync.WaitGroup
	for _, host := range hosts {
		if err != nil {
			a.note(host, func(s *CertificateState) { s.Phase, s.Message = Failed, err.Error() })
			continue
		}
		ctx, m := a.begin(host, settings, roots)
		kept := a.storage.Exists(ctx, certmagic.StorageKeys.SiteCert(m.issuer.IssuerKey(), host))
		_ = m.config.ManageAsync(ctx, []string{host}) // whatever goes wrong comes to failed
		if kept {
			loaded.Go(func() { a.awaitReady(ctx, host) })
		}
	}
	go func() {
		loaded.Wait()
		close(done)
	}()
	return done
}

// begin makes the configuration of a host.
func (a *automatic) begin(host string, settings Settings, roots *x509.CertPool) (context.Context, *managed) {
	ctx, cancel := context.WithCancel(a.life)
	logger := zap.New(&listener{log: a.log, host: host, failed: a.failed})
	config := certmagic.New(a.cache, certmagic.Config{
		Storage: a.storage, Logger: logger,
		OnEvent: func(_ context.Context, event string, data map[string]any) error {
			a.happened(host, event)
			return nil
		},
	})
	issuer := certmagic.NewACMEIssuer(config, certmagic.ACMEIssuer{
		CA: cmp.Or(settings.ACME.Directory, certmagic.LetsEncryptProductionCA), Email: settings.ACME.Email, Agreed: true,
		DisableHTTPChallenge: settings.HTTPPort == 0, DisableTLSALPNChallenge: settings.HTTPSPort == 0,
		TrustedRoots: roots, Logger: logger, AltHTTPPort: a.httpPort, AltTLSALPNPort: a.httpsPort,
	})
	config.Issuers = []certmagic.Issuer{issuer}
	m := &managed{cancel: cancel, config: config, issuer: issuer, state: CertificateState{Host: host, Phase: Obtaining}}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hosts[host] = m
	return ctx, m
}

// awaitReady waits for a certificate to be loaded, which may take a request to the server for its revocation status.
func (a *automatic) awaitReady(ctx context.Context, host string) {
	ready := func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		m := a.hosts[host]
		return m == nil || m.state.Phase != Obtaining
	}
	for deadline := time.Now().Add(loading); !ready() && time.Now().Before(deadline); {
		if !pause(ctx, 2*time.Millisecond) {
			return
		}
	}
}

// trustedRoots are the public ones, which the image has no files of, and more.
func trustedRoots(more []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	for root := range bundle.Roots() {
		certificate, err := x509.ParseCertificate(root.Certificate)
		if err != nil {
			continue // of no use here, and none that this program could mend
		}
		pool.AddCertWithConstraint(certificate, func(chain []*x509.Certificate) error {
			if root.Constraint == nil {
				return nil
			}
			return root.Constraint(chain)
		})
	}
	if len(more) > 0 && !pool.AppendCertsFromPEM(more) {
		return nil, errors.New("the file of the ACME server's certificate authority holds no certificate in PEM")
	}
	return pool, nil
}

// happened takes certmagic's events: what it begins, and what it has loaded.
func (a *automatic) happened(host, event string) {
	switch event {
	case "cert_obtaining":
		a.note(host, func(s *CertificateState) {
			if s.Phase != Ready {
				s.Phase, s.Message, s.Next = Obtaining, "", time.Time{}
			}
		})
	case "cert_obtained": // and not loaded yet
		a.note(host, func(s *CertificateState) { s.Message, s.Next = "", time.Time{} })
	case "cached_managed_cert":
		a.note(host, func(s *CertificateState) { s.Phase, s.Message, s.Next = Ready, "", time.Time{} })
	}
}

// failed takes what certmagic logs of a failure: only there it says when it tries again.
func (a *automatic) failed(host string, reason string, next time.Time) {
	a.note(host, func(s *CertificateState) {
		if s.Phase != Ready {
			s.Phase = Failed
		}
		s.Message, s.Next = reason, next
	})
}

// note changes a host's state and logs it if its phase or message is another.
func (a *automatic) note(host string, change func(*CertificateState)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	m := a.hosts[host]
	if m == nil {
		return
	}
	before := m.state
	change(&m.state)
	switch now := m.state; {
	case now.Phase == before.Phase && now.Message == before.Message:
	case now.Message != "":
		a.log.Warn("certificate", "host", host, "phase", string(now.Phase), "reason", now.Message, "next", now.Next)
	default:
		a.log.Info("certificate", "host", host, "phase", string(now.Phase))
	}
}

func (a *automatic) get(host string) *managed {
	a.mu.Lock()
	defer a.mu.Unlock()
	if m := a.hosts[host]; m != nil && m.config != nil {
		return m
	}
	return nil
}

// configOf is asked at renewals.
func (a *automatic) configOf(c certmagic.Certificate) (*certmagic.Config, error) {
	for _, name := range c.Names {
		if m := a.get(name); m != nil {
			return m.config, nil
		}
	}
	return nil, fmt.Errorf("no Ingress asks for a certificate of %s any more", strings.Join(c.Names, ", "))
}

// certificate is that of the host which a client asks for, or the answer to a challenge; nil if there is none.
func (a *automatic) certificate(hello *tls.ClientHelloInfo) *tls.Certificate {
	m := a.get(hostName(hello.ServerName))
	if m == nil {
		return nil
	}
	found, err := m.config.GetCertificate(hello)
	if err != nil {
		return nil
	}
	return found
}

// isChallenge: an ACME server looks for the answer to a challenge, not for a certificate.
func isChallenge(hello *tls.ClientHelloInfo) bool {
	return slices.Equal(hello.SupportedProtos, []string{challengeProtocol})
}

// challenge answers an ACME server over HTTP; false means that it has none of ours.
func (a *automatic) challenge(w http.ResponseWriter, r *http.Request) bool {
	m := a.get(hostName(r.Host))
	return m != nil && m.issuer.HandleHTTPChallenge(w, r)
}

// states of all hosts, sorted.
func (a *automatic) states() []CertificateState {
	var out []CertificateState
	a.mu.Lock()
	for _, m := range a.hosts {
		out = append(out, m.state)
	}
	a.mu.Unlock()
	for i := range out {
		if out[i].Phase == Ready {
			out[i].NotAfter = a.notAfter(out[i].Host)
		}
	}
	slices.SortFunc(out, func(x, y CertificateState) int { return strings.Compare(x.Host, y.Host) })
	return out
}

// notAfter is that of the certificate in use.
func (a *automatic) notAfter(host string) time.Time {
	var last time.Time
	for _, c := range a.cache.AllMatchingCertificates(host) {
		if c.Leaf != nil && c.Leaf.NotAfter.After(last) {
			last = c.Leaf.NotAfter
		}
	}
	return last
}
