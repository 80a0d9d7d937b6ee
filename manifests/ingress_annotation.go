package manifests

import (
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
)

// What is honoured of ingress-nginx is honoured under our own prefix, too.
const (
	nginxPrefix = "nginx.ingress.kubernetes.io/"
	ownPrefix   = "podyard.dev/"
)

// ACMEAnnotation asks for certificates.
const ACMEAnnotation = ownPrefix + "acme"

// acmeIssuers are the annotations by which cert-manager is asked for a certificate; any value but an empty one does.
// Upstream: cert-manager, pkg/apis/certmanager/v1/types.go.
var acmeIssuers = []string{"cert-manager.io/cluster-issuer", "cert-manager.io/issuer"}

// tlsACMEAnnotation is what kube-lego had, and cert-manager has kept.
const tlsACMEAnnotation = "kubernetes.io/tls-acme"

// WantsACME tells whether an Ingress asks for certificates from an ACME server.
func WantsACME(ingress *networkingv1.Ingress) bool { return acmeKey(ingress.Annotations) != "" }

// acmeKey is the annotation that asks; empty if none does.
func acmeKey(annotations map[string]string) string {
	for _, key := range []string{ACMEAnnotation, tlsACMEAnnotation} {
		if annotations[key] == "true" {
			return key
		}
	}
	for _, key := range acmeIssuers {
		if annotations[key] != "" {
			return key
		}
	}
	return ""
}

// nginxRule is an annotation of ingress-nginx that Podyard honours, or that is not judged by its name.
type nginxRule struct {
	// problem says what is wrong with a value; nil for those that are not honoured.
	problem func(value string) string
	// meaning, or why it is refused.
	meaning string
	verdict verdict
	// neutral values ask for nothing.
	neutral []string
}

// nginxRules are by the name after the prefix. Upstream: kubernetes/ingress-nginx, docs/user-guide/nginx-configuration/annotations.md
// and internal/ingress/annotations.
var nginxRules = map[string]nginxRule{
	"ssl-redirect":            {problem: notBool, meaning: "plain HTTP is redirected to HTTPS; `true` if nothing is said, for hosts with TLS"},
	"force-ssl-redirect":      {problem: notBool, meaning: "plain HTTP is redirected to HTTPS, also for hosts without TLS here"},
	"backend-protocol":        {problem: notProtocol, meaning: "how pods are spoken to: `HTTP`, `HTTPS`, `GRPC` or `GRPCS`"},
	"proxy-body-size":         {problem: notSize, meaning: "how large a request's body may be, as `8m`; `0` for any"},
	"proxy-read-timeout":      {problem: notSeconds, meaning: "how long a pod may be silent, in seconds or as `90s`; 60 seconds if nothing is said"},
	"rewrite-target":          {problem: notRewrite, meaning: "the path that pods are asked for instead; without groups of a regular expression (`$1`)"},
	"whitelist-source-range":  {problem: notRanges, meaning: "the addresses and ranges from which requests are answered, with commas between several"},
	"allowlist-source-range":  {problem: notRanges, meaning: "the same"},
	"permanent-redirect":      {problem: notURL, meaning: "where every request is redirected to"},
	"permanent-redirect-code": {problem: notRedirectCode, meaning: "the status of that redirect, 301 if nothing is said"},
	"upstream-vhost":          {problem: notHost, meaning: "the Host that pods see instead of the request's"},

	"use-regex":               {verdict: denied, meaning: "paths are no regular expressions here", neutral: []string{"false"}},
	"canary":                  {verdict: denied, meaning: "requests are not divided between Ingresses here: use the pods of one Service, see docs/rollouts.md", neutral: []string{"false"}},
	"denylist-source-range":   {verdict: denied, meaning: restricts},
	"enable-modsecurity":      {verdict: denied, meaning: restricts, neutral: []string{"false"}},
	"enable-owasp-core-rules": {verdict: denied, meaning: restricts, neutral: []string{"false"}},
	"modsecurity-snippet":     {verdict: denied, meaning: restricts},
	"ssl-passthrough":         {verdict: denied, meaning: "TLS ends at the Ingress here: the pods would not see who the client is", neutral: []string{"false"}},
	"proxy-ssl-verify":        {verdict: denied, meaning: "certificates of pods are not checked here", neutral: []string{"off"}},
	"temporal-redirect":       {verdict: denied, meaning: "not supported: requests would reach the pods; use permanent-redirect"},
	"proxy-buffering":         {verdict: silent},
	"proxy-request-buffering": {verdict: silent},
	"websocket-services":      {verdict: silent},
	"enable-global-auth":      {verdict: silent},
	"limit-whitelist":         {verdict: ignored},
	"limit-allowlist":         {verdict: ignored},
}

const restricts = "not supported, and ignoring it would be unsafe: requests that it forbids would be let through"

// restricting are names of annotations of Ingress controllers that keep requests out, or that may: authentication, lists of
// addresses, filters, and configuration that Podyard cannot read.
var restricting = regexp.MustCompile(`(^|[-./_])(auth|basic-auth|oauth2?|oidc|jwt|mtls|allow-?list|white-?list|deny-?list|black-?list|inbound-cidrs|security-groups|waf|wafv2|` +
	`wafv2-acl-arn|modsecurity|snippets?|middlewares|policies|plugins|tls\.options)([-./_]|$)`)

// controllers are the prefixes of the annotations by which Ingress controllers, and Podyard, are told more than the API has.
var controllers = []string{
	ownPrefix, nginxPrefix, "nginx.org/", "nginx.com/", "traefik.ingress.kubernetes.io/", "ingress.kubernetes.io/", "haproxy.org/", "haproxy.com/",
	"haproxy-ingress.github.io/", "konghq.com/", "alb.ingress.kubernetes.io/", "projectcontour.io/", "appgw.ingress.kubernetes.io/",
	"ingress.cilium.io/", "ingress.gcp.kubernetes.io/", "networking.gke.io/",
}

// controllerOf is that prefix of an annotation; ok is false if it has none.
func controllerOf(key string) (prefix string, ok bool) {
	for _, prefix := range controllers {
		if strings.HasPrefix(key, prefix) {
			return prefix, true
		}
	}
	return "", false
}

// What is wrong with the value of an annotation; empty if nothing is.

func notBool(value string) string {
	if _, err := strconv.ParseBool(value); err == nil {
		return ""
	}
	return `must be "true" or "false"`
}

func notProtocol(value string) string {
	switch strings.ToUpper(value) {
	case "HTTP", "HTTPS", "GRPC", "GRPCS", "AUTO_HTTP":
		return ""
	}
	return "must be one of HTTP, HTTPS, GRPC or GRPCS"
}

// size is nginx's: bytes, or with k, m or g (https://nginx.org/en/docs/syntax.html).
var size = regexp.MustCompile(`^[0-9]{1,12}[kKmMgG]?$`)

func notSize(value string) string {
	if size.MatchString(value) {
		return ""
	}
	return "must be a number of bytes, or with k, m or g, as 8m"
}

func notSeconds(value string) string {
	d, err := time.ParseDuration(value)
	if n, atoiErr := strconv.ParseUint(value, 10, 31); atoiErr == nil {
		d, err = time.Duration(n), nil
	}
	if err == nil && d > 0 {
		return ""
	}
	return "must be a number of seconds in quotes"
}

func notRewrite(value string) string {
	switch {
	case strings.Contains(value, "$"):
		return "groups of a regular expression are not supported: let the pods serve the path, or rewrite all of it"
	case !strings.HasPrefix(value, "/"):
		return "must be an absolute path"
	}
	return ""
}

func notRanges(value string) string {
	found := 0
	for part := range strings.SplitSeq(value, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		_, notPrefix := netip.ParsePrefix(part)
		_, notAddress := netip.ParseAddr(part)
		if notPrefix != nil && notAddress != nil {
			return rangesForm
		}
		found++
	}
	if found == 0 {
		return rangesForm
	}
	return ""
}

const rangesForm = "must be addresses or ranges, as 10.0.0.0/8, with commas between them"

func notURL(value string) string {
	u, err := url.Parse(value)
	if err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" {
		return ""
	}
	return "must be a URL with http:// or https://"
}

func notRedirectCode(value string) string {
	if code, err := strconv.Atoi(value); err == nil && code >= 300 && code <= 308 {
		return ""
	}
	return "must be the status of a redirect in quotes, from 300 to 308"
}

func notHost(value string) string {
	if value == "" || strings.ContainsAny(value, "/ $") {
		return "must be a host's name"
	}
	return ""
}
