package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
)

// tlsSecret is a Secret with a certificate that an Ingress names.
type tlsSecret struct {
	manifests.Ref
	chain, key []byte
	notAfter   time.Time
}

// tlsSecrets are those that an Ingress names and the commit holds, each once. Validation has made sure that they can be served;
// one that was valid when another commit named it may not be by now.
func (p *planner) tlsSecrets(v *networkingv1.Ingress) (out []tlsSecret) {
	seen := map[string]bool{}
	for _, entry := range v.Spec.TLS {
		object := p.desired.Find("Secret", v.Namespace, entry.SecretName)
		if object == nil || seen[entry.SecretName] {
			continue
		}
		seen[entry.SecretName] = true
		secret, is := object.Value.(*corev1.Secret)
		if notAfter := expiryOf(object); is && !notAfter.IsZero() {
			out = append(out, tlsSecret{object.Ref, secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey], notAfter})
		}
	}
	return out
}

// expiryOf is when the certificate in a Secret ends, to the second; zero if it holds none that can be served.
func expiryOf(object *manifests.Object) time.Time {
	text := object.Once(func() string {
		secret, is := object.Value.(*corev1.Secret)
		if !is || secret.Type != corev1.SecretTypeTLS {
			return ""
		}
		leaf, _, err := manifests.ParseCertificate(secret)
		if err != nil {
			return ""
		}
		return leaf.NotAfter.UTC().Format(time.RFC3339)
	})
	end, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return end
}

// certificateProblem tells of a certificate that has expired, and has the plan made again when one does; or of one that an ACME
// server has not given yet.
func (p *planner) certificateProblem(v *networkingv1.Ingress) (problem string) {
	for _, secret := range p.tlsSecrets(v) {
		p.checkAt(secret.notAfter)
		if !p.now.Before(secret.notAfter) && problem == "" {
			problem = fmt.Sprintf("the certificate in %s has expired at %s: clients refuse it", secret.Ref, secret.notAfter.Format(time.RFC3339))
		}
	}
	for _, entry := range v.Spec.TLS {
		if problem == "" && p.desired.Find("Secret", v.Namespace, entry.SecretName) == nil {
			problem = p.automaticProblem(hostsOf(v, entry))
		}
	}
	return problem
}

// hostsOf are those of an entry for TLS; if it names none, all of the Ingress.
func hostsOf(v *networkingv1.Ingress, entry networkingv1.IngressTLS) []string {
	if len(entry.Hosts) > 0 {
		return entry.Hosts
	}
	var hosts []string
	for _, rule := range v.Spec.Rules {
		hosts = append(hosts, rule.Host)
	}
	return hosts
}

// automaticProblem is what the proxy says of the certificates that it asks an ACME server for, if there is something to say.
func (p *planner) automaticProblem(hosts []string) string {
	for _, c := range p.observed.Certificates {
		if !slices.Contains(hosts, c.Host) || c.Phase == runtime.CertificateReady && c.Message == "" {
			continue
		}
		words := fmt.Sprintf("certificate of %s: %s", c.Host, strings.ToLower(string(c.Phase)))
		if c.Message != "" {
			words += ": " + c.Message
		}
		if !c.Next.IsZero() {
			words += "; next try at " + c.Next.UTC().Format(time.RFC3339)
		}
		return words
	}
	return ""
}
