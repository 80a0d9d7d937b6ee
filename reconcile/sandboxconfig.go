package reconcile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"

	"github.com/podyard/podyard/runtime"
)

// clusterDomain ends every Service's name.
const clusterDomain = "cluster.local"

// sandboxConfig says what the containers of a pod share. Upstream: generatePodSandboxConfig
// (pkg/kubelet/kuberuntime/kuberuntime_sandbox.go).
func (o origin) sandboxConfig(pod *corev1.Pod) (runtime.SandboxConfig, error) {
	config := runtime.SandboxConfig{
		Pod: pod, RuntimeHandler: o.runtimeHandler(pod), Ports: hostPorts(pod),
		Search: []string{pod.Namespace + ".svc." + clusterDomain, "svc." + clusterDomain, clusterDomain},
	}
	var err error
	if config.Hostname, config.Domain, err = hostnames(pod); err != nil {
		return config, failed(failedCreatePodSandBox, "", err)
	}
	for i := range pod.Spec.Volumes {
		volume, err := o.volume(pod, &pod.Spec.Volumes[i])
		if err != nil {
			return config, failed(failedMount, "", err)
		}
		config.Volumes = append(config.Volumes, volume)
	}
	return config, nil
}

// hostnames are the name inside the pod and the domain behind it. With setHostnameAsFQDN the name is both. A pod in the
// host's network has the host's name. Upstream: GeneratePodHostNameAndDomain (pkg/kubelet/kubelet_pods.go) and
// GetNodenameForKernel (pkg/kubelet/util).
func hostnames(pod *corev1.Pod) (hostname, domain string, err error) {
	spec := &pod.Spec
	switch {
	case spec.HostNetwork:
		return "", "", nil
	case spec.HostnameOverride != nil:
		return shorten(*spec.HostnameOverride), "", nil
	}
	hostname = shorten(cmp.Or(spec.Hostname, pod.Name))
	if spec.Subdomain == "" {
		return hostname, "", nil
	}
	domain = fmt.Sprintf("%s.%s.svc.%s", spec.Subdomain, pod.Namespace, clusterDomain)
	if !isTrue(spec.SetHostnameAsFQDN) {
		return hostname, domain, nil
	}
	fqdn := hostname + "." + domain
	if len(fqdn) > maxNodename {
		return "", "", fmt.Errorf("setHostnameAsFQDN: the name %s has %d characters, Linux allows %d: give the pod a shorter hostname or subdomain",
			fqdn, len(fqdn), maxNodename)
	}
	return fqdn, "", nil
}

// maxNodename is what uname(2) can hold.
const maxNodename = 64

// shorten cuts a host name to the 63 characters that Linux allows.
func shorten(name string) string { return strings.TrimRight(name[:min(len(name), 63)], "-.") }

// runtimeHandler is the engine's runtime for a pod's class, if the engine has it. A class that the commit does not hold
// may be the runtime's own name.
func (o origin) runtimeHandler(pod *corev1.Pod) string {
	if pod.Spec.RuntimeClassName == nil {
		return ""
	}
	handler := *pod.Spec.RuntimeClassName
	if object := o.set.Find("RuntimeClass", "", handler); object != nil {
		if class, ok := object.Value.(*nodev1.RuntimeClass); ok {
			handler = class.Handler
		}
	}
	if !slices.Contains(o.state.Runtimes, handler) {
		return ""
	}
	return handler
}

// hostPorts are what is published on the host. In the host's network the program listens there itself.
func hostPorts(pod *corev1.Pod) []corev1.ContainerPort {
	var out []corev1.ContainerPort
	if pod.Spec.HostNetwork {
		return nil
	}
	add := func(c *corev1.Container) {
		for _, port := range c.Ports {
			if port.HostPort != 0 {
				out = append(out, port)
			}
		}
	}
	for i := range pod.Spec.InitContainers {
		if isSidecar(&pod.Spec.InitContainers[i]) {
			add(&pod.Spec.InitContainers[i])
		}
	}
	for i := range pod.Spec.Containers {
		add(&pod.Spec.Containers[i])
	}
	return out
}
