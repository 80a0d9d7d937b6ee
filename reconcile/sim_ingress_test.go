package reconcile

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
)

// The ports of the host for Ingresses. A program outside takes the first now and then.
const (
	simHTTPPort  = 8088
	simHTTPSPort = 8443
)

// addDoors adds Ingresses, each with another host in each commit.
func (s *simulation) addDoors(set *manifests.Set) {
	for _, name := range []string{"inner", "outer"} {
		if !s.keeps("door", 1, 2) {
			continue
		}
		host := rapid.SampledFrom([]string{"a.example.com", "b.example.com", "c.example.com"}).Draw(s.T, "host")
		add(set, "Ingress", name, door(name, host))
	}
}

func door(name, host string) *networkingv1.Ingress {
	backend := networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Number: 80}}}
	rule := networkingv1.IngressRule{Host: host, IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
		Paths: []networkingv1.HTTPIngressPath{{Path: "/", PathType: pointer(networkingv1.PathTypePrefix), Backend: backend}},
	}}}
	return &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{rule}}}
}

// checkDoors: at the fixed point the Ingresses of the commit are served and no others, and ports are open while there is one.
func (s *simulation) checkDoors(set *manifests.Set) {
	state := s.engine.Truth()
	want, served := hostsOfDoors(manifests.All[*networkingv1.Ingress](set)), hostsOfDoors(state.Routes.Ingresses)
	if !slices.Equal(want, served) {
		s.Fatalf("Ingresses served: %v, want %v", served, want)
	}
	i := slices.IndexFunc(state.Publications, func(p runtime.Published) bool { return p.Namespace == "" })
	switch ports := doorPorts(); {
	case i < 0 && len(want) > 0:
		s.Fatalf("no ports are open for Ingresses %v", want)
	case i < 0:
	case len(want) == 0:
		s.Fatalf("ports are open for Ingresses, and there is none: %+v", state.Publications[i])
	case !state.Publications[i].Running || !slices.Equal(state.Publications[i].Ports, ports):
		s.Fatalf("ports of Ingresses: %+v, want %v", state.Publications[i], ports)
	}
}

func doorPorts() []runtime.PublishedPort {
	return []runtime.PublishedPort{{Protocol: corev1.ProtocolTCP, HostPort: simHTTPPort, Port: 80}, {Protocol: corev1.ProtocolTCP, HostPort: simHTTPSPort, Port: 443}}
}

func hostsOfDoors(list []*networkingv1.Ingress) (out []string) {
	for _, v := range list {
		out = append(out, v.Name+" "+v.Spec.Rules[0].Host)
	}
	return out
}
