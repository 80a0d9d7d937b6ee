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

// service follows upstream's ValidateService.
func (c check) service(path *field.Path, spec *corev1.ServiceSpec) {
	oneOf(c, path.Child("type"), spec.Type, corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeExternalName)
	oneOf(c, path.Child("sessionAffinity"), spec.SessionAffinity, corev1.ServiceAffinityNone, corev1.ServiceAffinityClientIP)
	for _, key := range slices.Sorted(maps.Keys(spec.Selector)) {
		at := path.Child("selector").Key(key)
		c.all(at, validation.IsQualifiedName(key))
		c.all(at, validation.IsValidLabelValue(spec.Selector[key]))
	}
	c.clusterIP(path, spec)
	c.servicePorts(path.Child("ports"), spec)
}

func (c check) clusterIP(path *field.Path, spec *corev1.ServiceSpec) {
	at := path.Child("clusterIP")
	switch spec.ClusterIP {
	case "":
	case corev1.ClusterIPNone:
		if spec.Type == corev1.ServiceTypeNodePort || spec.Type == corev1.ServiceTypeLoadBalancer {
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
