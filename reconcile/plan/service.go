package plan

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/manifests"
)

// services gives every Service its address and its endpoints, from the pods that stay after this plan. One that waits for its
// turn in the sync stays as it is in force, if it is; one that has left the commit may have to stay for a while.
func (p *planner) services() {
	left := p.staying()
	addresses := p.clusterIPs(left)
	p.publish(p.wantedPublications(left, addresses))
	for _, object := range p.desired.Objects {
		if service, ok := object.Value.(*corev1.Service); ok {
			service, waits := p.turnOfService(object, service)
			status := p.serve(object.Ref, service, addresses[serviceKey(service)])
			switch {
			case waits != "":
				status.Health, status.Message = Reconciling, waits
			case status.Health != Stalled:
				p.judgePublished(service, &status)
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
	endpoints := p.endpoints(&routed)
	p.routes.Services = append(p.routes.Services, &routed)
	p.routes.Endpoints = append(p.routes.Endpoints, endpoints...)
	if isExternalName(service) {
		status.Summary["externalName"] = service.Spec.ExternalName
		return status
	}
	ready := readyEndpoints(endpoints)
	status.Summary["clusterIP"], status.Summary["ports"] = address.ip, p.portList(service)
	status.Summary["endpoints"] = fmt.Sprintf("%d ready", ready)
	switch selects := len(service.Spec.Selector) > 0; {
	case ready == 0 && selects:
		status.Message = "no pod that it selects is ready"
	case ready == 0:
		status.Message = "it has no selector, and the commit has no ready endpoint of it"
	}
	p.tellPublished(service, &status)
	return status
}

// isExternalName tells a Service that is a name for another; it has neither an address nor endpoints.
func isExternalName(s *corev1.Service) bool { return s.Spec.Type == corev1.ServiceTypeExternalName }

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
