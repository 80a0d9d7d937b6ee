package manifests

import (
	"maps"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const notHonoured = "Podyard does nothing of this: docs/ingress.md tells the annotations that it honours"

// ingressAnnotations refuses those of Ingress controllers that keep requests out and that Podyard does not honour, and warns of
// others that it does not know. Annotations of anybody else are nobody's business here.
func (c check) ingressAnnotations(ingress *networkingv1.Ingress) {
	at := field.NewPath("metadata", "annotations")
	for _, key := range slices.Sorted(maps.Keys(ingress.Annotations)) {
		prefix, read := controllerOf(key)
		name := strings.TrimPrefix(key, prefix)
		switch rule, known := nginxRules[name]; {
		case !read || prefix == ownPrefix && rule.problem == nil:
		case known && (prefix == nginxPrefix || prefix == ownPrefix):
			c.nginxAnnotation(at.Key(key), rule, strings.TrimSpace(ingress.Annotations[key]))
		case restricting.MatchString(name):
			c.add(at.Key(key), "%s", restricts)
		default:
			c.warn(at.Key(key), notHonoured)
		}
	}
	c.acme(at, ingress)
}

func (c check) nginxAnnotation(at *field.Path, rule nginxRule, value string) {
	switch {
	case rule.problem != nil:
		if problem := rule.problem(value); problem != "" {
			c.add(at, "%s", problem)
		}
	case slices.Contains(rule.neutral, strings.ToLower(value)):
	case rule.verdict == denied:
		c.add(at, "%s", rule.meaning)
	case rule.verdict == ignored:
		c.warn(at, notHonoured)
	}
}

// acme checks what an Ingress asks of an ACME server.
func (c check) acme(at *field.Path, ingress *networkingv1.Ingress) {
	if value, there := ingress.Annotations[ACMEAnnotation]; there && value != "true" && value != "false" {
		c.add(at.Key(ACMEAnnotation), `must be "true" or "false"`)
	}
	if key := acmeKey(ingress.Annotations); key != "" && len(ingress.Spec.TLS) == 0 {
		c.warn(at.Key(key), "no certificate is asked for: spec.tls is empty")
	}
}
