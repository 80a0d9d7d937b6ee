package manifests

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Bounds of upstream (pkg/apis/discovery/validation).
const (
	maxEndpoints         = 1000
	maxEndpointAddresses = 100
	maxEndpointPorts     = 20000
)

// endpointAddress follows upstream's ValidateEndpointIP (pkg/apis/core/validation).
func (c check) endpointAddress(path *field.Path, address string) {
	ip, err := netip.ParseAddr(address)
	switch {
	case err != nil:
		c.add(path, "must be an IPv4 address")
	case !ip.Is4():
		c.add(path, "%s", onlyIPv4)
	case ip.IsUnspecified():
		c.add(path, "must not be the unspecified address (0.0.0.0)")
	case ip.IsLoopback():
		c.add(path, "must not be in the loopback range (127.0.0.0/8): name the host by its address on the network")
	case ip.IsLinkLocalUnicast():
		c.add(path, "must not be in the link-local range (169.254.0.0/16)")
	case ip.IsLinkLocalMulticast():
		c.add(path, "must not be in the link-local multicast range (224.0.0.0/24)")
	}
}

// endpoints follows upstream's validateEndpointSubsets (pkg/apis/core/validation).
func (c check) endpoints(e *Endpoints) {
	for i := range e.Subsets {
		subset, at := &e.Subsets[i], field.NewPath("subsets").Index(i)
		if len(subset.Addresses) == 0 && len(subset.NotReadyAddresses) == 0 {
			c.add(at, "must have addresses or notReadyAddresses")
		}
		c.subsetAddresses(at.Child("addresses"), subset.Addresses)
		c.subsetAddresses(at.Child("notReadyAddresses"), subset.NotReadyAddresses)
		name := c.unique("port")
		for j, port := range subset.Ports {
			if port.Name == "" && len(subset.Ports) > 1 {
				c.add(at.Child("ports").Index(j).Child("name"), "is missing: with several ports each needs a name")
			}
			name(at.Child("ports").Index(j).Child("name"), port.Name)
			c.endpointPort(at.Child("ports").Index(j), port.Name, port.Protocol, &port.Port, port.AppProtocol)
		}
	}
}

func (c check) subsetAddresses(path *field.Path, addresses []corev1.EndpointAddress) {
	for i, a := range addresses {
		c.endpointAddress(path.Index(i).Child("ip"), a.IP)
		if a.Hostname != "" {
			c.all(path.Index(i).Child("hostname"), validation.IsDNS1123Label(a.Hostname))
		}
	}
}

// endpointSlice follows upstream's ValidateEndpointSlice (pkg/apis/discovery/validation).
func (c check) endpointSlice(s *discoveryv1.EndpointSlice) {
	at := field.NewPath("addressType")
	if s.AddressType == "" {
		c.add(at, "is missing: use IPv4")
	}
	oneOf(c, at, s.AddressType, discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6, discoveryv1.AddressTypeFQDN)
	if s.AddressType != discoveryv1.AddressTypeIPv4 {
		return // said of the type
	}
	c.atMost(field.NewPath("endpoints"), len(s.Endpoints), maxEndpoints)
	for i := range s.Endpoints {
		c.sliceEndpoint(field.NewPath("endpoints").Index(i), &s.Endpoints[i])
	}
	c.slicePorts(field.NewPath("ports"), s.Ports)
}

func (c check) sliceEndpoint(path *field.Path, e *discoveryv1.Endpoint) {
	at := path.Child("addresses")
	if len(e.Addresses) == 0 {
		c.add(at, "at least one is required")
	}
	c.atMost(at, len(e.Addresses), maxEndpointAddresses)
	for i, address := range e.Addresses {
		c.endpointAddress(at.Index(i), address)
	}
	if e.Hostname != nil {
		c.all(path.Child("hostname"), validation.IsDNS1123Label(*e.Hostname))
	}
}

// slicePorts: a port without a number means all of them, of which kube-proxy makes nothing either.
func (c check) slicePorts(path *field.Path, ports []discoveryv1.EndpointPort) {
	c.atMost(path, len(ports), maxEndpointPorts)
	seen := map[string]bool{}
	for i, port := range ports {
		at := path.Index(i)
		if seen[*port.Name] {
			c.add(at.Child("name"), "port %q is there twice", *port.Name)
		}
		seen[*port.Name] = true
		if port.Port == nil {
			c.warn(at.Child("port"), "without a number nothing is forwarded, as in a cluster")
		}
		c.endpointPort(at, *port.Name, *port.Protocol, port.Port, port.AppProtocol)
	}
}

func (c check) endpointPort(path *field.Path, name string, protocol corev1.Protocol, port *int32, appProtocol *string) {
	if name != "" {
		c.all(path.Child("name"), validation.IsDNS1123Label(name))
	}
	oneOf(c, path.Child("protocol"), protocol, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)
	if port != nil {
		c.port(path.Child("port"), *port)
	}
	if appProtocol != nil {
		c.all(path.Child("appProtocol"), validation.IsQualifiedName(*appProtocol))
	}
}

func (c check) atMost(path *field.Path, n, limit int) {
	if n > limit {
		c.add(path, "must not be more than %d", limit)
	}
}

// serviceOfEndpoints looks for the Service that Endpoints are of. In a cluster it may be missing, too.
func (r resolver) serviceOfEndpoints(e *Endpoints) {
	at := field.NewPath("metadata", "name")
	service := r.service(e.Name)
	switch {
	case e.Labels[discoveryv1.LabelSkipMirror] == "true":
		r.warn(field.NewPath("metadata", "labels").Key(discoveryv1.LabelSkipMirror), "these Endpoints are endpoints of nothing, as in a cluster: EndpointSlices take their place")
	case service == nil:
		r.warn(at, "Service %s/%s is not in the commit: nothing leads to these Endpoints", e.Namespace, e.Name)
	case !IsMirrored(e, service):
		r.warn(at, "Service %s/%s has endpoints of its own, from its selector or its type: these are not used", e.Namespace, e.Name)
	}
}

// serviceOfSlice looks for the Service that a slice is of.
func (r resolver) serviceOfSlice(s *discoveryv1.EndpointSlice) {
	labels := field.NewPath("metadata", "labels")
	name := s.Labels[discoveryv1.LabelServiceName]
	switch {
	case name == "":
		r.warn(labels, "the label %s is missing: nothing leads to these endpoints", discoveryv1.LabelServiceName)
	case r.service(name) == nil:
		r.warn(labels.Key(discoveryv1.LabelServiceName), "Service %s/%s is not in the commit: nothing leads to these endpoints", s.Namespace, name)
	case !IsCustom(s):
		r.warn(labels.Key(discoveryv1.LabelManagedBy), "these endpoints are not used: a controller of a cluster made the slice, and Podyard makes its own")
	}
}

// service is one of the commit in the object's namespace, or nil.
func (r resolver) service(name string) *corev1.Service {
	if o := r.set.Find("Service", r.object.Namespace, name); o != nil {
		service, _ := o.Value.(*corev1.Service)
		return service
	}
	return nil
}
