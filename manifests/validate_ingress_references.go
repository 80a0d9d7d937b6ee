package manifests

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ownPaths warns of paths that another Ingress has, or an earlier rule of the same.
func (c check) ownPaths(ingress *networkingv1.Ingress, owners map[ingressPath]pathOwner) {
	ingressPaths(ingress, func(at *field.Path, p ingressPath) {
		if owner := owners[p]; owner.Object != c.object || owner.field != at.String() {
			c.warn(at, "%s belongs to %s at %s: this gets no requests", p, owner.Ref, owner.positionOf(owner.field))
		}
	})
}

// ingress checks that the Services and Secrets are there to which an Ingress leads. A controller in a cluster would answer
// 503, or present a certificate of its own, until somebody makes them; here nobody would.
func (r resolver) ingress(path *field.Path, v *networkingv1.Ingress) {
	if v.Spec.DefaultBackend != nil {
		r.ingressBackend(path.Child("defaultBackend"), v.Spec.DefaultBackend)
	}
	for i, rule := range v.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for j := range rule.HTTP.Paths {
			r.ingressBackend(path.Child("rules").Index(i).Child("http", "paths").Index(j).Child("backend"), &rule.HTTP.Paths[j].Backend)
		}
	}
	for i := range v.Spec.TLS {
		r.ingressTLS(path.Child("tls").Index(i), v, i)
	}
}

func (r resolver) ingressBackend(path *field.Path, backend *networkingv1.IngressBackend) {
	if backend.Service == nil || backend.Service.Name == "" {
		return
	}
	name, port, at := backend.Service.Name, backend.Service.Port, path.Child("service")
	service := r.service(name)
	switch {
	case service == nil:
		r.add(at.Child("name"), "Service %s/%s is not in the commit: add it", r.object.Namespace, name)
	case port.Name == "" && (port.Number == 0 || service.Spec.Type == corev1.ServiceTypeExternalName):
	case !slices.ContainsFunc(service.Spec.Ports, func(p corev1.ServicePort) bool {
		return p.Protocol == corev1.ProtocolTCP && (port.Name != "" && p.Name == port.Name || port.Name == "" && p.Port == port.Number)
	}):
		r.add(at.Child("port"), "Service %s/%s has no TCP port of this name or number", r.object.Namespace, name)
	}
}

// ingressTLS checks the certificate of some hosts. What ACME makes need not be there; what is there is used.
func (r resolver) ingressTLS(path *field.Path, ingress *networkingv1.Ingress, i int) {
	name, acme := ingress.Spec.TLS[i].SecretName, WantsACME(ingress)
	object := r.set.Find("Secret", ingress.Namespace, name)
	switch {
	case name != "" && object != nil && object.Value != nil:
		r.certificate(ingress, i, object)
	case acme:
		r.noWildcards(ingress, i)
	case name == "":
		r.warn(path, "without a secretName, clients are shown a certificate that nobody has signed")
	default:
		r.add(path.Child("secretName"), "Secret %s/%s is not in the commit: add it, or have ACME make it with the annotation %s: \"true\"", ingress.Namespace, name, ACMEAnnotation)
	}
}

// noWildcards refuses hosts that ACME cannot prove: of wildcards it asks for a record in DNS (RFC 8555, section 8.4, and Let's
// Encrypt's rules).
func (r resolver) noWildcards(ingress *networkingv1.Ingress, i int) {
	hosts, at := tlsHosts(ingress, i)
	if len(hosts) == 0 {
		r.warn(at, "no certificate is asked for: there are no hosts")
	}
	for _, host := range hosts {
		if strings.HasPrefix(host, "*.") {
			r.add(at, "ACME gives no certificate of %s, because Podyard does not change DNS: name each host, or give a Secret with a certificate", host)
		}
	}
}

// certificate checks the Secret of some hosts. What is wrong with it is said of the Secret, and nothing of it is quoted.
func (r resolver) certificate(ingress *networkingv1.Ingress, i int, object *Object) {
	secret, name := object.Value.(*corev1.Secret), field.NewPath("spec", "tls").Index(i).Child("secretName")
	if secret.Type != corev1.SecretTypeTLS {
		r.add(name, "%s must be of type %s", object.Ref, corev1.SecretTypeTLS)
		return
	}
	leaf, key, err := ParseCertificate(secret)
	if err != nil {
		of := check{object: object, errs: r.errs}
		of.add(of.secretKey(key), "%s: %s has it for its hosts", err, r.object.Ref)
		return
	}
	names, at := tlsHosts(ingress, i)
	for _, host := range names {
		if !covers(leaf, host) {
			r.warn(at, "the certificate in %s is not for %s: clients will refuse it", object.Ref, host)
		}
	}
}

// covers tells whether a certificate is for a host, which may be a wildcard.
func covers(leaf *x509.Certificate, host string) bool {
	if rest, wild := strings.CutPrefix(host, "*."); wild {
		return slices.ContainsFunc(leaf.DNSNames, func(name string) bool { return strings.EqualFold(name, "*."+rest) })
	}
	return leaf.VerifyHostname(host) == nil
}

// ParseCertificate reads the certificate of a Secret of type kubernetes.io/tls, the first of its chain. If it cannot be served, the
// error says why and quotes nothing, and key is the one of the Secret that is wrong.
func ParseCertificate(secret *corev1.Secret) (leaf *x509.Certificate, key string, err error) {
	chain, private := secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey]
	leaf, err = firstCertificate(chain)
	if err != nil {
		return nil, corev1.TLSCertKey, err
	}
	block := firstBlock(private, func(kind string) bool { return strings.HasSuffix(kind, "PRIVATE KEY") })
	switch {
	case block == nil:
		return nil, corev1.TLSPrivateKeyKey, errors.New("must be a private key in PEM")
	case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
		return nil, corev1.TLSPrivateKeyKey, errors.New("must be a private key without a password")
	}
	if _, err := tls.X509KeyPair(chain, private); err != nil {
		return nil, corev1.TLSPrivateKeyKey, errors.New("must be the private key of the certificate in tls.crt")
	}
	return leaf, "", nil
}

func firstCertificate(chain []byte) (*x509.Certificate, error) {
	block := firstBlock(chain, func(kind string) bool { return kind == "CERTIFICATE" })
	if block == nil {
		return nil, errors.New("must be a certificate in PEM")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, errors.New("holds a certificate that cannot be read")
	}
	return leaf, nil
}

func firstBlock(text []byte, wanted func(kind string) bool) *pem.Block {
	for {
		block, rest := pem.Decode(text)
		if block == nil || wanted(block.Type) {
			return block
		}
		text = rest
	}
}
