package plan

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/podyard/podyard/manifests"
)

// custom are the EndpointSlices of the commit that are a Service's, in the order of their names. Upstream's kube-proxy takes them
// together with those that controllers make (pkg/proxy/endpointslicecache.go).
func (p *planner) custom(service *corev1.Service) (out []*discoveryv1.EndpointSlice) {
	for _, slice := range p.slicesOf(serviceKey(service)) {
		if manifests.IsCustom(slice) {
			out = append(out, slice)
		}
	}
	return out
}

// slicesOf are the EndpointSlices of the commit by "namespace/name" of their Service.
func (p *planner) slicesOf(service string) []*discoveryv1.EndpointSlice {
	if p.slices == nil {
		p.slices = map[string][]*discoveryv1.EndpointSlice{}
		for _, slice := range manifests.All[*discoveryv1.EndpointSlice](p.desired) {
			key := slice.Namespace + "/" + slice.Labels[discoveryv1.LabelServiceName]
			p.slices[key] = append(p.slices[key], slice)
		}
	}
	return p.slices[service]
}

// mirrored are the EndpointSlices that the Endpoints of a Service's name stand for, one for each subset, and at least one.
// Upstream: pkg/controller/endpointslicemirroring, reconciler.go.
func (p *planner) mirrored(service *corev1.Service) []*discoveryv1.EndpointSlice {
	given, _ := p.find("Endpoints", service.Namespace, service.Name).(*manifests.Endpoints)
	if given == nil || len(given.Subsets) == 0 || !manifests.IsMirrored(given, service) {
		return []*discoveryv1.EndpointSlice{newSlice(service, portGroup{})}
	}
	var out []*discoveryv1.EndpointSlice
	for i := range given.Subsets {
		subset := &given.Subsets[i]
		slice := newSlice(service, portGroup{})
		if i > 0 {
			slice.Name = fmt.Sprintf("%s-%d", service.Name, i)
		}
		slice.Endpoints = append(mirroredAddresses(subset.Addresses, true), mirroredAddresses(subset.NotReadyAddresses, false)...)
		for j := range subset.Ports {
			port := &subset.Ports[j]
			slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: &port.Name, Protocol: &port.Protocol, Port: &port.Port, AppProtocol: port.AppProtocol})
		}
		out = append(out, slice)
	}
	return out
}

func mirroredAddresses(addresses []corev1.EndpointAddress, ready bool) (out []discoveryv1.Endpoint) {
	for i := range addresses {
		a := &addresses[i]
		e := discoveryv1.Endpoint{Addresses: []string{a.IP}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}, TargetRef: a.TargetRef, NodeName: a.NodeName}
		if a.Hostname != "" {
			e.Hostname = &a.Hostname
		}
		out = append(out, e)
	}
	return out
}
