package ingress

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NewConfig returns what serves Ingresses: with each the Services it names, the endpoints of those, and the certificates of
// the Secrets it names. Backends that do not exist have no endpoints. The objects are not changed.
func NewConfig(ingresses []*networkingv1.Ingress, services []*corev1.Service, endpointSlices []*discoveryv1.EndpointSlice,
	certificates []Certificate, settings Settings) Config {
	config := Config{Settings: settings}
	for _, ingress := range ingresses {
		config.Ingresses = append(config.Ingresses, reduce(ingress))
	}
	slices.SortFunc(config.Ingresses, func(a, b *networkingv1.Ingress) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	config.Backends = backendsOf(config.Ingresses, newServiceIndex(services, endpointSlices))
	config.Certificates = certificatesOf(config.Ingresses, certificates)
	return config
}

// reduce keeps what a restarted daemon compares: the name, labels, annotations and the spec.
func reduce(ingress *networkingv1.Ingress) *networkingv1.Ingress {
	return &networkingv1.Ingress{
		TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "Ingress"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: ingress.Namespace, Name: ingress.Name, Labels: ingress.Labels, Annotations: ingress.Annotations,
		},
		Spec: ingress.Spec,
	}
}

// objectKey names a namespaced object.
type objectKey struct{ namespace, name string }

// backendKey names a port of a Service.
type backendKey struct{ namespace, service, port string }

// keyOf is that of a backend of an Ingress. It is zero if the backend is no Service.
func keyOf(namespace string, backend *networkingv1.IngressBackend) backendKey {
	if backend == nil || backend.Service == nil {
		return backendKey{}
	}
	port := backend.Service.Port.Name
	if port == "" {
		port = strconv.Itoa(int(backend.Service.Port.Number))
	}
	return backendKey{namespace, backend.Service.Name, port}
}

// backendsOf returns every backend of the Ingresses once, sorted.
func backendsOf(ingresses []*networkingv1.Ingress, index serviceIndex) []Backend {
	seen := map[backendKey]bool{{}: true}
	var backends []Backend
	add := func(key backendKey) {
		if !seen[key] {
			seen[key] = true
			backends = append(backends, index.backend(key))
		}
	}
	for _, ingress := range ingresses {
		add(keyOf(ingress.Namespace, ingress.Spec.DefaultBackend))
		for _, rule := range ingress.Spec.Rules {
			for _, path := range pathsOf(rule) {
				add(keyOf(ingress.Namespace, &path.Backend))
			}
		}
	}
	slices.SortFunc(backends, func(a, b Backend) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Service, b.Service), strings.Compare(a.Port, b.Port))
	})
	return backends
}

func pathsOf(rule networkingv1.IngressRule) []networkingv1.HTTPIngressPath {
	if rule.HTTP == nil {
		return nil
	}
	return rule.HTTP.Paths
}

// certificatesOf keeps those that the Ingresses name, sorted.
func certificatesOf(ingresses []*networkingv1.Ingress, certificates []Certificate) []Certificate {
	named := map[objectKey]bool{}
	for _, ingress := range ingresses {
		for _, tls := range ingress.Spec.TLS {
			named[objectKey{ingress.Namespace, tls.SecretName}] = true
		}
	}
	var kept []Certificate
	for _, c := range certificates {
		if named[objectKey{c.Namespace, c.Secret}] {
			kept = append(kept, c)
		}
	}
	slices.SortFunc(kept, func(a, b Certificate) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Secret, b.Secret))
	})
	return kept
}

// serviceIndex finds Services and what is behind them.
type serviceIndex struct {
	services map[objectKey]*corev1.Service
	slices   map[objectKey][]*discoveryv1.EndpointSlice
}

func newServiceIndex(services []*corev1.Service, endpointSlices []*discoveryv1.EndpointSlice) serviceIndex {
	index := serviceIndex{map[objectKey]*corev1.Service{}, map[objectKey][]*discoveryv1.EndpointSlice{}}
	for _, s := range services {
		index.services[objectKey{s.Namespace, s.Name}] = s
	}
	for _, slice := range endpointSlices {
		key := objectKey{slice.Namespace, slice.Labels[discoveryv1.LabelServiceName]}
		if slice.AddressType == "" || slice.AddressType == discoveryv1.AddressTypeIPv4 {
			index.slices[key] = append(index.slices[key], slice)
		}
	}
	return index
}

// backend resolves one. A port of an ExternalName Service need not be declared by it.
func (x serviceIndex) backend(key backendKey) Backend {
	backend := Backend{Namespace: key.namespace, Service: key.service, Port: key.port}
	service := x.services[objectKey{key.namespace, key.service}]
	if service == nil {
		return backend
	}
	port, found := portOf(service, key.port)
	if found {
		backend.Protocol = protocolOf(port.AppProtocol)
		backend.AffinitySeconds = affinitySeconds(&service.Spec)
	}
	switch {
	case service.Spec.Type == corev1.ServiceTypeExternalName:
		backend.Endpoints = external(service.Spec.ExternalName, port, key.port)
	case found:
		backend.Endpoints = x.endpoints(service, port.Name)
	}
	return backend
}

// portOf finds a Service's port by its name or number.
func portOf(service *corev1.Service, port string) (corev1.ServicePort, bool) {
	for _, p := range service.Spec.Ports {
		if p.Name == port || strconv.Itoa(int(p.Port)) == port {
			return p, true
		}
	}
	return corev1.ServicePort{}, false
}

// external is the one endpoint of an ExternalName Service: the port is what the Ingress says, or the Service's of that name.
func external(name string, declared corev1.ServicePort, port string) []string {
	if declared.Port != 0 {
		port = strconv.Itoa(int(declared.Port))
	}
	if _, err := strconv.Atoi(port); err != nil {
		return nil
	}
	return []string{net.JoinHostPort(strings.TrimSuffix(name, "."), port)}
}

// protocolOf follows the standard names of appProtocol (KEP-3726) and those of IANA. Another means HTTP.
func protocolOf(appProtocol *string) Protocol {
	if appProtocol == nil {
		return HTTP
	}
	switch strings.ToLower(*appProtocol) {
	case "kubernetes.io/h2c", "h2c", "grpc":
		return H2C
	case "https", "kubernetes.io/wss", "wss":
		return HTTPS
	case "grpcs", "h2", "http2":
		return H2
	}
	return HTTP // kubernetes.io/ws and http among them
}

// affinitySeconds returns the time-out of ClientIP affinity, by default three hours.
func affinitySeconds(spec *corev1.ServiceSpec) int32 {
	if spec.SessionAffinity != corev1.ServiceAffinityClientIP {
		return 0
	}
	config := spec.SessionAffinityConfig
	if config == nil || config.ClientIP == nil || config.ClientIP.TimeoutSeconds == nil {
		return corev1.DefaultClientIPServiceAffinitySeconds
	}
	return *config.ClientIP.TimeoutSeconds
}

// endpoints returns those of a port that new requests go to: the ready ones or, if there is none, those that still serve
// while they end (kube-proxy's rule: pkg/proxy/topology.go).
func (x serviceIndex) endpoints(service *corev1.Service, port string) []string {
	var ready, ending []netip.AddrPort
	for _, slice := range x.slices[objectKey{service.Namespace, service.Name}] {
		number, ok := numberOf(slice.Ports, port)
		if !ok {
			continue
		}
		for i := range slice.Endpoints {
			e := &slice.Endpoints[i]
			isReady := or(e.Conditions.Ready, true)
			switch {
			case isReady || service.Spec.PublishNotReadyAddresses:
				ready = appendAddresses(ready, e.Addresses, number)
			case or(e.Conditions.Serving, isReady) && or(e.Conditions.Terminating, false):
				ending = appendAddresses(ending, e.Addresses, number)
			}
		}
	}
	if len(ready) == 0 {
		ready = ending
	}
	slices.SortFunc(ready, netip.AddrPort.Compare)
	var out []string
	for _, endpoint := range slices.Compact(ready) {
		out = append(out, endpoint.String())
	}
	return out
}

// numberOf finds a port of a slice by the name of the Service's port. One without a number cannot be balanced to.
func numberOf(ports []discoveryv1.EndpointPort, name string) (uint16, bool) {
	for _, p := range ports {
		if p.Port != nil && or(p.Name, "") == name {
			return uint16(*p.Port), true
		}
	}
	return 0, false
}

func appendAddresses(list []netip.AddrPort, addresses []string, port uint16) []netip.AddrPort {
	for _, text := range addresses {
		if ip, err := netip.ParseAddr(text); err == nil {
			list = append(list, netip.AddrPortFrom(ip, port))
		}
	}
	return list
}

// or returns what p points to, or the fallback.
func or[T any](p *T, fallback T) T {
	if p == nil {
		return fallback
	}
	return *p
}
