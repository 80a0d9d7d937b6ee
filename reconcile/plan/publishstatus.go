package plan

import (
	"cmp"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podyard/podyard/manifests"
)

// Reasons why ports are not open, in upstream's words (pkg/registry/core/service/portallocator/controller, and
// k8s.io/cloud-provider/controllers/service for the last one). A runtime.Problem has the first if somebody has a port who is
// none of Podyard's.
const (
	PortAlreadyAllocated   = "PortAlreadyAllocated"
	portRangeFull          = "PortRangeFull"
	SyncLoadBalancerFailed = "SyncLoadBalancerFailed"
)

// tellPublished says in a Service's status where it is reached from outside: as status.loadBalancer and kubectl's columns do.
func (p *planner) tellPublished(service *corev1.Service, status *ObjectStatus) {
	b := p.publications[PublicationName(service.Namespace, service.Name)]
	if b != nil && b.have != nil && b.have.Running {
		status.Summary["published"] = publishedPorts(b.have.Ports)
	}
	if isLoadBalancer(service) {
		status.Summary["externalIP"] = "<pending>"
		if status.Summary["published"] != "" {
			status.Summary["externalIP"] = strings.Join(p.externalIPs(), ",")
		}
	}
}

// externalIPs are the addresses at which the host is reached; the one that pods see, if nobody knows another.
func (p *planner) externalIPs() []string {
	if len(p.observed.ExternalIPs) == 0 && p.observed.HostIP != "" {
		return []string{p.observed.HostIP}
	}
	return p.observed.ExternalIPs
}

// judgePublished is what a Service is whose ports are not as they should be.
func (p *planner) judgePublished(service *corev1.Service, status *ObjectStatus) {
	if lacking := p.withoutNodePort(service); lacking != "" {
		p.portsError(status, &hindrance{lasting: true, reason: portRangeFull, words: lacking})
		return
	}
	b := p.publications[PublicationName(service.Namespace, service.Name)]
	switch {
	case b == nil || b.inPlace():
	case b.hindrance != nil:
		p.portsError(status, b.hindrance)
	case p.problemAt(b) != nil:
		p.portsError(status, p.problemAt(b))
	default:
		status.Health, status.Message = Reconciling, "is being published at "+publishedPorts(b.want.Ports)
	}
}

// withoutNodePort names a port for which no number was left.
func (p *planner) withoutNodePort(s *corev1.Service) string {
	if !needsNodePorts(s) {
		return ""
	}
	for i := range s.Spec.Ports {
		if port := &s.Spec.Ports[i]; p.nodePorts()[servicePortOf(s, port)] == 0 {
			return fmt.Sprintf("no port from %d to %d is free for port %d/%s", manifests.FirstNodePort, manifests.LastNodePort, port.Port, port.Protocol)
		}
	}
	return ""
}

// problemAt is how the last attempt to publish ended.
func (p *planner) problemAt(b *publication) *hindrance {
	problem, failed := p.observed.Problems[b.name()]
	switch {
	case !failed:
		return nil
	case problem.Reason != PortAlreadyAllocated:
		return &hindrance{reason: SyncLoadBalancerFailed, words: problem.Message}
	}
	return &hindrance{lasting: true, words: fmt.Sprintf("port %s of the host is in use by %s; stop it, or choose another port",
		b.portIn(problem.Message), holderIn(problem.Message))}
}

// holderIn is who has a port, where an engine's error says "is taken by container nginx: …"; it knows programs only as such.
func holderIn(message string) string {
	_, holder, _ := strings.Cut(message, " is taken by ")
	holder, _, _ = strings.Cut(holder, ": ")
	if holder == "" || strings.HasPrefix(holder, "a program") {
		return "a program outside Podyard"
	}
	return holder
}

// portIn is the port of a publication that an error names; all of them if it names none.
func (b *publication) portIn(message string) string {
	all := make([]string, len(b.want.Ports))
	for i, port := range b.want.Ports {
		all[i] = keyOfPort(port).String()
		for _, word := range strings.FieldsFunc(message, func(r rune) bool { return r == ' ' || r == ':' || r == ',' }) {
			if strings.EqualFold(word, all[i]) {
				return all[i]
			}
		}
	}
	return strings.Join(all, " or ")
}

// portsError is upstream's condition for ports that a load balancer could not open. What may pass by itself is Reconciling for as
// long as a pod that cannot be placed is.
func (p *planner) portsError(status *ObjectStatus, h *hindrance) {
	status.Health, status.Message = Stalled, h.words
	if !h.lasting {
		status.Health = p.patience(&obstacle{passing: h.passing})
	}
	status.Conditions = append(status.Conditions, metav1.Condition{
		Type: corev1.LoadBalancerPortsError, Status: metav1.ConditionTrue, Reason: cmp.Or(h.reason, PortAlreadyAllocated), Message: h.words,
		LastTransitionTime: metav1.NewTime(p.desired.Since),
	})
}

// portList is as kubectl prints it: 80/TCP, and with its node port 80:30080/TCP.
func (p *planner) portList(s *corev1.Service) string {
	words := make([]string, len(s.Spec.Ports))
	for i := range s.Spec.Ports {
		port := &s.Spec.Ports[i]
		words[i] = fmt.Sprintf("%d/%s", port.Port, port.Protocol)
		if number := p.nodePorts()[servicePortOf(s, port)]; number != 0 {
			words[i] = fmt.Sprintf("%d:%d/%s", port.Port, number, port.Protocol)
		}
	}
	return strings.Join(words, ",")
}
