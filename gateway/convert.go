package gateway

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// NewTable returns the table of Services with the endpoints whose label kubernetes.io/service-name names them. Slices of
// other address types than IPv4, and of no Service, are left out. The objects are not changed.
func NewTable(services []*corev1.Service, endpointSlices []*discoveryv1.EndpointSlice) Table {
	table := Table{Domain: DefaultDomain}
	bySvc := endpointsByService(endpointSlices)
	for _, s := range services {
		service := newService(s)
		service.Endpoints = mergeEndpoints(bySvc[serviceKey{s.Namespace, s.Name}])
		table.Services = append(table.Services, service)
	}
	table.sort()
	return table
}

// serviceKey names a Service.
type serviceKey struct{ namespace, name string }

// newService converts all but the endpoints.
func newService(s *corev1.Service) Service {
	service := Service{
		Namespace: s.Namespace, Name: s.Name,
		ClusterIP:       s.Spec.ClusterIP,
		PublishNotReady: s.Spec.PublishNotReadyAddresses,
		AffinitySeconds: affinitySeconds(&s.Spec),
		Selector:        s.Spec.Selector,
	}
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		service.ClusterIP, service.ExternalName = "", s.Spec.ExternalName
	}
	for _, p := range s.Spec.Ports {
		service.Ports = append(service.Ports, Port{Name: p.Name, Protocol: protocol(p.Protocol), Port: p.Port, Target: targetOf(p.TargetPort)})
	}
	return service
}

// targetOf is empty for the zero value.
func targetOf(port intstr.IntOrString) string {
	if port == (intstr.IntOrString{}) {
		return ""
	}
	return port.String()
}

// protocol fills in the API's default.
func protocol(p corev1.Protocol) string {
	if p == "" {
		return string(corev1.ProtocolTCP)
	}
	return string(p)
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

// endpointsByService converts the endpoints of every IPv4 slice, in the order of the slices.
func endpointsByService(endpointSlices []*discoveryv1.EndpointSlice) map[serviceKey][]Endpoint {
	bySvc := map[serviceKey][]Endpoint{}
	for _, slice := range endpointSlices {
		name := slice.Labels[discoveryv1.LabelServiceName]
		if name == "" || slice.AddressType != "" && slice.AddressType != discoveryv1.AddressTypeIPv4 {
			continue
		}
		key := serviceKey{slice.Namespace, name}
		ports := portsByName(slice.Ports)
		for i := range slice.Endpoints {
			bySvc[key] = append(bySvc[key], newEndpoints(&slice.Endpoints[i], ports)...)
		}
	}
	return bySvc
}

// portsByName leaves out ports without a number, which mean "all ports" and cannot be balanced to.
func portsByName(ports []discoveryv1.EndpointPort) map[string]int32 {
	byName := map[string]int32{}
	for _, p := range ports {
		if p.Port == nil {
			continue
		}
		name := ""
		if p.Name != nil {
			name = *p.Name
		}
		byName[name] = *p.Port
	}
	return byName
}

// newEndpoints returns an endpoint for each address. A condition that is not given is true, or for Serving what Ready
// is, as the API says.
func newEndpoints(e *discoveryv1.Endpoint, ports map[string]int32) []Endpoint {
	endpoint := Endpoint{
		Ready:       or(e.Conditions.Ready, true),
		Terminating: or(e.Conditions.Terminating, false),
		Hostname:    or(e.Hostname, ""),
		Ports:       ports,
	}
	endpoint.Serving = or(e.Conditions.Serving, endpoint.Ready)
	if e.TargetRef != nil && e.TargetRef.Kind == "Pod" {
		endpoint.Pod = e.TargetRef.Name
	}
	var endpoints []Endpoint
	for _, ip := range e.Addresses {
		endpoint.IP = ip
		endpoints = append(endpoints, endpoint)
	}
	return endpoints
}

// or returns what p points to, or the fallback.
func or[T any](p *T, fallback T) T {
	if p == nil {
		return fallback
	}
	return *p
}

// mergeEndpoints joins the ports of an address that appears in several slices. The conditions of the first count.
func mergeEndpoints(endpoints []Endpoint) []Endpoint {
	type key struct{ ip, pod, hostname string }
	at := map[key]int{}
	var merged []Endpoint
	for _, e := range endpoints {
		k := key{e.IP, e.Pod, e.Hostname}
		i, ok := at[k]
		if !ok {
			at[k] = len(merged)
			e.Ports = maps.Clone(e.Ports)
			merged = append(merged, e)
			continue
		}
		maps.Copy(merged[i].Ports, e.Ports)
	}
	return merged
}

// Routes is the inverse of NewTable as far as a table goes: Services with address, type, ports, selector and affinity, and one
// slice for each set of endpoints that share their ports. A restarted daemon learns from it what is in force.
func (t Table) Routes() ([]*corev1.Service, []*discoveryv1.EndpointSlice) {
	var services []*corev1.Service
	var endpointSlices []*discoveryv1.EndpointSlice
	for i := range t.Services {
		s := &t.Services[i]
		services = append(services, s.object())
		endpointSlices = append(endpointSlices, s.slices()...)
	}
	return services, endpointSlices
}

// object returns the Service as the API has it.
func (s *Service) object() *corev1.Service {
	object := &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name},
		Spec: corev1.ServiceSpec{
			Type:                     corev1.ServiceTypeClusterIP,
			ClusterIP:                s.ClusterIP,
			SessionAffinity:          corev1.ServiceAffinityNone,
			PublishNotReadyAddresses: s.PublishNotReady,
			Selector:                 s.Selector,
		},
	}
	if s.ClusterIP != "" {
		object.Spec.ClusterIPs = []string{s.ClusterIP}
	}
	if s.ExternalName != "" {
		object.Spec.Type, object.Spec.ExternalName = corev1.ServiceTypeExternalName, s.ExternalName
	}
	if seconds := s.AffinitySeconds; seconds > 0 {
		object.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
		object.Spec.SessionAffinityConfig = &corev1.SessionAffinityConfig{
			ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: &seconds},
		}
	}
	for _, p := range s.Ports {
		port := corev1.ServicePort{Name: p.Name, Protocol: corev1.Protocol(p.Protocol), Port: p.Port}
		if p.Target != "" {
			port.TargetPort = intstr.Parse(p.Target)
		}
		object.Spec.Ports = append(object.Spec.Ports, port)
	}
	return object
}

// slices groups the endpoints by their ports, in the order in which each set of ports first appears.
func (s *Service) slices() []*discoveryv1.EndpointSlice {
	var groups []*discoveryv1.EndpointSlice
	var ports []map[string]int32
	for _, e := range s.Endpoints {
		i := slices.IndexFunc(ports, func(p map[string]int32) bool { return maps.Equal(p, e.Ports) })
		if i < 0 {
			i = len(groups)
			ports = append(ports, e.Ports)
			groups = append(groups, s.newSlice(i, e.Ports))
		}
		groups[i].Endpoints = append(groups[i].Endpoints, e.object(s.Namespace))
	}
	return groups
}

// newSlice returns slice number n of the Service, without endpoints.
func (s *Service) newSlice(n int, ports map[string]int32) *discoveryv1.EndpointSlice {
	slice := &discoveryv1.EndpointSlice{
		TypeMeta: metav1.TypeMeta{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSlice"},
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: sliceName(s.Name, n),
			Labels: map[string]string{discoveryv1.LabelServiceName: s.Name}},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	for _, name := range slices.Sorted(maps.Keys(ports)) {
		port, proto := ports[name], s.protocolOf(name)
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: &name, Port: &port, Protocol: &proto})
	}
	return slice
}

// sliceName is the Service's name for the first slice, which is as a rule the only one, and numbers the others.
func sliceName(service string, n int) string {
	if n == 0 {
		return service
	}
	return fmt.Sprintf("%s-%d", service, n)
}

// protocolOf returns the protocol of the Service's port of that name.
func (s *Service) protocolOf(name string) corev1.Protocol {
	for _, p := range s.Ports {
		if p.Name == name {
			return corev1.Protocol(p.Protocol)
		}
	}
	return corev1.ProtocolTCP
}

// object returns the endpoint as the API has it.
func (e *Endpoint) object(namespace string) discoveryv1.Endpoint {
	ready, serving, terminating := e.Ready, e.Serving, e.Terminating
	object := discoveryv1.Endpoint{
		Addresses:  []string{e.IP},
		Conditions: discoveryv1.EndpointConditions{Ready: &ready, Serving: &serving, Terminating: &terminating},
	}
	if e.Hostname != "" {
		hostname := e.Hostname
		object.Hostname = &hostname
	}
	if e.Pod != "" {
		object.TargetRef = &corev1.ObjectReference{Kind: "Pod", Namespace: namespace, Name: e.Pod}
	}
	return object
}
