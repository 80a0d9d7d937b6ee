package manifests

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (c check) probes(path *field.Path, container *corev1.Container) {
	for _, p := range []struct {
		name  string
		probe *corev1.Probe
	}{{"livenessProbe", container.LivenessProbe}, {"readinessProbe", container.ReadinessProbe}, {"startupProbe", container.StartupProbe}} {
		if p.probe == nil {
			continue
		}
		at := path.Child(p.name)
		c.handler(at, p.probe.ProbeHandler, container.Ports)
		c.timings(at, p.probe)
		if p.name != "readinessProbe" && p.probe.SuccessThreshold > 1 {
			c.add(at.Child("successThreshold"), "must be 1")
		}
	}
}

func (c check) timings(path *field.Path, p *corev1.Probe) {
	for _, timing := range []struct {
		name  string
		value int32
	}{
		{"initialDelaySeconds", p.InitialDelaySeconds}, {"timeoutSeconds", p.TimeoutSeconds}, {"periodSeconds", p.PeriodSeconds},
		{"successThreshold", p.SuccessThreshold}, {"failureThreshold", p.FailureThreshold},
	} {
		notNegative(c, path.Child(timing.name), &timing.value)
	}
}

func (c check) handler(path *field.Path, h corev1.ProbeHandler, ports []corev1.ContainerPort) {
	if count(h.Exec != nil, h.HTTPGet != nil, h.TCPSocket != nil, h.GRPC != nil) != 1 {
		c.add(path, "must have exactly one of exec, httpGet and tcpSocket")
	}
	if h.Exec != nil && len(h.Exec.Command) == 0 {
		c.add(path.Child("exec", "command"), "is missing")
	}
	if h.TCPSocket != nil {
		c.portRef(path.Child("tcpSocket", "port"), h.TCPSocket.Port, ports)
	}
	if h.HTTPGet != nil {
		at := path.Child("httpGet")
		c.portRef(at.Child("port"), h.HTTPGet.Port, ports)
		oneOf(c, at.Child("scheme"), h.HTTPGet.Scheme, corev1.URISchemeHTTP, corev1.URISchemeHTTPS)
		for i, header := range h.HTTPGet.HTTPHeaders {
			c.all(at.Child("httpHeaders").Index(i).Child("name"), validation.IsHTTPHeaderName(header.Name))
		}
	}
}

// portRef is a number or the name of one of the container's ports. Upstream lets a name that is not there pass and fails
// every probe.
func (c check) portRef(path *field.Path, port intstr.IntOrString, ports []corev1.ContainerPort) {
	if port.Type == intstr.Int {
		c.port(path, port.IntVal)
		return
	}
	if !slices.ContainsFunc(ports, func(p corev1.ContainerPort) bool { return p.Name == port.StrVal }) || port.StrVal == "" {
		c.add(path, "there is no port named %q in this container", port.StrVal)
	}
}
