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
		if p.probe != nil {
			c.probe(path.Child(p.name), p.probe, container.Ports, p.name == "readinessProbe")
		}
	}
}

// probe follows upstream's validateLivenessProbe, validateReadinessProbe and validateStartupProbe.
func (c check) probe(path *field.Path, p *corev1.Probe, ports []corev1.ContainerPort, readiness bool) {
	if count(p.Exec != nil, p.HTTPGet != nil, p.TCPSocket != nil, p.GRPC != nil) != 1 {
		c.add(path, "must have exactly one of exec, httpGet, tcpSocket and grpc")
	}
	c.handler(path, p.Exec, p.HTTPGet, p.TCPSocket, ports)
	if p.GRPC != nil {
		c.port(path.Child("grpc", "port"), p.GRPC.Port)
	}
	c.timings(path, p)
	if !readiness && p.SuccessThreshold > 1 {
		c.add(path.Child("successThreshold"), "must be 1")
	}
	if grace := p.TerminationGracePeriodSeconds; grace != nil && *grace <= 0 && !readiness {
		c.add(path.Child("terminationGracePeriodSeconds"), "must be greater than 0")
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

// handler is what probes and lifecycle hooks have in common.
func (c check) handler(path *field.Path, exec *corev1.ExecAction, get *corev1.HTTPGetAction, tcp *corev1.TCPSocketAction, ports []corev1.ContainerPort) {
	if exec != nil && len(exec.Command) == 0 {
		c.add(path.Child("exec", "command"), "is missing")
	}
	if tcp != nil {
		c.portRef(path.Child("tcpSocket", "port"), tcp.Port, ports)
	}
	if get == nil {
		return
	}
	at := path.Child("httpGet")
	c.portRef(at.Child("port"), get.Port, ports)
	oneOf(c, at.Child("scheme"), get.Scheme, corev1.URISchemeHTTP, corev1.URISchemeHTTPS)
	for i, header := range get.HTTPHeaders {
		c.all(at.Child("httpHeaders").Index(i).Child("name"), validation.IsHTTPHeaderName(header.Name))
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
