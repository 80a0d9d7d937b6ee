package docker

import (
	"context"
	"slices"
	"time"

	"github.com/podyard/podyard/ingress"
	"github.com/podyard/podyard/runtime"
)

// certificatePoll is how often the agent is asked how its certificates fare.
const certificatePoll = 2 * time.Second

// watchCertificates asks until the client's stream has ended, and tells whoever watches when something is another.
func (e *Engine) watchCertificates(ctx context.Context, client *ingress.Client) {
	ticker := time.NewTicker(certificatePoll)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-client.Done():
			return
		case <-ticker.C:
		}
		bounded, cancel := context.WithTimeout(ctx, ingressTimeout)
		states, err := client.Certificates(bounded)
		cancel()
		if err == nil && e.ingress.noteCertificates(certificatesOf(states)) {
			e.signal()
		}
	}
}

// noteCertificates tells whether they are others than before.
func (l *ingressLink) noteCertificates(now []runtime.AutomaticCertificate) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.Equal(l.certificates, now) {
		return false
	}
	l.certificates = now
	return true
}

// automatic are the certificates for State.
func (l *ingressLink) automatic() []runtime.AutomaticCertificate {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.certificates)
}

func certificatesOf(states []ingress.CertificateState) []runtime.AutomaticCertificate {
	var out []runtime.AutomaticCertificate
	for _, c := range states {
		out = append(out, runtime.AutomaticCertificate{
			Host: c.Host, Phase: runtime.CertificatePhase(c.Phase), Message: c.Message, NotAfter: c.NotAfter, Next: c.Next,
		})
	}
	return out
}
