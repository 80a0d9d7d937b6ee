package runtimetest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/podyard/podyard/runtime"
)

var routeChecks = []Check{
	{Name: "routes come back as far as they serve", Alone: true, run: routes},
}

func routes(f *fixture) {
	f.noRoutesAfterwards()
	one, two := f.service("one", f.clusterIP(1)), f.service("two", f.clusterIP(2))
	for _, want := range []runtime.Routes{
		{
			Services:  []*corev1.Service{one, two},
			Endpoints: []*discoveryv1.EndpointSlice{f.endpoints("one", "10.0.0.1", "10.0.0.2"), f.endpoints("two")},
		},
		{Services: []*corev1.Service{two}, Endpoints: []*discoveryv1.EndpointSlice{f.endpoints("two", "10.0.0.3")}},
		{},
	} {
		f.must(f.Runtime.Route(f.ctx, want))
		f.must(f.Runtime.Route(f.ctx, want))
		if got := served(f.state().Routes); !slices.Equal(got, served(want)) {
			f.Errorf("the routes in force are %q; want %q", got, served(want))
		}
	}
}

// served is what comes back of routes: a data plane may forget labels.
func served(r runtime.Routes) []string {
	var out []string
	for _, s := range r.Services {
		for _, p := range s.Spec.Ports {
			out = append(out, fmt.Sprintf("%s/%s at %s %s %s/%d for %v at %s", s.Namespace, s.Name, s.Spec.ClusterIP, p.Name, p.Protocol,
				p.Port, s.Spec.Selector, p.TargetPort.String()))
		}
	}
	for _, slice := range r.Endpoints {
		for _, e := range slice.Endpoints {
			for _, p := range slice.Ports {
				out = append(out, fmt.Sprintf("%s/%s to %v %s %s/%d ready=%t", slice.Namespace, slice.Labels[discoveryv1.LabelServiceName],
					e.Addresses, *p.Name, *p.Protocol, *p.Port, e.Conditions.Ready != nil && *e.Conditions.Ready))
			}
		}
	}
	slices.Sort(out)
	return out
}

func (f *fixture) noRoutesAfterwards() {
	f.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(f.ctx), patience)
		defer cancel()
		if err := f.Runtime.Route(ctx, runtime.Routes{}); err != nil {
			f.Errorf("clean up: %v", err)
		}
	})
}

// clusterIP is the n-th address from the tenth on of the slice for Services.
func (f *fixture) clusterIP(n int) string {
	f.Helper()
	cidr, err := netip.ParsePrefix(f.state().ServiceCIDR)
	f.must(err)
	address := cidr.Addr()
	for range 10 + n {
		address = address.Next()
	}
	return address.String()
}

// service maps port 80 of an address to port 8080 of its endpoints. Without an address it is headless.
func (f *fixture) service(name, address string) *corev1.Service {
	if address == "" {
		address = corev1.ClusterIPNone
	}
	policy := corev1.IPFamilyPolicySingleStack
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name, Labels: map[string]string{"app": name}},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeClusterIP, ClusterIP: address, ClusterIPs: []string{address},
			IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol}, IPFamilyPolicy: &policy,
			Selector:        map[string]string{"app": name},
			SessionAffinity: corev1.ServiceAffinityNone,
			Ports: []corev1.ServicePort{{
				Name: "http", Protocol: corev1.ProtocolTCP, Port: 80, TargetPort: intstr.FromInt32(8080),
			}},
		},
	}
}

// endpoints of a Service: ready pods at these addresses.
func (f *fixture) endpoints(service string, addresses ...string) *discoveryv1.EndpointSlice {
	yes, no := true, false
	name, port, protocol := "http", int32(8080), corev1.ProtocolTCP
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: f.namespace, Name: service, Labels: map[string]string{discoveryv1.LabelServiceName: service},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port, Protocol: &protocol}},
	}
	for _, address := range addresses {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses:  []string{address},
			Conditions: discoveryv1.EndpointConditions{Ready: &yes, Serving: &yes, Terminating: &no},
			TargetRef:  &corev1.ObjectReference{Kind: "Pod", Namespace: f.namespace, Name: "pod-" + address},
		})
	}
	return slice
}
