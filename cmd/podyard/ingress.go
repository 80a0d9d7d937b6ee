package main

import (
	"fmt"
	"net/netip"
	"net/url"
	"os"

	"github.com/spf13/pflag"
)

// ingressOptions are the flags of run about Ingresses.
type ingressOptions struct {
	httpPort, httpsPort uint16
	acme                acmeOptions
	trustedProxies      []string
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
}

// check finds out what is wrong before anything is begun.
func (o *ingressOptions) check() error {
	if o.httpPort == o.httpsPort && o.httpPort != 0 {
		return fmt.Errorf("--http-port and --https-port are both %d: choose two ports, or 0 for one of them", o.httpPort)
	}
	if _, err := o.proxies(); err != nil {
		return err
	}
	if u, err := url.Parse(o.acme.directory); o.acme.directory != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
		return fmt.Errorf("--acme-directory %s: must be a URL with https://", o.acme.directory)
	}
	_, err := o.acme.roots()
	return err
}

// proxies are the ranges of --trusted-proxies.
func (o *ingressOptions) proxies() ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range o.trustedProxies {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("--trusted-proxies %s: must be a range of addresses, as 10.0.0.0/8", text)
		}
		out = append(out, prefix.Masked())
	}
	return out, nil
}

// roots are the contents of --acme-ca.
func (o *acmeOptions) roots() ([]byte, error) {
	if o.ca == "" {
		return nil, nil
	}
	text, err := os.ReadFile(o.ca)
	if err != nil {
		return nil, fmt.Errorf("--acme-ca: %w", err)
	}
	return text, nil
}
