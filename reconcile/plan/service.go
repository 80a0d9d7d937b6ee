package plan

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
)

// services gives every Service its address and its endpoints, from the pods that stay after this plan. One that waits for its
// turn in the sync stays as it is in force, if it is; one that has left the commit may have to stay for a while.
func (p *planner) services() {
	left := p.staying()
	addresses := p.clusterIPs(left)
	for _, object := range p.desired.Objects {
		if service, ok := object.Value.(*corev1.Service); ok {
			service, waits := p.turnOfService(object, service)
			status := p.serve(object.Ref, service, addresses[serviceKey(service)])
			if waits != "" {
				status.Health, status.Message = Reconciling, waits
			}
			p.report(object.Ref, status)
		}
	}
	for _, s := range left {
		key := ownerKey{"Service", s.Namespace, s.Name}
		status := p.serve(refOf(key), s.Service, addresses[serviceKey(s.Service)])
		switch {
		case status.Health != Stalled:
			status.Health, status.Message = s.health, s.why
		case p.policyWhenGone(key, nil).Prune != manifests.PruneDisabled:
			continue // a Service of the commit has its address by now
		}
		p.pruned = append(p.pruned, status)
	}
}

// turnOfService is the Service as it shall be now, and what it waits for.
func (p *planner) turnOfService(object *manifests.Object, service *corev1.Service) (*corev1.Service, string) {
	if !slices.Contains(p.sync.later, object) {
		return service, ""
	}
	for _, s := range p.observed.Routes.Services {
		if serviceKey(s) == serviceKey(service) {
			return s, p.sync.patience()
		}
	}
	return service, p.sync.patience()
}

// serve routes a Service.
func (p *planner) serve(ref manifests.Ref, service *corev1.Service, address address) ObjectStatus {
	status := ObjectStatus{Ref: ref, Health: Ready, Summary: map[string]string{"type": string(service.Spec.Type)}}
	if address.problem != "" {
		status.Health, status.Message = Stalled, address.problem
		return status
	}
	routed := *service // what it holds is shared, and compared at a glance with that of the plan before
	routed.Spec.ClusterIP = address.ip
	slice := p.endpoints(&routed)
	p.routes.Services = append(p.routes.Services, &routed)
	p.routes.Endpoints = append(p.routes.Endpoints, slice)
	status.Summary["clusterIP"], status.Summary["ports"] = address.ip, portList(service)
	status.Summary["endpoints"] = fmt.Sprintf("%d ready", readyEndpoints(slice))
	if readyEndpoints(slice) == 0 && len(service.Spec.Selector) > 0 {
		status.Message = "no pod that it selects is ready"
	}
	return status
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
	var backends []*podView
	for _, v := range p.selected(service) {
		if ip := p.address(v); ip != "" && v.Phase == runtime.Running && v.end == nil {
			backends = append(backends, v)
			slice.Endpoints = append(slice.Endpoints, endpoint(service, v, ip))
		}
	}
	slice.Ports = endpointPorts(service, backends)
	return slice
}

// selected are the pods that a Service selects.
func (p *planner) selected(service *corev1.Service) []*podView {
	var out []*podView
	for _, v := range p.candidates(service.Namespace, service.Spec.Selector) {
		if hasLabels(v.Manifest.Labels, service.Spec.Selector) {
			out = append(out, v)
		}
	}
	return out
}

// candidates are the pods with the rarest of some labels. To ask every pod for every selector would take most of the time of a
// plan with a thousand of them.
func (p *planner) candidates(namespace string, wanted map[string]string) []*podView {
	if p.labelled == nil {
		p.labelled = map[podLabel][]*podView{}
		for _, v := range p.pods {
			for key, value := range v.Manifest.Labels {
				at := podLabel{v.Manifest.Namespace, key, value}
				p.labelled[at] = append(p.labelled[at], v)
			}
		}
	}
	fewest := p.pods
	for key, value := range wanted {
		if pods := p.labelled[podLabel{namespace, key, value}]; len(pods) <= len(fewest) {
			fewest = pods
		}
	}
	return fewest
}

// podLabel is a label of a pod in a namespace.
type podLabel struct{ namespace, key, value string }

func hasLabels(labels, wanted map[string]string) bool {
	for key, value := range wanted {
		if have, ok := labels[key]; !ok || have != value {
			return false
		}
	}
	return true
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

// endpointPorts resolves target ports. A named port is looked up in the newest pod that has it, sidecars included: pods of
// one Service agree on their named ports.
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
		for c := range serving(&v.Manifest.Spec) {
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

// servicesOf are the Services of the commit, and then those that have left it: they have the second choice.
func servicesOf(set *manifests.Set, left []staying) []*corev1.Service {
	all := manifests.All[*corev1.Service](set)
	slices.SortFunc(all, func(a, b *corev1.Service) int { return cmp.Compare(serviceKey(a), serviceKey(b)) })
	for _, s := range left {
		all = append(all, s.Service)
	}
	return all
}
