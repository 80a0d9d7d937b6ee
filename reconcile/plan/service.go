package plan

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
)

// services gives every Service its address and its endpoints, from the pods that stay after this plan.
func (p *planner) services() {
	addresses := p.clusterIPs()
	for _, object := range p.desired.Objects {
		service, ok := object.Value.(*corev1.Service)
		if !ok {
			continue
		}
		address := addresses[serviceKey(service)]
		status := ObjectStatus{Ref: object.Ref, Health: Ready, Summary: map[string]string{"type": string(service.Spec.Type)}}
		if address.problem != "" {
			status.Health, status.Message = Stalled, address.problem
			p.report(object.Ref, status)
			continue
		}
		routed := service.DeepCopy()
		routed.Spec.ClusterIP = address.ip
		slice := p.endpoints(routed)
		p.routes.Services = append(p.routes.Services, routed)
		p.routes.Endpoints = append(p.routes.Endpoints, slice)
		status.Summary["clusterIP"], status.Summary["ports"] = address.ip, portList(service)
		status.Summary["endpoints"] = fmt.Sprintf("%d ready", readyEndpoints(slice))
		if readyEndpoints(slice) == 0 && len(service.Spec.Selector) > 0 {
			status.Message = "no pod that it selects is ready"
		}
		p.report(object.Ref, status)
	}
}

// endpoints is the Service's one EndpointSlice; upstream's pkg/controller/endpointslice. A pod that this plan deletes
// is listed as terminating, so that it leaves the Service before it is told to stop.
func (p *planner) endpoints(service *corev1.Service) *discoveryv1.EndpointSlice {
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: service.Name, Namespace: service.Namespace,
			Labels: map[string]string{discoveryv1.LabelServiceName: service.Name},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	if len(service.Spec.Selector) == 0 {
		return slice
	}
	selector := labels.SelectorFromSet(service.Spec.Selector)
	var backends []*podView
	for _, v := range p.pods {
		if v.IP != "" && v.Phase == runtime.Running && v.Manifest.Namespace == service.Namespace && selector.Matches(labels.Set(v.Manifest.Labels)) {
			backends = append(backends, v)
			slice.Endpoints = append(slice.Endpoints, endpoint(service, v))
		}
	}
	slice.Ports = endpointPorts(service, backends)
	return slice
}

func endpoint(service *corev1.Service, v *podView) discoveryv1.Endpoint {
	serving, terminating := v.ready, v.deleted
	isReady := (serving || service.Spec.PublishNotReadyAddresses) && !terminating
	e := discoveryv1.Endpoint{
		Addresses:  []string{v.IP},
		Conditions: discoveryv1.EndpointConditions{Ready: &isReady, Serving: &serving, Terminating: &terminating},
		TargetRef:  &corev1.ObjectReference{Kind: "Pod", Namespace: v.Manifest.Namespace, Name: v.Manifest.Name, UID: v.Manifest.UID},
	}
	if v.Manifest.Spec.Hostname != "" && v.Manifest.Spec.Subdomain == service.Name {
		e.Hostname = &v.Manifest.Spec.Hostname
	}
	return e
}

// endpointPorts resolves target ports. A named port is looked up in the newest pod that has it: pods of one Service
// agree on their named ports.
func endpointPorts(service *corev1.Service, backends []*podView) []discoveryv1.EndpointPort {
	var ports []discoveryv1.EndpointPort
	for _, port := range service.Spec.Ports {
		number, ok := targetPort(port, backends)
		if !ok {
			continue
		}
		ports = append(ports, discoveryv1.EndpointPort{Name: &port.Name, Protocol: &port.Protocol, Port: &number, AppProtocol: port.AppProtocol})
	}
	return ports
}

func targetPort(port corev1.ServicePort, backends []*podView) (int32, bool) {
	if port.TargetPort.Type == intstr.Int {
		if port.TargetPort.IntVal == 0 {
			return port.Port, true
		}
		return port.TargetPort.IntVal, true
	}
	newest := slices.Clone(backends)
	slices.SortStableFunc(newest, func(a, b *podView) int { return b.CreatedAt.Compare(a.CreatedAt) })
	for _, v := range newest {
		for _, c := range v.Manifest.Spec.Containers {
			for _, p := range c.Ports {
				if p.Name == port.TargetPort.StrVal && p.Protocol == port.Protocol {
					return p.ContainerPort, true
				}
			}
		}
	}
	return 0, false
}

func readyEndpoints(slice *discoveryv1.EndpointSlice) int {
	n := 0
	for _, e := range slice.Endpoints {
		n += order(*e.Conditions.Ready)
	}
	return n
}

func portList(service *corev1.Service) string {
	out := ""
	for i, port := range service.Spec.Ports {
		if i > 0 {
			out += ","
		}
		out += fmt.Sprintf("%d/%s", port.Port, port.Protocol)
	}
	return out
}

func serviceKey(s *corev1.Service) string { return s.Namespace + "/" + s.Name }

func servicesOf(set *manifests.Set) []*corev1.Service {
	all := manifests.All[*corev1.Service](set)
	slices.SortFunc(all, func(a, b *corev1.Service) int { return cmp.Compare(serviceKey(a), serviceKey(b)) })
	return all
}
