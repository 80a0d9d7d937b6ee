package docker

import (
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

// dns is what resolv.conf of a pod says. With extend it is added to what Docker writes there, which passes on what the
// host uses.
type dns struct {
	servers, search, options []string
	extend                   bool
}

// dnsOf follows dnsPolicy and dnsConfig as upstream's GetPodDNS (pkg/kubelet/network/dns/dns.go).
func dnsOf(config runtime.SandboxConfig, gateway string) dns {
	var out dns
	switch dnsPolicy(&config.Pod.Spec) {
	case corev1.DNSDefault:
		out.extend = true
	case corev1.DNSNone:
	default:
		out = dns{servers: []string{gateway}, search: slices.Clone(config.Search), options: []string{"ndots:5"}}
	}
	if extra := config.Pod.Spec.DNSConfig; extra != nil {
		out.servers = appendNew(out.servers, extra.Nameservers)
		out.search = appendNew(out.search, extra.Searches)
		for _, o := range extra.Options {
			out.options = setOption(out.options, o)
		}
	}
	return out
}

// dnsPolicy: in the host's network, ClusterFirst means Default (upstream: getPodDNSType).
func dnsPolicy(spec *corev1.PodSpec) corev1.DNSPolicy {
	if spec.HostNetwork && (spec.DNSPolicy == corev1.DNSClusterFirst || spec.DNSPolicy == "") {
		return corev1.DNSDefault
	}
	return spec.DNSPolicy
}

// tell has the engine use the same servers, unless its own are to be kept.
func (d dns) tell(host *container.HostConfig) {
	if !d.extend {
		host.DNS, host.DNSSearch, host.DNSOptions = d.servers, d.search, d.options
	}
}

func appendNew(list, more []string) []string {
	for _, s := range more {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// setOption adds "name" or "name:value"; an option of the same name is replaced.
func setOption(options []string, o corev1.PodDNSConfigOption) []string {
	word := o.Name
	if o.Value != nil && *o.Value != "" {
		word += ":" + *o.Value
	}
	for i, have := range options {
		if name, _, _ := strings.Cut(have, ":"); name == o.Name {
			options[i] = word
			return options
		}
	}
	return append(options, word)
}

// flags of the sandbox process; see runtime/docker/sandbox.
func (d dns) flags() []string {
	if len(d.servers)+len(d.search)+len(d.options) == 0 {
		return nil
	}
	var out []string
	if d.extend {
		out = append(out, "--extend")
	}
	if len(d.servers) > 0 {
		out = append(out, "--nameserver="+strings.Join(d.servers, ","))
	}
	if len(d.search) > 0 {
		out = append(out, "--search="+strings.Join(d.search, ","))
	}
	if len(d.options) > 0 {
		out = append(out, "--option="+strings.Join(d.options, ","))
	}
	return out
}
