package plan

import (
	"hash/fnv"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
)

// servicePort names a port of a Service.
type servicePort struct {
	service  string
	protocol corev1.Protocol
	port     int32
}

func servicePortOf(s *corev1.Service, p *corev1.ServicePort) servicePort {
	return servicePort{serviceKey(s), p.Protocol, p.Port}
}

// allotment is the node ports of a plan: which each port of a Service has, and which numbers are taken. As upstream's
// allocator (pkg/registry/core/service/portallocator) it gives a number to one Service only, whatever the protocol.
type allotment struct {
	ports map[servicePort]int32
	taken map[int32]bool
}

// nodePorts gives the ports of the commit's Services of type NodePort numbers, in this order: those asked for by nodePort, those
// in force now, and those derived from the names of Service and port, so that a lost history finds the same again. The next free
// number is taken where two names come to the same one. A port that cannot have any has no entry.
func (p *planner) nodePorts() map[servicePort]int32 {
	if p.allotted != nil {
		return p.allotted
	}
	services := servicesOf(p.desired, nil)
	a := allotment{map[servicePort]int32{}, map[int32]bool{}}
	a.askedFor(services)
	a.inForce(services, p.observed.Publications)
	a.exclude(p.busyPorts())
	for _, s := range services {
		a.derive(s)
	}
	p.allotted = a.ports
	return a.ports
}

// needsNodePorts tells the Services of which every port has a node port. A load balancer has only those that are asked for: an
// open port that nobody asked for would be one more way in.
func needsNodePorts(s *corev1.Service) bool { return s.Spec.Type == corev1.ServiceTypeNodePort }

func isLoadBalancer(s *corev1.Service) bool { return s.Spec.Type == corev1.ServiceTypeLoadBalancer }

func (a allotment) askedFor(services []*corev1.Service) {
	for _, s := range services {
		for i := range s.Spec.Ports {
			port := &s.Spec.Ports[i]
			if port.NodePort != 0 && (needsNodePorts(s) || isLoadBalancer(s)) {
				a.ports[servicePortOf(s, port)], a.taken[port.NodePort] = port.NodePort, true
			}
			if isLoadBalancer(s) {
				a.taken[port.Port] = true
			}
		}
	}
}

func (a allotment) inForce(services []*corev1.Service, publications []runtime.Published) {
	now := map[servicePort]int32{}
	for _, pub := range publications {
		for _, port := range pub.Ports {
			if inNodeRange(port.HostPort) {
				now[servicePort{pub.Namespace + "/" + pub.Name, port.Protocol, port.Port}] = port.HostPort
			}
		}
	}
	for _, s := range services {
		for i := range s.Spec.Ports {
			a.keep(s, &s.Spec.Ports[i], now)
		}
	}
}

func (a allotment) keep(s *corev1.Service, port *corev1.ServicePort, now map[servicePort]int32) {
	key := servicePortOf(s, port)
	number, there := now[key]
	if _, done := a.ports[key]; done || !there || !needsNodePorts(s) || a.taken[number] {
		return
	}
	a.ports[key], a.taken[number] = number, true
}

// exclude takes ports out that are the host's for another use.
func (a allotment) exclude(ports []int32) {
	for _, port := range ports {
		a.taken[port] = true
	}
}

// derive starts at the hash of the port's full name and takes the first free number.
func (a allotment) derive(s *corev1.Service) {
	if !needsNodePorts(s) {
		return
	}
	const size = manifests.LastNodePort - manifests.FirstNodePort + 1
	for i := range s.Spec.Ports {
		key := servicePortOf(s, &s.Spec.Ports[i])
		if _, done := a.ports[key]; done {
			continue
		}
		h := fnv.New32a()
		h.Write([]byte(serviceKey(s) + "/" + s.Spec.Ports[i].Name))
		for n := range uint32(size) {
			number := manifests.FirstNodePort + int32((h.Sum32()%size+n)%size)
			if !a.taken[number] {
				a.ports[key], a.taken[number] = number, true
				break
			}
		}
	}
}

func inNodeRange(port int32) bool {
	return port >= manifests.FirstNodePort && port <= manifests.LastNodePort
}

// busyPorts are those of the host that pods have or want, that the Ingresses are published at, and those of Services that have
// left the commit and are kept.
func (p *planner) busyPorts() []int32 {
	var out []int32
	for port := range p.ports {
		out = append(out, port)
	}
	for key := range p.hostPortsOfPods() {
		out = append(out, key.port)
	}
	for _, pub := range p.observed.Publications {
		if pub.Namespace != "" && !p.keepsPublication(pub) {
			continue
		}
		for _, port := range pub.Ports {
			out = append(out, port.HostPort)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// keepsPublication tells of a Service that left the commit and stays for good.
func (p *planner) keepsPublication(pub runtime.Published) bool {
	key := ownerKey{"Service", pub.Namespace, pub.Name}
	return !p.has(key) && p.policyWhenGone(key, nil).Prune == manifests.PruneDisabled
}
