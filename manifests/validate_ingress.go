package manifests

import (
	"net/netip"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// IngressClassAnnotation is what spec.ingressClassName was before networking.k8s.io/v1.
const IngressClassAnnotation = "kubernetes.io/ingress.class"

// ingress follows upstream's ValidateIngressCreate (pkg/apis/networking/validation).
func (c check) ingress(path *field.Path, v *networkingv1.Ingress) {
	spec := &v.Spec
	if len(spec.Rules) == 0 && spec.DefaultBackend == nil {
		c.add(path, "must have rules or a defaultBackend")
	}
	if name := spec.IngressClassName; name != nil {
		c.all(path.Child("ingressClassName"), validation.IsDNS1123Subdomain(*name))
		if class, both := v.Annotations[IngressClassAnnotation]; both && class != *name {
			c.add(field.NewPath("metadata", "annotations").Key(IngressClassAnnotation), "must be the same as spec.ingressClassName, or left out")
		}
	}
	if spec.DefaultBackend != nil {
		c.ingressBackend(path.Child("defaultBackend"), spec.DefaultBackend)
	}
	for i := range spec.Rules {
		c.ingressRule(path.Child("rules").Index(i), &spec.Rules[i])
	}
	for i, tls := range spec.TLS {
		at := path.Child("tls").Index(i)
		for j, host := range tls.Hosts {
			c.ingressHost(at.Child("hosts").Index(j), host)
		}
		if tls.SecretName != "" {
			c.all(at.Child("secretName"), validation.IsDNS1123Subdomain(tls.SecretName))
		}
	}
	c.ingressAnnotations(v)
}

// ingressHost is a name, or one with * for its first label.
func (c check) ingressHost(path *field.Path, host string) {
	switch {
	case strings.Contains(host, "*"):
		c.all(path, validation.IsWildcardDNS1123Subdomain(host))
	default:
		c.all(path, validation.IsDNS1123Subdomain(host))
	}
}

func (c check) ingressRule(path *field.Path, rule *networkingv1.IngressRule) {
	if _, err := netip.ParseAddr(rule.Host); err == nil {
		c.add(path.Child("host"), "must be a DNS name, not an IP address")
	} else if rule.Host != "" {
		c.ingressHost(path.Child("host"), rule.Host)
	}
	if rule.HTTP == nil {
		return
	}
	at := path.Child("http", "paths")
	if len(rule.HTTP.Paths) == 0 {
		c.add(at, "at least one is required")
	}
	for i := range rule.HTTP.Paths {
		c.ingressPath(at.Index(i), &rule.HTTP.Paths[i])
	}
}

// What a path may not hold: an Ingress controller, or the server behind it, would take it for another one.
var (
	forbiddenInPath  = []string{"//", "/./", "/../", "%2f", "%2F"}
	forbiddenAtPaths = []string{"/..", "/."}
)

func (c check) ingressPath(path *field.Path, p *networkingv1.HTTPIngressPath) {
	at := path.Child("path")
	switch {
	case p.PathType == nil:
		c.add(path.Child("pathType"), "is missing: use Prefix or Exact")
	case *p.PathType == networkingv1.PathTypeExact, *p.PathType == networkingv1.PathTypePrefix:
		c.plainPath(at, p.Path)
	case *p.PathType == networkingv1.PathTypeImplementationSpecific:
		if p.Path != "" && !strings.HasPrefix(p.Path, "/") {
			c.add(at, "must be an absolute path")
		}
	default:
		oneOf(c, path.Child("pathType"), *p.PathType, networkingv1.PathTypeExact, networkingv1.PathTypePrefix, networkingv1.PathTypeImplementationSpecific)
	}
	c.ingressBackend(path.Child("backend"), &p.Backend)
}

func (c check) plainPath(at *field.Path, path string) {
	if !strings.HasPrefix(path, "/") {
		c.add(at, "must be an absolute path")
	}
	for _, part := range forbiddenInPath {
		if strings.Contains(path, part) {
			c.add(at, "must not contain '%s'", part)
		}
	}
	for _, end := range forbiddenAtPaths {
		if strings.HasSuffix(path, end) {
			c.add(at, "cannot end with '%s'", end)
		}
	}
}

// ingressBackend leaves a resource to the table of fields, which refuses it.
func (c check) ingressBackend(path *field.Path, backend *networkingv1.IngressBackend) {
	service := backend.Service
	if service == nil {
		if backend.Resource == nil {
			c.add(path, "must have a service")
		}
		return
	}
	at := path.Child("service")
	if service.Name == "" {
		c.add(at.Child("name"), "is missing")
	} else {
		c.all(at.Child("name"), validation.IsDNS1123Label(service.Name))
	}
	switch port := service.Port; {
	case port.Name != "" && port.Number != 0:
		c.add(at.Child("port"), "must have a name or a number, not both")
	case port.Name != "":
		c.all(at.Child("port", "name"), validation.IsValidPortName(port.Name))
	case port.Number != 0:
		c.port(at.Child("port", "number"), port.Number)
	default:
		c.add(at.Child("port"), "must have a name or a number")
	}
}
