package plan

import (
	"fmt"
	"slices"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
)

// ingress is an Ingress of the commit, or one that has left it and is served still.
type ingress struct {
	ref manifests.Ref
	// served is as it is served after this plan; nil if it is not yet.
	served *networkingv1.Ingress
	// left: it has left the commit. why says what it waits for, or why it stays; empty if it is as the commit says.
	left   bool
	health Health
	why    string
}

// findIngresses tells what is served. One that waits for its turn in the sync stays as it is; a new one is not served before, for
// what it leads to may not be ready. One that has left the commit goes before its Services and their pods.
func (p *planner) findIngresses() {
	now := map[string]*networkingv1.Ingress{}
	for _, v := range p.observed.Routes.Ingresses {
		now[ingressKey(v)] = v
	}
	for _, o := range p.desired.Objects {
		v, is := o.Value.(*networkingv1.Ingress)
		if !is {
			continue
		}
		i := ingress{ref: o.Ref, served: v}
		if slices.Contains(p.sync.later, o) {
			i.served, i.health = now[ingressKey(v)], Reconciling
		}
		p.ingresses = append(p.ingresses, i)
	}
	for _, v := range p.observed.Routes.Ingresses {
		key := ownerKey{"Ingress", v.Namespace, v.Name}
		i := ingress{ref: refOf(key), served: v, left: true}
		switch {
		case p.has(key):
			continue
		case p.policyWhenGone(key, nil).Prune == manifests.PruneDisabled:
			i.health, i.why = Ready, "not in the commit; kept: podyard.dev/prune is disabled"
		case p.sync.holdsRemoval():
			i.health, i.why = Terminating, p.sync.whyNoRemoval()+": not in the commit"
		default:
			continue
		}
		p.ingresses = append(p.ingresses, i)
	}
}

func ingressKey(v *networkingv1.Ingress) string { return v.Namespace + "/" + v.Name }

// ingressPublications is what is open on the host for Ingresses: one publication while one is served, and none else.
func (p *planner) ingressPublications() []*publication {
	if !slices.ContainsFunc(p.ingresses, func(i ingress) bool { return i.served != nil }) {
		return nil
	}
	b := &publication{want: runtime.Publication{Name: runtime.IngressPublication}, have: p.published("", runtime.IngressPublication)}
	for _, port := range []struct{ host, of int32 }{{p.observed.HTTPPort, 80}, {p.observed.HTTPSPort, 443}} {
		if port.host != 0 {
			b.want.Ports = append(b.want.Ports, runtime.PublishedPort{Protocol: "TCP", HostPort: port.host, Port: port.of})
		}
	}
	if len(b.want.Ports) == 0 {
		return nil
	}
	return []*publication{b}
}

// whyNoIngressPorts is why none is open.
func (p *planner) whyNoIngressPorts() string {
	if p.observed.HTTPPort == 0 && p.observed.HTTPSPort == 0 {
		return "podyard run was told to open no ports for Ingresses"
	}
	return "no Ingress is served"
}

// routeIngresses puts the Ingresses that are served into the routes, with the certificates that they name, and reports all. The
// Services are routed by now.
func (p *planner) routeIngresses() {
	behind := p.behindServices()
	for _, i := range p.ingresses {
		if i.served != nil {
			p.routes.Ingresses = append(p.routes.Ingresses, i.served)
			p.routeCertificates(i.served)
		}
		status := p.ingressStatus(i, behind)
		if i.left {
			p.pruned = append(p.pruned, status)
		} else {
			p.report(i.ref, status)
		}
	}
}

// routeCertificates adds those of the commit. What ACME makes is not among them.
func (p *planner) routeCertificates(v *networkingv1.Ingress) {
	for _, secret := range p.tlsSecrets(v) {
		if p.routes.Certificates == nil {
			p.routes.Certificates = map[string]runtime.Certificate{}
		}
		p.routes.Certificates[secret.Namespace+"/"+secret.Name] = runtime.Certificate{Chain: secret.chain, Key: secret.key}
	}
}

// ingressStatus says what keeps requests from being answered, the worst first.
func (p *planner) ingressStatus(i ingress, behind map[string]endpointCount) ObjectStatus {
	status := ObjectStatus{Ref: i.ref, Health: Ready, Summary: map[string]string{}}
	if i.served != nil {
		p.summarizeIngress(i.served, status.Summary)
	}
	switch {
	case i.health == Reconciling:
		status.Health, status.Message = Reconciling, p.sync.patience()
	case i.why != "":
		status.Health, status.Message = i.health, i.why
	default:
		p.judgeIngress(i.served, behind, &status)
	}
	return status
}

// summarizeIngress has the columns of kubectl: ADDRESS is status.loadBalancer.ingress.
func (p *planner) summarizeIngress(v *networkingv1.Ingress, summary map[string]string) {
	summary["class"] = classOf(v)
	summary["hosts"] = strings.Join(ingressHosts(v), ",")
	if b := p.publications[PublicationName("", runtime.IngressPublication)]; b != nil && b.have != nil && b.have.Running {
		summary["address"] = strings.Join(p.externalIPs(), ",")
		var ports []string
		for _, port := range b.have.Ports {
			ports = append(ports, fmt.Sprint(port.HostPort))
		}
		summary["ports"] = strings.Join(ports, ",")
	}
}

// classOf is the class that an Ingress names; empty if it names none.
func classOf(v *networkingv1.Ingress) string {
	if v.Spec.IngressClassName != nil {
		return *v.Spec.IngressClassName
	}
	return v.Annotations[manifests.IngressClassAnnotation]
}

// ingressHosts are those of the rules, each once; * is any.
func ingressHosts(v *networkingv1.Ingress) (hosts []string) {
	add := func(host string) {
		if host == "" {
			host = "*"
		}
		if !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	for _, rule := range v.Spec.Rules {
		add(rule.Host)
	}
	if len(v.Spec.Rules) == 0 {
		add("")
	}
	return hosts
}

func (p *planner) judgeIngress(v *networkingv1.Ingress, behind map[string]endpointCount, status *ObjectStatus) {
	b := p.publications[PublicationName("", runtime.IngressPublication)]
	switch {
	case b == nil:
		status.Message = "is not reached from outside: podyard run was told to open no ports (--http-port and --https-port are 0)"
		return
	case b.inPlace():
	case b.hindrance != nil:
		p.portsError(status, b.hindrance.ofIngresses())
		return
	case p.problemAt(b) != nil:
		p.portsError(status, p.problemAt(b).ofIngresses())
		return
	default:
		status.Health, status.Message = Reconciling, "is being published at "+publishedPorts(b.want.Ports)
		return
	}
	for _, name := range backendsOf(v) {
		if n := behind[v.Namespace+"/"+name]; n.ready == 0 {
			status.Message = fmt.Sprintf("Service %s/%s has no ready endpoint: requests for it are answered with 503", v.Namespace, name)
			if n.waiting > 0 {
				status.Health = Reconciling
			}
			return
		}
	}
	status.Message = p.certificateProblem(v)
}

// ofIngresses adds where the ports of Ingresses are chosen.
func (h *hindrance) ofIngresses() *hindrance {
	out := *h
	out.words += " (podyard run --http-port and --https-port)"
	return &out
}

// backendsOf are the names of the Services to which an Ingress leads, each once, in its order.
func backendsOf(v *networkingv1.Ingress) (names []string) {
	add := func(b *networkingv1.IngressBackend) {
		if b != nil && b.Service != nil && !slices.Contains(names, b.Service.Name) {
			names = append(names, b.Service.Name)
		}
	}
	add(v.Spec.DefaultBackend)
	for _, rule := range v.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for j := range rule.HTTP.Paths {
			add(&rule.HTTP.Paths[j].Backend)
		}
	}
	return names
}

// endpointCount is what is behind a Service. Endpoints that are waiting may become ready.
type endpointCount struct{ ready, waiting int }

// behindServices counts by "namespace/name" of a Service that is routed. A name outside counts as ready: nobody knows.
func (p *planner) behindServices() map[string]endpointCount {
	out := map[string]endpointCount{}
	for _, s := range p.routes.Services {
		if isExternalName(s) {
			out[serviceKey(s)] = endpointCount{ready: 1}
		}
	}
	for _, slice := range p.routes.Endpoints {
		key := slice.Namespace + "/" + slice.Labels[discoveryv1.LabelServiceName]
		n := out[key]
		for _, e := range slice.Endpoints {
			switch {
			case isReady(e):
				n.ready += len(e.Addresses)
			case e.Conditions.Terminating == nil || !*e.Conditions.Terminating:
				n.waiting += len(e.Addresses)
			}
		}
		out[key] = n
	}
	return out
}
