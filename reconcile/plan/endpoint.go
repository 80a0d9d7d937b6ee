package plan

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/podyard/podyard/runtime"
)

// portGroup are the endpoints of a Service that serve its ports at the same numbers. There is more than one group while a rollout
// changes the number of a named port: each pod is reached where it listens.
type portGroup struct {
	// numbers, one for each port of the Service.
	numbers   []int32
	endpoints []discoveryv1.Endpoint
}

// noPort is the number of a port that a pod does not have. It is beyond all others, so that such pods come last.
const noPort = math.MaxInt32

// endpoints are the Service's EndpointSlices: those of the pods that it selects, and those that the commit holds.
func (p *planner) endpoints(service *corev1.Service) []*discoveryv1.EndpointSlice {
	switch {
	case isExternalName(service):
		return nil
	case len(service.Spec.Selector) == 0:
		return append(p.mirrored(service), p.custom(service)...)
	}
	return append(p.endpointsOfPods(service), p.custom(service)...)
}

// endpointsOfPods are one slice for each set of ports, and at least one; upstream's reconcileByAddressType (k8s.io/endpointslice,
// reconciler.go), but that a slice holds as many endpoints as there are. A pod that this plan deletes is listed as terminating, so
// that it leaves the Service before it is told to stop.
func (p *planner) endpointsOfPods(service *corev1.Service) []*discoveryv1.EndpointSlice {
	groups := p.portGroups(service)
	slices.SortFunc(groups, func(a, b portGroup) int { return slices.Compare(a.numbers, b.numbers) })
	out := make([]*discoveryv1.EndpointSlice, len(groups))
	for i, g := range groups {
		out[i] = newSlice(service, g)
		if i > 0 {
			out[i].Name += "-" + suffixOf(g.numbers)
		}
	}
	return out
}

// portGroups are the Service's endpoints by their ports, in the order in which each set of ports first appears; upstream's
// NewPortMapKey. Without endpoints there is a group with the ports that need no pod to be known.
func (p *planner) portGroups(service *corev1.Service) []portGroup {
	var groups []portGroup
	var numbers []int32
	for _, v := range p.selected(service) {
		ip := p.address(v)
		if ip == "" || v.Phase != runtime.Running || v.end != nil {
			continue
		}
		numbers = appendNumbers(numbers[:0], service, &v.Manifest.Spec)
		i := groupOf(groups, numbers)
		if i == len(groups) {
			groups = append(groups, portGroup{numbers: slices.Clone(numbers)})
		}
		groups[i].endpoints = append(groups[i].endpoints, endpoint(service, v, ip))
	}
	if len(groups) == 0 {
		groups = []portGroup{{numbers: appendNumbers(nil, service, &corev1.PodSpec{})}}
	}
	return groups
}

// groupOf is where the group with these numbers is, or is to be appended.
func groupOf(groups []portGroup, numbers []int32) int {
	for i := range groups {
		if slices.Equal(groups[i].numbers, numbers) {
			return i
		}
	}
	return len(groups)
}

// appendNumbers appends where a pod serves each port of the Service; upstream's getEndpointPorts (k8s.io/endpointslice, utils.go).
func appendNumbers(numbers []int32, service *corev1.Service, pod *corev1.PodSpec) []int32 {
	for i := range service.Spec.Ports {
		numbers = append(numbers, targetPort(&service.Spec.Ports[i], pod))
	}
	return numbers
}

// targetPort is where a pod serves a port of a Service; upstream's findPort (in the same file).
func targetPort(port *corev1.ServicePort, pod *corev1.PodSpec) int32 {
	switch {
	case port.TargetPort.Type == intstr.String:
		return namedPort(port, pod)
	case port.TargetPort.IntVal == 0:
		return port.Port
	}
	return port.TargetPort.IntVal
}

// namedPort looks in the pod's app containers and then in its sidecars.
func namedPort(port *corev1.ServicePort, pod *corev1.PodSpec) int32 {
	found := int32(noPort)
	for c, isSidecar := range serving(pod) {
		i := slices.IndexFunc(c.Ports, func(p corev1.ContainerPort) bool {
			return p.Name == port.TargetPort.StrVal && p.Protocol == port.Protocol
		})
		switch {
		case i >= 0 && !isSidecar:
			return c.Ports[i].ContainerPort
		case i >= 0 && found == noPort:
			found = c.Ports[i].ContainerPort
		}
	}
	return found
}

// newSlice is named like the Service, as the first slice is, which is as a rule the only one.
func newSlice(service *corev1.Service, g portGroup) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: service.Name, Namespace: service.Namespace,
			Labels: map[string]string{discoveryv1.LabelServiceName: service.Name},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   g.endpoints,
		Ports:       endpointPorts(service, g.numbers),
	}
}

// suffixOf tells further slices apart by what they hold, and not by how many there are.
func suffixOf(numbers []int32) string {
	h := fnv.New32a()
	fmt.Fprint(h, numbers)
	return rand.SafeEncodeString(fmt.Sprint(h.Sum32()))
}

// endpointPorts leaves out a port that the pods do not have.
func endpointPorts(service *corev1.Service, numbers []int32) []discoveryv1.EndpointPort {
	var ports []discoveryv1.EndpointPort
	for i, number := range numbers {
		if port := service.Spec.Ports[i]; number != noPort {
			ports = append(ports, discoveryv1.EndpointPort{
				Name: &port.Name, Protocol: &port.Protocol, Port: &number, AppProtocol: port.AppProtocol,
			})
		}
	}
	return ports
}

func endpoint(service *corev1.Service, v *podView, ip string) discoveryv1.Endpoint {
	serving, terminating := v.ready, v.deleted
	isReady := (serving || service.Spec.PublishNotReadyAddresses) && !terminating
	e := discoveryv1.Endpoint{
		Addresses:  []string{ip},
		Conditions: discoveryv1.EndpointConditions{Ready: &isReady, Serving: &serving, Terminating: &terminating},
		TargetRef:  &corev1.ObjectReference{Kind: "Pod", Namespace: v.Manifest.Namespace, Name: v.Manifest.Name, UID: v.Manifest.UID},
	}
	if v.Manifest.Spec.Hostname != "" && v.Manifest.Spec.Subdomain == service.Name {
		e.Hostname = &v.Manifest.Spec.Hostname
	}
	return e
}

// readyEndpoints counts addresses.
func readyEndpoints(endpointSlices []*discoveryv1.EndpointSlice) int {
	n := 0
	for _, slice := range endpointSlices {
		for _, e := range slice.Endpoints {
			if isReady(e) {
				n += len(e.Addresses)
			}
		}
	}
	return n
}

// isReady: of an endpoint of the commit nothing may be said, which is yes (discovery/v1, EndpointConditions).
func isReady(e discoveryv1.Endpoint) bool { return e.Conditions.Ready == nil || *e.Conditions.Ready }
