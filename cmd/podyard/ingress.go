package main

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"net/url"
	"os"

	"github.com/spf13/pflag"

	"github.com/podyard/podyard/ingress"
)

// ingressOptions are the flags of run about Ingresses.
type ingressOptions struct {
	httpPort, httpsPort uint16
	acme                acmeOptions
	trustedProxies      []string
	accessLog           bool
}

// acmeOptions say who makes certificates.
type acmeOptions struct{ email, directory, ca string }

func (o *ingressOptions) addTo(flags *pflag.FlagSet) {
	flags.Uint16Var(&o.httpPort, "http-port", 80, "port of the host for Ingresses by HTTP; 0 for none")
	flags.Uint16Var(&o.httpsPort, "https-port", 443, "port of the host for Ingresses by HTTPS; 0 for none")
	flags.StringVar(&o.acme.email, "acme-email", "", "address that an ACME server may write to; whoever gives it agrees to the server's terms")
	flags.StringVar(&o.acme.directory, "acme-directory", "", "URL of the ACME server's directory (default: Let's Encrypt)")
	flags.StringVar(&o.acme.ca, "acme-ca", "", "file with certificates in PEM that the ACME server's own may be signed by, besides the public ones")
	flags.StringSliceVar(&o.trustedProxies, "trusted-proxies", nil, "ranges of proxies in front, as 10.0.0.0/8, whose X-Forwarded headers are believed; may be repeated")
	flags.BoolVar(&o.accessLog, "access-log", false, "log each request to an Ingress, a line of JSON: docker logs of the proxy's container shows them")
}

// check finds out what is wrong before anything is begun.
func (o *ingressOptions) check() error {
	if o.httpPort == o.httpsPort && o.httpPort != 0 {
		return fmt.Errorf("--http-port and --https-port are both %d: choose two ports, or 0 for one of them", o.httpPort)
	}
	_, err := o.settings()
	return err
}

// settings are what the proxy is told; its ports come with the publication.
func (o *ingressOptions) settings() (ingress.Settings, error) {
	out := ingress.Settings{AccessLog: o.accessLog}
	for _, text := range o.trustedProxies {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return out, fmt.Errorf("--trusted-proxies %s: must be a range of addresses, as 10.0.0.0/8", text)
		}
		out.TrustedProxies = append(out.TrustedProxies, prefix.Masked().String())
	}
	acme, err := o.acme.settings()
	out.ACME = acme
	return out, err
}

func (o *acmeOptions) settings() (ingress.ACME, error) {
	out := ingress.ACME{Directory: o.directory, Email: o.email, Agreed: o.email != ""}
	if u, err := url.Parse(o.directory); o.directory != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
		return out, fmt.Errorf("--acme-directory %s: must be a URL with https://", o.directory)
	}
	if o.ca == "" {
		return out, nil
	}
	roots, err := os.ReadFile(o.ca)
	if err != nil {
		return out, fmt.Errorf("--acme-ca: %w", err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(roots) {
		return out, fmt.Errorf("--acme-ca %s: holds no certificate in PEM", o.ca)
	}
	out.Roots = roots
	return out, nil
}
