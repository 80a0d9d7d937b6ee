package ingress

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
)

// router leads a request to a route. It does not change; a new Config makes a new one.
type router struct {
	// exact, wildcard and anyHost hold the sites by host, by what follows the star of a wildcard, and for rules without a host.
	exact, wildcard map[string]*site
	anyHost         *site
	// fallback is the default backend of all that no site has: that of the first Ingress without rules; nil for none.
	fallback *route
	// secure are the hosts, and wildcards, with TLS.
	secure   map[string]bool
	settings Settings
	// sources and proxies are Settings.SourceRanges and TrustedProxies.
	sources, proxies []netip.Prefix
	certificates     *certificates
	// automatic are the hosts for which certificates are to be obtained, sorted.
	automatic []string
	pools     map[backendKey]*pool
	// gone are the endpoints that the router before had, and this one has not.
	gone []*endpoint
}

// site is what one host serves, the first fitting route first.
type site struct{ routes []*route }

// route is a path with what is behind it.
type route struct {
	path  string
	exact bool
	// pool is nil if the backend is no Service.
	pool *pool
	// ingress is "namespace/name".
	ingress  string
	protocol Protocol
	options
}

// compile makes the router of a Config. Pools of the router before are kept, and serve the new endpoints from now on. The
// errors tell of what is not served as it was asked.
func compile(config Config, before *router) (*router, []error) {
	config.Ingresses = slices.DeleteFunc(slices.Clone(config.Ingresses), func(in *networkingv1.Ingress) bool { return in == nil })
	r := &router{
		exact: map[string]*site{}, wildcard: map[string]*site{}, anyHost: &site{}, secure: map[string]bool{},
		settings: config.Settings, pools: map[backendKey]*pool{},
	}
	var problems []error
	r.sources, problems = prefixes(problems, "source range", config.Settings.SourceRanges)
	r.proxies, problems = prefixes(problems, "trusted proxy", config.Settings.TrustedProxies)
	for _, b := range config.Backends {
		r.addPool(b, before)
	}
	for _, ingress := range config.Ingresses {
		o, wrong := optionsOf(ingress)
		problems = append(problems, wrong...)
		r.addIngress(ingress, o)
	}
	for _, s := range r.sites() {
		slices.SortStableFunc(s.routes, compareRoutes)
	}
	certificates, wrong := newCertificates(config)
	r.certificates, r.automatic = certificates, automaticHosts(config)
	return r, append(problems, wrong...)
}

func prefixes(problems []error, what string, list []string) ([]netip.Prefix, []error) {
	var out []netip.Prefix
	for _, text := range list {
		prefix, err := parsePrefix(text)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s %q: %w", what, text, err))
			continue
		}
		out = append(out, prefix)
	}
	return out, problems
}

func (r *router) addPool(b Backend, before *router) {
	key := backendKey{b.Namespace, b.Service, b.Port}
	var p *pool
	if before != nil {
		p = before.pools[key]
	}
	if p == nil {
		p = newPool()
	}
	r.gone = append(r.gone, p.set(b)...)
	r.pools[key] = p
}

// addIngress adds an Ingress's rules. Its default backend serves what no path of its hosts matches, as in ingress-nginx.
func (r *router) addIngress(ingress *networkingv1.Ingress, o options) {
	fallback := r.newRoute(ingress, ingress.Spec.DefaultBackend, o)
	if fallback != nil && len(ingress.Spec.Rules) == 0 && r.fallback == nil {
		r.fallback = fallback
	}
	for _, rule := range ingress.Spec.Rules {
		s := r.site(rule.Host)
		for _, p := range pathsOf(rule) {
			if route := r.newRoute(ingress, &p.Backend, o); route != nil {
				route.setPath(p)
				s.routes = append(s.routes, route)
			}
		}
		if fallback != nil {
			s.routes = append(s.routes, fallback)
		}
	}
	for _, host := range tlsHosts(ingress) {
		r.secure[strings.ToLower(host)] = true
	}
}

// newRoute is nil for a backend that is not given.
func (r *router) newRoute(ingress *networkingv1.Ingress, backend *networkingv1.IngressBackend, o options) *route {
	if backend == nil {
		return nil
	}
	key := keyOf(ingress.Namespace, backend)
	out := &route{pool: r.pools[key], ingress: ingress.Namespace + "/" + ingress.Name, options: o, protocol: o.protocol}
	if out.pool != nil {
		out.protocol = cmp.Or(o.protocol, out.pool.protocol(), HTTP)
	}
	return out
}

// setPath takes ImplementationSpecific as Prefix. A slash at the end of a prefix means nothing (the API's examples).
func (r *route) setPath(p networkingv1.HTTPIngressPath) {
	r.exact = p.PathType != nil && *p.PathType == networkingv1.PathTypeExact
	r.path = p.Path
	if !r.exact {
		r.path = strings.TrimRight(p.Path, "/")
	}
}

// tlsHosts are the hosts for which an Ingress has TLS: those it lists or, where it lists none, those of its rules.
func tlsHosts(ingress *networkingv1.Ingress) []string {
	var hosts []string
	for _, tls := range ingress.Spec.TLS {
		hosts = append(hosts, hostsOf(ingress, tls)...)
	}
	return hosts
}

func hostsOf(ingress *networkingv1.Ingress, tls networkingv1.IngressTLS) []string {
	if len(tls.Hosts) > 0 {
		return tls.Hosts
	}
	var hosts []string
	for _, rule := range ingress.Spec.Rules {
		hosts = append(hosts, rule.Host)
	}
	return hosts
}

// site finds or makes the one of a host as a rule names it.
func (r *router) site(host string) *site {
	host = strings.ToLower(host)
	sites := r.exact
	switch {
	case host == "":
		return r.anyHost
	case strings.HasPrefix(host, "*."):
		host, sites = host[1:], r.wildcard
	}
	if sites[host] == nil {
		sites[host] = &site{}
	}
	return sites[host]
}

func (r *router) sites() []*site {
	all := []*site{r.anyHost}
	for _, sites := range []map[string]*site{r.exact, r.wildcard} {
		for _, s := range sites {
			all = append(all, s)
		}
	}
	return all
}

// compareRoutes puts the longest path first, and of equal ones Exact before Prefix (the API's "multiple matches").
func compareRoutes(a, b *route) int {
	exactFirst := 0
	if a.exact != b.exact {
		if exactFirst = 1; a.exact {
			exactFirst = -1
		}
	}
	return cmp.Or(cmp.Compare(len(b.path), len(a.path)), exactFirst)
}

// match finds the route of a request; nil if there is none. A site that has the host serves it alone, whatever wildcards there
// are.
func (r *router) match(host, urlPath string) *route {
	urlPath = cleanPath(urlPath)
	if s := r.siteOf(host); s != nil {
		for _, candidate := range s.routes {
			if candidate.matches(urlPath) {
				return candidate
			}
		}
	}
	return r.fallback
}

// siteOf finds the site of a host as requests name it: without a port, in lower case. A wildcard stands for one label.
func (r *router) siteOf(host string) *site {
	if s := r.exact[host]; s != nil {
		return s
	}
	if s := r.wildcard[parentOf(host)]; s != nil {
		return s
	}
	return r.anyHost
}

// parentOf is what follows the first label, with its dot; for "a.example.com" it is ".example.com". It is empty if nothing
// follows.
func parentOf(host string) string {
	if i := strings.IndexByte(host, '.'); i > 0 {
		return host[i:]
	}
	return ""
}

// isSecure tells whether a host has TLS.
func (r *router) isSecure(host string) bool {
	return r.secure[host] || r.secure["*"+parentOf(host)] || r.secure[""]
}

// matches compares element by element: the prefix /a fits /a, /a/ and /a/b, not /ab.
func (r *route) matches(urlPath string) bool {
	if r.exact {
		return r.path == urlPath
	}
	rest, ok := strings.CutPrefix(urlPath, r.path)
	return ok && (rest == "" || rest[0] == '/')
}

// cleanPath resolves dots and double slashes, as a backend may do: else a request could avoid the rules of a path. A slash at
// the end is kept.
func cleanPath(urlPath string) string {
	clean := path.Clean("/" + urlPath)
	if strings.HasSuffix(urlPath, "/") && clean != "/" {
		clean += "/"
	}
	return clean
}

// hostName is a Host header, or a server name of TLS, without a port, in lower case.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func contains(list []netip.Prefix, ip netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// errNoEndpoint: nothing is ready behind a route.
var errNoEndpoint = errors.New("no endpoint is ready")
