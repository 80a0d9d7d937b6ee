package plan

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/podyard/podyard/manifests"
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

// certificateProblem tells of a certificate that has expired, and has the plan made again when one does.
func (p *planner) certificateProblem(v *networkingv1.Ingress) (problem string) {
	for _, secret := range p.tlsSecrets(v) {
		p.checkAt(secret.notAfter)
		if !p.now.Before(secret.notAfter) && problem == "" {
			problem = fmt.Sprintf("the certificate in %s has expired at %s: clients refuse it", secret.Ref, secret.notAfter.Format(time.RFC3339))
		}
	}
	return problem
}
