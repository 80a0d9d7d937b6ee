package manifests

import (
	"net/netip"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// podSpec checks a PodSpec wherever one occurs.
func (c check) podSpec(path *field.Path, spec *corev1.PodSpec) {
	oneOf(c, path.Child("restartPolicy"), spec.RestartPolicy, corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)
	notNegative(c, path.Child("terminationGracePeriodSeconds"), spec.TerminationGracePeriodSeconds)
	for _, label := range []struct{ name, value string }{{"hostname", spec.Hostname}, {"subdomain", spec.Subdomain}} {
		if label.value != "" {
			c.all(path.Child(label.name), validation.IsDNS1123Label(label.value))
		}
	}
	if spec.ServiceAccountName != "" {
		c.all(path.Child("serviceAccountName"), validation.IsDNS1123Subdomain(spec.ServiceAccountName))
	}
	c.hostAliases(path.Child("hostAliases"), spec.HostAliases)
	c.podSecurity(path.Child("securityContext"), spec.SecurityContext)
	volumes := c.volumes(path.Child("volumes"), spec.Volumes)
	c.containers(path.Child("containers"), spec.Containers, volumes)
}

func (c check) hostAliases(path *field.Path, aliases []corev1.HostAlias) {
	for i, alias := range aliases {
		if _, err := netip.ParseAddr(alias.IP); err != nil {
			c.add(path.Index(i).Child("ip"), "must be an IP address")
		}
		for j, name := range alias.Hostnames {
			c.all(path.Index(i).Child("hostnames").Index(j), validation.IsDNS1123Subdomain(name))
		}
	}
}

// sysctlName is upstream's ValidateSysctls.
var sysctlName = regexp.MustCompile(`^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9][-_a-z0-9]*[a-z0-9]?$`)

func (c check) podSecurity(path *field.Path, security *corev1.PodSecurityContext) {
	if security == nil {
		return
	}
	c.identity(path, security.RunAsUser, security.RunAsGroup)
	for i, group := range security.SupplementalGroups {
		c.all(path.Child("supplementalGroups").Index(i), validation.IsValidGroupID(group))
	}
	twice := c.unique("sysctl")
	for i, s := range security.Sysctls {
		at := path.Child("sysctls").Index(i).Child("name")
		if !sysctlName.MatchString(s.Name) {
			c.add(at, "must be the name of a sysctl, as net.core.somaxconn")
		}
		twice(at, strings.ReplaceAll(s.Name, "/", "."))
	}
}

func (c check) identity(path *field.Path, user, group *int64) {
	if user != nil {
		c.all(path.Child("runAsUser"), validation.IsValidUserID(*user))
	}
	if group != nil {
		c.all(path.Child("runAsGroup"), validation.IsValidGroupID(*group))
	}
}

// hostPort is one port of the host; no two containers of a pod can have it.
type hostPort struct {
	ip       string
	protocol corev1.Protocol
	port     int32
}

func (c check) containers(path *field.Path, containers []corev1.Container, volumes map[string]bool) {
	if len(containers) == 0 {
		c.add(path, "at least one container is required")
	}
	twice, names := c.unique("container"), map[string]bool{}
	for _, container := range containers {
		names[container.Name] = true
	}
	taken := map[hostPort]bool{}
	for i := range containers {
		twice(path.Index(i).Child("name"), containers[i].Name)
		c.container(path.Index(i), &containers[i], names, volumes)
		c.hostPorts(path.Index(i).Child("ports"), containers[i].Ports, taken)
	}
}

// hostPorts finds conflicts. An empty hostIP is every address of the host.
func (c check) hostPorts(path *field.Path, ports []corev1.ContainerPort, taken map[hostPort]bool) {
	for i, p := range ports {
		if p.HostPort == 0 {
			continue
		}
		key := hostPort{ip: p.HostIP, protocol: p.Protocol, port: p.HostPort}
		if key.ip == "0.0.0.0" {
			key.ip = ""
		}
		for other := range taken {
			if other.port == key.port && other.protocol == key.protocol && (other.ip == key.ip || other.ip == "" || key.ip == "") {
				c.add(path.Index(i).Child("hostPort"), "port %d/%s is taken by another port of this pod", p.HostPort, p.Protocol)
				break
			}
		}
		taken[key] = true
	}
}
