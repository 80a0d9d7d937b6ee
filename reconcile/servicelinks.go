package reconcile

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

// serviceLinks are the variables of the Services that have an address, sorted by the Services' names. Upstream: FromServices
// (pkg/kubelet/envvars/envvars.go).
func serviceLinks(services []*corev1.Service, namespace string) []runtime.EnvVar {
	own := slices.DeleteFunc(slices.Clone(services), func(s *corev1.Service) bool {
		return s.Namespace != namespace || s.Spec.ClusterIP == "" || s.Spec.ClusterIP == corev1.ClusterIPNone || len(s.Spec.Ports) == 0
	})
	slices.SortFunc(own, func(a, b *corev1.Service) int { return cmp.Compare(a.Name, b.Name) })
	var out []runtime.EnvVar
	for _, s := range own {
		out = append(out, addressLinks(s)...)
		out = append(out, portLinks(s)...)
	}
	return out
}

// addressLinks are {NAME}_SERVICE_HOST, {NAME}_SERVICE_PORT of the first port, and {NAME}_SERVICE_PORT_{PORT} of each that has a
// name.
func addressLinks(s *corev1.Service) []runtime.EnvVar {
	prefix := variableName(s.Name)
	out := []runtime.EnvVar{
		{Name: prefix + "_SERVICE_HOST", Value: s.Spec.ClusterIP},
		{Name: prefix + "_SERVICE_PORT", Value: strconv.Itoa(int(s.Spec.Ports[0].Port))},
	}
	for _, p := range s.Spec.Ports {
		if p.Name != "" {
			out = append(out, runtime.EnvVar{Name: prefix + "_SERVICE_PORT_" + variableName(p.Name), Value: strconv.Itoa(int(p.Port))})
		}
	}
	return out
}

// portLinks are those that Docker's links had: {NAME}_PORT of the first port, and four of each.
func portLinks(s *corev1.Service) (out []runtime.EnvVar) {
	prefix := variableName(s.Name)
	for i, p := range s.Spec.Ports {
		protocol, port := string(cmp.Or(p.Protocol, corev1.ProtocolTCP)), strconv.Itoa(int(p.Port))
		url := fmt.Sprintf("%s://%s", strings.ToLower(protocol), net.JoinHostPort(s.Spec.ClusterIP, port))
		if i == 0 {
			out = append(out, runtime.EnvVar{Name: prefix + "_PORT", Value: url})
		}
		own := fmt.Sprintf("%s_PORT_%s_%s", prefix, port, strings.ToUpper(protocol))
		out = append(out,
			runtime.EnvVar{Name: own, Value: url},
			runtime.EnvVar{Name: own + "_PROTO", Value: strings.ToLower(protocol)},
			runtime.EnvVar{Name: own + "_PORT", Value: port},
			runtime.EnvVar{Name: own + "_ADDR", Value: s.Spec.ClusterIP})
	}
	return out
}

// variableName is upstream's makeEnvVariableName.
func variableName(name string) string { return strings.ToUpper(strings.ReplaceAll(name, "-", "_")) }
