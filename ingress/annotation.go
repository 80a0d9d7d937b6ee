package ingress

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
)

// The prefixes of annotations that say how an Ingress is served. Ours counts before ingress-nginx's.
const (
	ourPrefix   = "podyard.dev/"
	nginxPrefix = "nginx.ingress.kubernetes.io/"
)

// The annotations that ask for automatic certificates; ours and the oldest are "true", cert-manager's name an issuer.
const (
	acmeAnnotation    = ourPrefix + "acme"
	tlsACMEAnnotation = "kubernetes.io/tls-acme"
	clusterIssuer     = "cert-manager.io/cluster-issuer"
	issuer            = "cert-manager.io/issuer"
)

// options are how the paths of one Ingress are served.
type options struct {
	// sslRedirect sends plain HTTP to HTTPS if the host has TLS; forceRedirect, always.
	sslRedirect, forceRedirect bool
	// protocol of the backends; empty for what their Service says.
	protocol Protocol
	// bodySize is the largest request body in bytes; 0 for any.
	bodySize int64
	// readTimeout is how long a backend may take to begin its answer; patience how long it may pause within, 0 for ever.
	readTimeout, patience time.Duration
	// rewrite is the path that a backend sees in place of the request's; empty for that.
	rewrite string
	// allowed are the addresses of clients that are served; none with restricted set means nobody.
	restricted bool
	allowed    []netip.Prefix
	// redirect is where all requests are sent, with redirectCode.
	redirect     string
	redirectCode int
	// host is what backends see as Host; empty for the request's.
	host string
}

// defaultReadTimeout is ingress-nginx's proxy-read-timeout.
const defaultReadTimeout = 60 * time.Second

func defaultOptions() options {
	return options{sslRedirect: true, readTimeout: defaultReadTimeout, redirectCode: http.StatusMovedPermanently}
}

// optionAnnotation is one that is honoured under both prefixes, with the meaning it has in ingress-nginx
// (docs/user-guide/nginx-configuration/annotations.md).
type optionAnnotation struct {
	name string
	set  func(o *options, value string) error
}

var optionAnnotations = []optionAnnotation{
	{"ssl-redirect", func(o *options, value string) error { return setBool(&o.sslRedirect, value) }},
	{"force-ssl-redirect", func(o *options, value string) error { return setBool(&o.forceRedirect, value) }},
	{"backend-protocol", setProtocol},
	{"proxy-body-size", setBodySize},
	{"proxy-read-timeout", setReadTimeout},
	{"rewrite-target", setRewrite},
	{"whitelist-source-range", setAllowed},
	{"allowlist-source-range", setAllowed},
	{"permanent-redirect", setRedirect},
	{"permanent-redirect-code", setRedirectCode},
	{"upstream-vhost", setHost},
}

// Annotations are the names of all that are honoured.
func Annotations() []string {
	names := []string{acmeAnnotation, tlsACMEAnnotation, clusterIssuer, issuer}
	for _, a := range optionAnnotations {
		names = append(names, ourPrefix+a.name, nginxPrefix+a.name)
	}
	slices.Sort(names)
	return names
}

// optionsOf reads the annotations of an Ingress. Values that cannot be understood are told of and leave the default, but one
// that was to restrict access restricts it to nobody.
func optionsOf(ingress *networkingv1.Ingress) (options, []error) {
	o := defaultOptions()
	var problems []error
	for _, a := range optionAnnotations {
		for _, prefix := range []string{nginxPrefix, ourPrefix} {
			value, ok := ingress.Annotations[prefix+a.name]
			if !ok {
				continue
			}
			if err := a.set(&o, strings.TrimSpace(value)); err != nil {
				problems = append(problems, fmt.Errorf("annotation %s of Ingress %s/%s: %w", prefix+a.name, ingress.Namespace, ingress.Name, err))
			}
		}
	}
	return o, problems
}

// wantsACME tells whether certificates are to be obtained for an Ingress's hosts.
func wantsACME(ingress *networkingv1.Ingress) bool {
	a := ingress.Annotations
	return a[acmeAnnotation] == "true" || a[tlsACMEAnnotation] == "true" || a[clusterIssuer] != "" || a[issuer] != ""
}

func setBool(into *bool, value string) error {
	b, err := strconv.ParseBool(value)
	if err == nil {
		*into = b
	}
	return err
}

func setProtocol(o *options, value string) error {
	protocol, ok := map[string]Protocol{"HTTP": HTTP, "HTTPS": HTTPS, "GRPC": H2C, "GRPCS": H2, "AUTO_HTTP": HTTP}[strings.ToUpper(value)]
	if !ok {
		return fmt.Errorf("%q is not one of HTTP, HTTPS, GRPC, GRPCS", value)
	}
	o.protocol = protocol
	return nil
}

// setBodySize reads nginx's sizes: bytes, or with k, m or g.
func setBodySize(o *options, value string) error {
	digits := strings.TrimRight(strings.ToLower(value), "kmg")
	n, err := strconv.ParseInt(digits, 10, 64)
	factor, known := map[string]int64{"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}[strings.ToLower(value[len(digits):])]
	if err != nil || n < 0 || !known || n > (1<<62)/factor {
		return fmt.Errorf("%q is not a size as 8m", value)
	}
	o.bodySize = n * factor
	return nil
}

// setReadTimeout reads seconds, or nginx's times with a unit.
func setReadTimeout(o *options, value string) error {
	d, err := time.ParseDuration(value)
	if seconds, atoiErr := strconv.Atoi(value); atoiErr == nil {
		d, err = time.Duration(seconds)*time.Second, nil
	}
	if err != nil || d <= 0 {
		return fmt.Errorf("%q is not a number of seconds", value)
	}
	o.readTimeout, o.patience = d, d
	return nil
}

// setRewrite takes a plain path. Capture groups would need regular expressions in paths, which this proxy has not.
func setRewrite(o *options, value string) error {
	if !strings.HasPrefix(value, "/") || strings.Contains(value, "$") {
		return fmt.Errorf("%q is not a plain path: capture groups are not supported", value)
	}
	o.rewrite = value
	return nil
}

func setAllowed(o *options, value string) error {
	o.restricted, o.allowed = true, nil
	var allowed []netip.Prefix
	for word := range strings.SplitSeq(value, ",") {
		if word = strings.TrimSpace(word); word == "" {
			continue
		}
		prefix, err := parsePrefix(word)
		if err != nil {
			return fmt.Errorf("%q is not a CIDR: nobody is let in", word)
		}
		allowed = append(allowed, prefix)
	}
	o.allowed = allowed
	return nil
}

// parsePrefix reads a CIDR, or an address, which means itself alone.
func parsePrefix(text string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	return prefix.Masked(), err
}

func setRedirect(o *options, value string) error {
	if u, err := url.Parse(value); err != nil || u.Scheme == "" || u.Host == "" || strings.ContainsAny(value, "\r\n") {
		return fmt.Errorf("%q is not a URL", value)
	}
	o.redirect = value
	return nil
}

func setRedirectCode(o *options, value string) error {
	code, err := strconv.Atoi(value)
	if err != nil || code < 300 || code > 308 {
		return fmt.Errorf("%q is not a status code of a redirection, 300 to 308", value)
	}
	o.redirectCode = code
	return nil
}

func setHost(o *options, value string) error {
	if value == "" || strings.ContainsAny(value, "/ \r\n$") {
		return fmt.Errorf("%q is not a host name", value)
	}
	o.host = value
	return nil
}
