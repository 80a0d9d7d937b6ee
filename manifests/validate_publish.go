package manifests

import (
	"iter"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Node ports are from this range, upstream's default (--service-node-port-range).
const (
	FirstNodePort = 30000
	LastNodePort  = 32767
)

// kubeletPort is upstream's ports.KubeletPort, which no load balancer may open.
const kubeletPort = 10250

// trafficPolicies follows upstream's validateServiceExternalTrafficPolicy, -InternalTrafficFieldsValue and
// -TrafficDistribution.
func (c check) trafficPolicies(path *field.Path, spec *corev1.ServiceSpec) {
	external := path.Child("externalTrafficPolicy")
	oneOf(c, external, spec.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal)
	if spec.ExternalTrafficPolicy != "" && !isPublished(spec) {
		c.add(external, "must only be set for a Service of type NodePort or LoadBalancer")
	}
	if policy := spec.InternalTrafficPolicy; policy != nil {
		oneOf(c, path.Child("internalTrafficPolicy"), *policy, corev1.ServiceInternalTrafficPolicyCluster, corev1.ServiceInternalTrafficPolicyLocal)
	}
	if to := spec.TrafficDistribution; to != nil {
		oneOf(c, path.Child("trafficDistribution"), *to, corev1.ServiceTrafficDistributionPreferClose,
			corev1.ServiceTrafficDistributionPreferSameZone, corev1.ServiceTrafficDistributionPreferSameNode)
	}
	health := path.Child("healthCheckNodePort")
	switch needed := spec.Type == corev1.ServiceTypeLoadBalancer && spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal; {
	case spec.HealthCheckNodePort == 0:
	case !needed:
		c.add(health, "must only be set for a Service of type LoadBalancer with externalTrafficPolicy Local")
	default:
		c.port(health, spec.HealthCheckNodePort)
	}
}

// nodePorts are those that are asked for. That they are in the range is asked by upstream's port allocator.
func (c check) nodePorts(path *field.Path, spec *corev1.ServiceSpec) {
	seen := map[hostPort]bool{}
	for i, p := range spec.Ports {
		at := path.Index(i).Child("nodePort")
		key := hostPort{protocol: p.Protocol, port: p.NodePort}
		switch {
		case p.NodePort == 0:
			continue
		case spec.Type == corev1.ServiceTypeClusterIP:
			c.add(at, "must not be set for a Service of type ClusterIP")
		case spec.Type == corev1.ServiceTypeExternalName:
			c.warn(at, "is ignored: a Service of type ExternalName has no ports on the host")
		case p.NodePort < FirstNodePort || p.NodePort > LastNodePort:
			c.add(at, "must be from %d to %d", FirstNodePort, LastNodePort)
		case seen[key]:
			c.add(at, "node port %d/%s is there twice", p.NodePort, p.Protocol)
		}
		seen[key] = true
	}
}

// loadBalancer checks the fields that only a Service of that type has.
func (c check) loadBalancer(path *field.Path, s *corev1.Service) {
	spec := &s.Spec
	c.sourceRanges(path, s)
	if class := spec.LoadBalancerClass; class != nil {
		c.all(path.Child("loadBalancerClass"), validation.IsQualifiedName(*class))
	}
	if spec.Type == corev1.ServiceTypeLoadBalancer {
		for i, p := range spec.Ports {
			if p.Port == kubeletPort {
				c.add(path.Child("ports").Index(i).Child("port"), "must not be %d for a Service of type LoadBalancer: in a cluster that is the kubelet's", kubeletPort)
			}
		}
		return
	}
	const onlyLoadBalancer = "must only be set for a Service of type LoadBalancer"
	if spec.LoadBalancerClass != nil {
		c.add(path.Child("loadBalancerClass"), onlyLoadBalancer)
	}
	if spec.AllocateLoadBalancerNodePorts != nil {
		c.add(path.Child("allocateLoadBalancerNodePorts"), onlyLoadBalancer)
	}
}

// sourceRanges checks from where clients may connect. The publication is one of IPv4; were ranges of IPv6 alone left out,
// anybody could connect.
func (c check) sourceRanges(path *field.Path, s *corev1.Service) {
	at, texts := sourceRangesOf(s)
	if at == nil {
		return
	}
	if s.Spec.Type != corev1.ServiceTypeLoadBalancer {
		c.add(at, "must only be set for a Service of type LoadBalancer")
	}
	four, bad := 0, false
	for i, text := range texts {
		one := at
		if len(s.Spec.LoadBalancerSourceRanges) > 0 {
			one = at.Index(i)
		}
		switch prefix, err := netip.ParsePrefix(text); {
		case err != nil:
			bad = true
			c.add(one, "must be a range of addresses, as 10.0.0.0/8")
		case !prefix.Addr().Is4():
			c.warn(one, "is left out: addresses are IPv4")
		default:
			four++
		}
	}
	if len(texts) > 0 && four == 0 && !bad {
		c.add(at, "not supported yet: addresses are IPv4, and no client has one in these ranges; add a range of IPv4")
	}
}

// sourceRangesOf reads upstream's two forms: the field, and else the annotation. The path is nil if there is neither.
func sourceRangesOf(s *corev1.Service) (at *field.Path, texts []string) {
	texts = s.Spec.LoadBalancerSourceRanges
	annotation, annotated := s.Annotations[corev1.AnnotationLoadBalancerSourceRangesKey]
	switch {
	case len(texts) > 0:
		at = field.NewPath("spec", "loadBalancerSourceRanges")
	case !annotated:
		return nil, nil
	default:
		at = field.NewPath("metadata", "annotations").Key(corev1.AnnotationLoadBalancerSourceRangesKey)
		if strings.TrimSpace(annotation) != "" {
			texts = strings.Split(annotation, ",")
		}
	}
	trimmed := make([]string, len(texts))
	for i, text := range texts {
		trimmed[i] = strings.TrimSpace(text)
	}
	return at, trimmed
}

// SourceRanges are the CIDRs of IPv4 from which clients may connect to a load balancer; none means from anywhere. Upstream:
// GetLoadBalancerSourceRanges (k8s.io/cloud-provider/service/helpers).
func SourceRanges(s *corev1.Service) []string {
	var out []string
	_, texts := sourceRangesOf(s)
	for _, text := range texts {
		if prefix, err := netip.ParsePrefix(text); err == nil && prefix.Addr().Is4() {
			out = append(out, prefix.Masked().String())
		}
	}
	return out
}

// askedPorts are the ports of the host that Services ask for by number, each with who does so first: node ports by their number,
// as a cluster has them, and all that is published by the port of the host.
type askedPorts struct {
	nodePorts map[int32]asker
	published map[hostPort]asker
}

type asker struct {
	object *Object
	path   *field.Path
}

func (a asker) String() string {
	return a.object.Ref.String() + " (" + a.object.positionOf(a.path.String()).String() + ")"
}

func newAskedPorts(set *Set) askedPorts {
	asked := askedPorts{map[int32]asker{}, map[hostPort]asker{}}
	for _, o := range set.Objects {
		if s, is := o.Value.(*corev1.Service); is {
			for key, path := range askedBy(&s.Spec) {
				asked.note(o, key, path)
			}
		}
	}
	return asked
}

// askedBy lists the ports of the host that a Service asks for by number, with the fields that do.
func askedBy(spec *corev1.ServiceSpec) iter.Seq2[hostPort, *field.Path] {
	return func(yield func(hostPort, *field.Path) bool) {
		for i, p := range spec.Ports {
			at := field.NewPath("spec", "ports").Index(i)
			if spec.Type == corev1.ServiceTypeLoadBalancer && !yield(hostPort{protocol: p.Protocol, port: p.Port}, at.Child("port")) {
				return
			}
			if isPublished(spec) && p.NodePort != 0 && !yield(hostPort{protocol: p.Protocol, port: p.NodePort}, at.Child("nodePort")) {
				return
			}
		}
	}
}

func (a askedPorts) note(o *Object, key hostPort, path *field.Path) {
	if _, taken := a.published[key]; !taken {
		a.published[key] = asker{o, path}
	}
	if _, taken := a.nodePorts[key.port]; !taken && isNodePort(path) {
		a.nodePorts[key.port] = asker{o, path}
	}
}

func isNodePort(path *field.Path) bool { return strings.HasSuffix(path.String(), ".nodePort") }

// sharedPorts finds what is asked for twice: a cluster has each node port for one Service, whatever the protocol; and this host
// has each port once, where a cluster would give each load balancer an address of its own.
func (c check) sharedPorts(asked askedPorts) {
	s, is := c.object.Value.(*corev1.Service)
	if !is {
		return
	}
	for key, path := range askedBy(&s.Spec) {
		first := asked.published[key]
		switch by := asked.nodePorts[key.port]; {
		case isNodePort(path) && by.object != c.object:
			c.add(path, "node port %d is asked for by %s already: choose another, or leave it out to have one chosen", key.port, by)
		case first.object != c.object:
			c.warn(path, "port %d/%s of the host is asked for by %s as well: only one of them is published", key.port, key.protocol, first)
		case first.path.String() != path.String() && isNodePort(first.path) != isNodePort(path):
			c.add(path, "port %d/%s of the host is asked for by %s of this Service, too", key.port, key.protocol, first.path)
		}
	}
}
