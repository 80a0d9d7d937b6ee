package manifests

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// defaultService is upstream's SetDefaults_Service, but that it keeps a sessionAffinityConfig without affinity, for
// validation to warn of.
func defaultService(s *corev1.Service) {
	spec := &s.Spec
	fill(defaults{}, &spec.Type, corev1.ServiceTypeClusterIP)
	defaultAffinity(spec)
	for i := range spec.Ports {
		p := &spec.Ports[i]
		fill(defaults{}, &p.Protocol, corev1.ProtocolTCP)
		if p.TargetPort == (intstr.IntOrString{}) || p.TargetPort == intstr.FromString("") {
			p.TargetPort = intstr.FromInt32(p.Port)
		}
	}
	if isPublished(spec) {
		fill(defaults{}, &spec.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster)
	}
	if spec.Type != corev1.ServiceTypeExternalName {
		point(defaults{}, &spec.InternalTrafficPolicy, corev1.ServiceInternalTrafficPolicyCluster)
	}
	if spec.Type == corev1.ServiceTypeLoadBalancer {
		point(defaults{}, &spec.AllocateLoadBalancerNodePorts, true)
	}
}

func defaultAffinity(spec *corev1.ServiceSpec) {
	fill(defaults{}, &spec.SessionAffinity, corev1.ServiceAffinityNone)
	if spec.SessionAffinity != corev1.ServiceAffinityClientIP {
		return
	}
	empty(defaults{}, &spec.SessionAffinityConfig)
	empty(defaults{}, &spec.SessionAffinityConfig.ClientIP)
	point(defaults{}, &spec.SessionAffinityConfig.ClientIP.TimeoutSeconds, corev1.DefaultClientIPServiceAffinitySeconds)
}

// isPublished tells the Services that ask for ports of the host; upstream's ExternallyAccessible (pkg/apis/core/v1/helper),
// for externalIPs are refused.
func isPublished(spec *corev1.ServiceSpec) bool {
	return spec.Type == corev1.ServiceTypeNodePort || spec.Type == corev1.ServiceTypeLoadBalancer
}
