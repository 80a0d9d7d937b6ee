package manifests

import (
	"cmp"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ingressPath is what requests are told apart by. All hosts share one proxy, whatever the namespace.
type ingressPath struct {
	// host is empty for any.
	host  string
	exact bool
	// path of a Prefix has no slash at its end; that of a defaultBackend is "*".
	path string
}

func (p ingressPath) String() string {
	if p.path == "*" {
		return "what no other path matches"
	}
	return "path " + cmp.Or(p.path, "/") + " of " + cmp.Or(p.host, "any host")
}

// ingressPaths visits each path of an Ingress. A defaultBackend is for the hosts of its rules, if it has some; it is left out then, for
// it is meant to have what is left.
func ingressPaths(ingress *networkingv1.Ingress, visit func(at *field.Path, p ingressPath)) {
	spec := field.NewPath("spec")
	if ingress.Spec.DefaultBackend != nil && len(ingress.Spec.Rules) == 0 {
		visit(spec.Child("defaultBackend"), ingressPath{path: "*"})
	}
	for i, rule := range ingress.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for j, p := range rule.HTTP.Paths {
			key := ingressPath{host: rule.Host, path: p.Path}
			key.exact = p.PathType != nil && *p.PathType == networkingv1.PathTypeExact
			if !key.exact {
				key.path = strings.TrimRight(p.Path, "/")
			}
			visit(spec.Child("rules").Index(i).Child("http", "paths").Index(j).Child("path"), key)
		}
	}
}

// pathOwner is who has a path, and the field that says so.
type pathOwner struct {
	*Object
	field string
}

// pathOwners are the first Ingresses by namespace and name to have each path: requests go there.
func pathOwners(set *Set) map[ingressPath]pathOwner {
	out := map[ingressPath]pathOwner{}
	objects := slices.DeleteFunc(slices.Clone(set.Objects), func(o *Object) bool { return o.Kind != "Ingress" || o.Value == nil })
	slices.SortStableFunc(objects, func(a, b *Object) int { return a.Ref.Compare(b.Ref) })
	for _, o := range objects {
		ingressPaths(o.Value.(*networkingv1.Ingress), func(at *field.Path, p ingressPath) {
			if _, taken := out[p]; !taken {
				out[p] = pathOwner{o, at.String()}
			}
		})
	}
	return out
}

// tlsHosts are the hosts of one entry of spec.tls: those of the rules, if it names none.
func tlsHosts(ingress *networkingv1.Ingress, i int) (hosts []string, at *field.Path) {
	path := field.NewPath("spec", "tls").Index(i)
	if hosts = ingress.Spec.TLS[i].Hosts; len(hosts) > 0 {
		return hosts, path.Child("hosts")
	}
	for _, rule := range ingress.Spec.Rules {
		if rule.Host != "" {
			hosts = append(hosts, rule.Host)
		}
	}
	return hosts, path
}
