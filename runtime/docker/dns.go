package docker

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

// dns is what resolv.conf of a pod says. Without servers, Docker's own file is left.
type dns struct {
	servers, search, options []string
}

// dnsOf follows dnsPolicy and dnsConfig as upstream's GetPodDNS (pkg/kubelet/network/dns/dns.go). With Default,
// dnsConfig adds nothing: what the host uses is not known here, and Docker's file passes it on.
func dnsOf(config runtime.SandboxConfig, gateway string) dns {
	var out dns
	switch config.Pod.Spec.DNSPolicy {
	case corev1.DNSDefault:
		return dns{}
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
	if len(d.servers) == 0 {
		return nil
	}
	out := []string{"--nameserver=" + strings.Join(d.servers, ",")}
	if len(d.search) > 0 {
		out = append(out, "--search="+strings.Join(d.search, ","))
	}
	if len(d.options) > 0 {
		out = append(out, "--option="+strings.Join(d.options, ","))
	}
	return out
}
