package manifests

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// service follows upstream's ValidateService, and GetWarningsForService (pkg/api/service/warnings.go).
func (c check) service(path *field.Path, s *corev1.Service) {
	spec := &s.Spec
	oneOf(c, path.Child("type"), spec.Type, corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeExternalName)
	for _, key := range slices.Sorted(maps.Keys(spec.Selector)) {
		at := path.Child("selector").Key(key)
		c.all(at, validation.IsQualifiedName(key))
		c.all(at, validation.IsValidLabelValue(spec.Selector[key]))
	}
	c.servicePorts(path.Child("ports"), spec)
	c.affinity(path, spec)
	c.families(path, spec)
	c.externalName(path, spec)
	if spec.Type != corev1.ServiceTypeExternalName {
		c.clusterIP(path, spec)
	}
	c.trafficPolicies(path, spec)
	c.nodePorts(path.Child("ports"), spec)
	c.loadBalancer(path, s)
}

func (c check) clusterIP(path *field.Path, spec *corev1.ServiceSpec) {
	at := path.Child("clusterIP")
	switch spec.ClusterIP {
	case "":
	case corev1.ClusterIPNone:
		if isPublished(spec) {
			c.add(at, "must not be None for a Service of type %s", spec.Type)
		}
	default:
		if ip, err := netip.ParseAddr(spec.ClusterIP); err != nil || !ip.Is4() {
			c.add(at, "must be None or an IPv4 address")
		}
	}
	if n := len(spec.ClusterIPs); n > 1 || n == 1 && spec.ClusterIPs[0] != spec.ClusterIP {
		c.add(path.Child("clusterIPs"), "must hold the same single address as clusterIP")
	}
}

func (c check) servicePorts(path *field.Path, spec *corev1.ServiceSpec) {
	if len(spec.Ports) == 0 && spec.ClusterIP != corev1.ClusterIPNone && spec.Type != corev1.ServiceTypeExternalName {
		c.add(path, "at least one port is required, except for a headless Service")
	}
	name, number := c.unique("port"), c.unique("port")
	for i, p := range spec.Ports {
		at := path.Index(i)
		switch {
		case p.Name != "":
			c.all(at.Child("name"), validation.IsDNS1123Label(p.Name))
		case len(spec.Ports) > 1:
			c.add(at.Child("name"), "is missing: with several ports each needs a name")
		}
		name(at.Child("name"), p.Name)
		c.port(at.Child("port"), p.Port)
		number(at.Child("port"), fmt.Sprintf("%d/%s", p.Port, p.Protocol))
		oneOf(c, at.Child("protocol"), p.Protocol, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)
		c.targetPort(at.Child("targetPort"), p)
		if p.AppProtocol != nil {
			c.all(at.Child("appProtocol"), validation.IsQualifiedName(*p.AppProtocol))
		}
	}
}

// targetPort was filled in with the port where it is missing, and then says nothing new.
func (c check) targetPort(path *field.Path, p corev1.ServicePort) {
	switch {
	case p.TargetPort.Type == intstr.String:
		c.all(path, validation.IsValidPortName(p.TargetPort.StrVal))
	case p.TargetPort.IntVal != p.Port:
		c.port(path, p.TargetPort.IntVal)
	}
}

// maxAffinitySeconds is upstream's MaxClientIPServiceAffinitySeconds, a day.
const maxAffinitySeconds = 86400

// affinity follows upstream's validateClientIPAffinityConfig. Upstream drops a config that has nothing to configure.
func (c check) affinity(path *field.Path, spec *corev1.ServiceSpec) {
	oneOf(c, path.Child("sessionAffinity"), spec.SessionAffinity, corev1.ServiceAffinityNone, corev1.ServiceAffinityClientIP)
	at := path.Child("sessionAffinityConfig")
	switch {
	case spec.SessionAffinity == corev1.ServiceAffinityClientIP:
		if seconds := *spec.SessionAffinityConfig.ClientIP.TimeoutSeconds; seconds < 1 || seconds > maxAffinitySeconds {
			c.add(at.Child("clientIP", "timeoutSeconds"), "must be from 1 to %d", maxAffinitySeconds)
		}
		if spec.ClusterIP == corev1.ClusterIPNone {
			c.warn(path.Child("sessionAffinity"), "is ignored: a headless Service has no address that would spread connections")
		}
	case spec.SessionAffinityConfig != nil:
		c.warn(at, "is ignored: sessionAffinity is None")
	}
}

// families follows upstream's ValidateServiceClusterIPsRelatedFields on a cluster of IPv4 only.
func (c check) families(path *field.Path, spec *corev1.ServiceSpec) {
	twice := c.unique("family")
	for i, family := range spec.IPFamilies {
		at := path.Child("ipFamilies").Index(i)
		oneOf(c, at, family, corev1.IPv4Protocol, corev1.IPv6Protocol)
		twice(at, string(family))
	}
	if policy := spec.IPFamilyPolicy; policy != nil {
		oneOf(c, path.Child("ipFamilyPolicy"), *policy, corev1.IPFamilyPolicySingleStack, corev1.IPFamilyPolicyPreferDualStack, corev1.IPFamilyPolicyRequireDualStack)
	}
}

// externalName checks what a Service of that type must have and must not; its name may end with a dot.
func (c check) externalName(path *field.Path, spec *corev1.ServiceSpec) {
	at := path.Child("externalName")
	if spec.Type != corev1.ServiceTypeExternalName {
		if spec.ExternalName != "" {
			c.warn(at, "is ignored: the Service is not of type ExternalName")
		}
		return
	}
	for _, forbidden := range []struct {
		field string
		set   bool
	}{
		{"clusterIP", spec.ClusterIP != ""},
		{"clusterIPs", len(spec.ClusterIPs) > 0},
		{"ipFamilies", len(spec.IPFamilies) > 0},
		{"ipFamilyPolicy", spec.IPFamilyPolicy != nil},
	} {
		if forbidden.set {
			c.add(path.Child(forbidden.field), "must not be set for a Service of type ExternalName")
		}
	}
	c.target(at, spec.ExternalName)
	if len(spec.Selector) > 0 {
		c.warn(path.Child("selector"), "is ignored: a Service of type ExternalName has no pods")
	}
}

func (c check) target(path *field.Path, name string) {
	if _, err := netip.ParseAddr(name); err == nil {
		c.warn(path, "is an IP address, and is looked up as a name all the same, here and in a cluster: for an address, use a Service without selector and an EndpointSlice")
	}
	if n := len(name); n > 0 && name[n-1] == '.' {
		name = name[:n-1]
	}
	if name == "" {
		c.add(path, "is required for a Service of type ExternalName")
		return
	}
	c.all(path, validation.IsDNS1123Subdomain(name))
}
