package manifests

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxHostname is how long Linux lets a host's name be (sethostname(2)).
const maxHostname = 64

// hostname checks all that names a pod's host. That a fully qualified name must fit is upstream's rule for a pod that is
// about to start (pkg/kubelet/kubelet_pods.go, truncatePodHostnameIfNeeded and GeneratePodHostNameAndDomain).
func (p podCheck) hostname(path *field.Path) {
	for _, label := range []struct{ name, value string }{{"hostname", p.spec.Hostname}, {"subdomain", p.spec.Subdomain}} {
		if label.value != "" {
			p.all(path.Child(label.name), validation.IsDNS1123Label(label.value))
		}
	}
	if override := p.spec.HostnameOverride; override != nil {
		p.hostnameOverride(path.Child("hostnameOverride"), *override)
	}
	host, subdomain := p.names()
	if !isTrue(p.spec.SetHostnameAsFQDN) || subdomain == "" {
		return
	}
	if name := fmt.Sprintf("%s.%s.%s.svc.cluster.local", host, subdomain, p.object.Namespace); len(name) > maxHostname {
		p.add(path.Child("setHostnameAsFQDN"), "the name %s is too long: a hostname has at most %d characters, this has %d", name, maxHostname, len(name))
	}
}

func (p podCheck) hostnameOverride(path *field.Path, name string) {
	p.all(path, validation.IsDNS1123Subdomain(name))
	if len(name) > maxHostname {
		p.add(path, "must be no more than %d characters", maxHostname)
	}
	if isTrue(p.spec.SetHostnameAsFQDN) {
		p.add(path, "must not be set when setHostnameAsFQDN is true")
	}
	if p.spec.HostNetwork {
		p.add(path, "must not be set when hostNetwork is true")
	}
}

// names are the hostname and the subdomain of the pod, or, where it is one of many, of one whose name is as long as any.
func (p podCheck) names() (host, subdomain string) {
	host, subdomain = p.spec.Hostname, p.spec.Subdomain
	if s, ok := p.object.Value.(*appsv1.StatefulSet); ok {
		return lastPod(s), s.Spec.ServiceName
	}
	if host == "" {
		host = p.podName()
		host = strings.TrimRight(host[:min(len(host), validation.DNS1123LabelMaxLength)], "-.")
	}
	return host, subdomain
}

// podName is the name of the pod, or one as long: the last five characters of those that are made are not known yet.
func (p podCheck) podName() string {
	switch v := p.object.Value.(type) {
	case *corev1.Pod:
		return v.Name
	case *appsv1.Deployment:
		return fmt.Sprintf("%s-%s-xxxxx", v.Name, TemplateHash(&v.Spec.Template))
	}
	return p.object.Name + "-xxxxx"
}

// Upstream's limits (pkg/apis/core/validation), which are those of libc.
const (
	maxNameservers = 3
	maxSearches    = 32
	maxSearchChars = 2048
)

// dns follows upstream's validatePodDNSConfig.
func (p podCheck) dns(path *field.Path) {
	oneOf(p.check, path.Child("dnsPolicy"), p.spec.DNSPolicy, corev1.DNSClusterFirst, corev1.DNSClusterFirstWithHostNet, corev1.DNSDefault, corev1.DNSNone)
	at, config := path.Child("dnsConfig"), p.spec.DNSConfig
	if p.spec.DNSPolicy == corev1.DNSNone && (config == nil || len(config.Nameservers) == 0) {
		p.add(at.Child("nameservers"), "at least one is required when dnsPolicy is None")
	}
	if config == nil {
		return
	}
	if len(config.Nameservers) > maxNameservers {
		p.add(at.Child("nameservers"), "must not be more than %d", maxNameservers)
	}
	for i, server := range config.Nameservers {
		p.ip(at.Child("nameservers").Index(i), server)
	}
	p.searches(at.Child("searches"), config.Searches)
	for i, option := range config.Options {
		if option.Name == "" {
			p.add(at.Child("options").Index(i).Child("name"), "is missing")
		}
	}
}

func (p podCheck) searches(path *field.Path, searches []string) {
	if len(searches) > maxSearches {
		p.add(path, "must not be more than %d", maxSearches)
	}
	if len(strings.Join(searches, " ")) > maxSearchChars {
		p.add(path, "must not have more than %d characters together", maxSearchChars)
	}
	for i, search := range searches {
		if search != "." {
			p.all(path.Index(i), validation.IsDNS1123SubdomainWithUnderscore(strings.TrimSuffix(search, ".")))
		}
	}
}

// hostPort is one port of the host.
type hostPort struct {
	ip       string
	protocol corev1.Protocol
	port     int32
}

// hostPorts finds ports of the host that are asked for twice. Those of init containers are published neither here nor
// in a cluster, but for sidecars: these run beside the app containers, so their ports must differ.
func (p podCheck) hostPorts(path *field.Path) {
	taken := map[hostPort]bool{}
	for i, c := range p.spec.Containers {
		p.takePorts(path.Child("containers").Index(i).Child("ports"), c.Ports, taken)
	}
	for i := range p.spec.InitContainers {
		c, at := &p.spec.InitContainers[i], path.Child("initContainers").Index(i).Child("ports")
		if isSidecar(c) {
			p.takePorts(at, c.Ports, taken)
			continue
		}
		p.takePorts(at, c.Ports, map[hostPort]bool{})
	}
}

// takePorts enters the ports of a container into those that are taken.
func (p podCheck) takePorts(path *field.Path, ports []corev1.ContainerPort, taken map[hostPort]bool) {
	for i, port := range ports {
		if port.HostPort == 0 {
			continue
		}
		at := path.Index(i).Child("hostPort")
		if p.spec.HostNetwork && port.HostPort != port.ContainerPort {
			p.add(at, "must match containerPort when hostNetwork is true")
		}
		key := hostPort{ip: port.HostIP, protocol: port.Protocol, port: port.HostPort}
		if key.ip == "0.0.0.0" {
			key.ip = ""
		}
		if key.among(taken) {
			p.add(at, "port %d/%s is taken by another port of this pod", port.HostPort, port.Protocol)
		}
		taken[key] = true
	}
}

// among finds a port that conflicts. An empty hostIP is every address of the host.
func (h hostPort) among(taken map[hostPort]bool) bool {
	for other := range taken {
		if other.port == h.port && other.protocol == h.protocol && (other.ip == h.ip || other.ip == "" || h.ip == "") {
			return true
		}
	}
	return false
}
