package ingress

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
)

// certificates are those of Secrets, by host.
type certificates struct {
	// byHost has hosts and wildcards ("*.example.com") in lower case; "" is for every host.
	byHost map[string]*tls.Certificate
}

// newCertificates parses the certificates of a Config. Of two for one host the first Ingress's counts.
func newCertificates(config Config) (*certificates, []error) {
	parsed := map[objectKey]*tls.Certificate{}
	var problems []error
	for _, c := range config.Certificates {
		pair, err := tls.X509KeyPair(c.Chain, c.Key)
		if err != nil { // its words name no key material
			problems = append(problems, fmt.Errorf("%s: %w", c, err))
			continue
		}
		parsed[objectKey{c.Namespace, c.Secret}] = &pair
	}
	out := &certificates{map[string]*tls.Certificate{}}
	for _, ingress := range config.Ingresses {
		for _, entry := range ingress.Spec.TLS {
			out.add(hostsOf(ingress, entry), parsed[objectKey{ingress.Namespace, entry.SecretName}])
		}
	}
	return out, problems
}

func (c *certificates) add(hosts []string, certificate *tls.Certificate) {
	if certificate == nil {
		return
	}
	for _, host := range hosts {
		if host = strings.ToLower(host); c.byHost[host] == nil {
			c.byHost[host] = certificate
		}
	}
}

// find returns the certificate for a server name: the host's own, then that of its wildcard, then the one for every host; nil
// if there is none.
func (c *certificates) find(host string) *tls.Certificate {
	for _, name := range []string{host, "*" + parentOf(host), ""} {
		if found := c.byHost[name]; found != nil {
			return found
		}
	}
	return nil
}

// automaticHosts are the hosts for which certificates are to be obtained: an Ingress asks for it, and the Secret that it names
// is not there. Sorted.
func automaticHosts(config Config) []string {
	have := map[objectKey]bool{}
	for _, c := range config.Certificates {
		have[objectKey{c.Namespace, c.Secret}] = true
	}
	var hosts []string
	for _, ingress := range config.Ingresses {
		if wantsACME(ingress) {
			hosts = append(hosts, missing(ingress, have)...)
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

func missing(ingress *networkingv1.Ingress, have map[objectKey]bool) []string {
	var hosts []string
	for _, entry := range ingress.Spec.TLS {
		if have[objectKey{ingress.Namespace, entry.SecretName}] {
			continue
		}
		for _, host := range hostsOf(ingress, entry) {
			if host != "" {
				hosts = append(hosts, strings.ToLower(host))
			}
		}
	}
	return hosts
}

// selfSigned makes the certificate for hosts that have no other. No client trusts it.
func selfSigned(now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the default certificate: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "Podyard Ingress Default Certificate", Organization: []string{"Podyard"}},
		NotBefore:    now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		DNSNames:    []string{"ingress.invalid"},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, createErr := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err = errors.Join(err, createErr); err != nil {
		return nil, fmt.Errorf("make the default certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
