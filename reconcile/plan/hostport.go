package plan

import (
	"iter"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

// hostPort is a port of the host and who has it.
type hostPort struct {
	corev1.ContainerPort
	holder *podView
	owner  ownerKey
}

// takenPorts is upstream's plugin NodePorts, PodFitsHostPorts of old.
func (p *planner) takenPorts(pod *corev1.Pod, owner ownerKey, withoutOwn bool) *obstacle {
	for want := range hostPorts(&pod.Spec) {
		if o := p.publishedPort(pod, want); o != nil {
			return o
		}
		for _, held := range p.ports[want.HostPort] {
			if withoutOwn && held.owner == owner || !collide(want, held.ContainerPort) {
				continue
			}
			o := unfit("1 node(s) didn't have free ports for the requested pod ports").
				meaning("port %d/%s of the host is taken by pod %s%s", want.HostPort, want.Protocol, held.holder.ref(), advice(pod, owner, held))
			o.passing = held.holder.deleted
			return o
		}
	}
	return nil
}

// publishedPort: a Service that has a port keeps it, unless its manifest does not ask for it any more.
func (p *planner) publishedPort(pod *corev1.Pod, want corev1.ContainerPort) *obstacle {
	key := hostKey{want.Protocol, want.HostPort}
	for _, have := range p.observed.Publications {
		if !mayBeOpen(have) || !hasPort(have.Ports, key) {
			continue
		}
		o := unfit("1 node(s) didn't have free ports for the requested pod ports")
		name := PublicationName(have.Namespace, have.Name)
		if p.keepsOpen(have, key) {
			return o.meaning("port %s of the host is published for %s; choose another hostPort, or take that one out of the commit", key, name)
		}
		p.awaited[key], o.passing = pod.Namespace+"/"+pod.Name, true
		return o.meaning("port %s of the host is still published for %s", key, name)
	}
	return nil
}

// keepsOpen tells whether a port stays published, as far as the commit says.
func (p *planner) keepsOpen(have runtime.Published, key hostKey) bool {
	s, _ := p.find("Service", have.Namespace, have.Name).(*corev1.Service)
	switch {
	case have.Namespace == "":
		wanted := p.ingressPublications()
		return len(wanted) > 0 && wanted[0].wants(key)
	case s == nil:
		return p.keepsPublication(have)
	case p.laterServices()[serviceKey(s)]:
		return true
	}
	return hasPort(p.publicationOf(s, "").Ports, key)
}

// advice is what to do about a port that another pod of the same owner holds. Upstream's scheduler would let the pod wait
// for ever: so do we, and say so.
func advice(pod *corev1.Pod, owner ownerKey, held hostPort) string {
	switch {
	case held.holder.deleted:
		return ", which is being stopped"
	case held.owner != owner || owner.kind != "Deployment":
		return ""
	case held.holder.Manifest.Labels[templateHashLabel] == pod.Labels[templateHashLabel]:
		return ": on one host only one replica can have it"
	default:
		return ", the old one: with strategy Recreate, or with maxSurge 0, it goes first"
	}
}

// hostPorts lists the ports of the host that a pod asks for; those of a pod on the host's network are among them, for
// their hostPort is filled in. Of init containers, only sidecars count, as upstream.
func hostPorts(spec *corev1.PodSpec) iter.Seq[corev1.ContainerPort] {
	return func(yield func(corev1.ContainerPort) bool) {
		for c := range serving(spec) {
			for _, port := range c.Ports {
				if port.HostPort != 0 && !yield(port) {
					return
				}
			}
		}
	}
}

// collide tells whether two pods cannot have their ports together: an address that is not given is every address.
func collide(a, b corev1.ContainerPort) bool {
	every := func(ip string) bool { return ip == "" || ip == "0.0.0.0" || ip == "::" }
	return a.HostPort == b.HostPort && a.Protocol == b.Protocol && (a.HostIP == b.HostIP || every(a.HostIP) || every(b.HostIP))
}
