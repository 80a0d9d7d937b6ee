package manifests

import (
	"math"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// podCheck gathers what is wrong with one pod.
type podCheck struct {
	check
	spec *corev1.PodSpec
	// containers are all that the pod has, by name.
	containers map[string]*corev1.Container
	// volumes are the names of its volumes, those that are claims of its own included.
	volumes map[string]bool
}

// podSpec checks a PodSpec wherever one occurs. Upstream: ValidatePodSpec.
func (c check) podSpec(path *field.Path, spec *corev1.PodSpec) {
	p := podCheck{check: c, spec: spec, containers: map[string]*corev1.Container{}, volumes: claimVolumes(c.object.Value)}
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			p.containers[list[i].Name] = &list[i]
		}
	}
	for _, volume := range spec.Volumes {
		p.volumes[volume.Name] = true
	}
	p.life(path)
	p.hostname(path)
	p.dns(path)
	p.placement(path)
	p.otherNames(path)
	p.hostAliases(path.Child("hostAliases"))
	p.podSecurity(path.Child("securityContext"))
	if spec.HostPID && isTrue(spec.ShareProcessNamespace) {
		p.add(path.Child("shareProcessNamespace"), "must not be true when hostPID is: the pod would have two process namespaces")
	}
	p.podVolumes(path.Child("volumes"))
	p.initContainers(path.Child("initContainers"))
	p.appContainers(path.Child("containers"))
	p.hostPorts(path)
}

// life checks what ends a pod and its containers.
func (p podCheck) life(path *field.Path) {
	oneOf(p.check, path.Child("restartPolicy"), p.spec.RestartPolicy, corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)
	notNegative(p.check, path.Child("terminationGracePeriodSeconds"), p.spec.TerminationGracePeriodSeconds)
	if d := p.spec.ActiveDeadlineSeconds; d != nil && (*d < 1 || *d > math.MaxInt32) {
		p.add(path.Child("activeDeadlineSeconds"), "%s", validation.InclusiveRangeError(1, math.MaxInt32))
	}
}

// otherNames checks the names of objects to which a pod refers.
func (p podCheck) otherNames(path *field.Path) {
	names := []struct{ field, value string }{
		{"serviceAccountName", p.spec.ServiceAccountName}, {"priorityClassName", p.spec.PriorityClassName}, {"nodeName", p.spec.NodeName},
	}
	if p.spec.RuntimeClassName != nil {
		names = append(names, struct{ field, value string }{"runtimeClassName", *p.spec.RuntimeClassName})
	}
	for _, name := range names {
		if name.value != "" {
			p.all(path.Child(name.field), validation.IsDNS1123Subdomain(name.value))
		}
	}
}

func (p podCheck) hostAliases(path *field.Path) {
	for i, alias := range p.spec.HostAliases {
		p.ip(path.Index(i).Child("ip"), alias.IP)
		for j, name := range alias.Hostnames {
			p.all(path.Index(i).Child("hostnames").Index(j), validation.IsDNS1123Subdomain(name))
		}
	}
}

func (c check) ip(path *field.Path, ip string) {
	if _, err := netip.ParseAddr(ip); err != nil {
		c.add(path, "must be an IP address")
	}
}

func (p podCheck) appContainers(path *field.Path) {
	if len(p.spec.Containers) == 0 {
		p.add(path, "at least one container is required")
	}
	twice := p.unique("container")
	for i := range p.spec.Containers {
		c := &p.spec.Containers[i]
		twice(path.Index(i).Child("name"), c.Name)
		p.container(path.Index(i), c)
		p.lifecycle(path.Index(i), c)
	}
}

// initContainers run to their end before the next begins, except for sidecars. Upstream: validateInitContainers.
func (p podCheck) initContainers(path *field.Path) {
	twice := p.unique("container")
	for i := range p.spec.InitContainers {
		c, at := &p.spec.InitContainers[i], path.Index(i)
		twice(at.Child("name"), c.Name)
		if slices.ContainsFunc(p.spec.Containers, func(app corev1.Container) bool { return app.Name == c.Name && c.Name != "" }) {
			p.add(at.Child("name"), "container %s is also among containers", c.Name)
		}
		p.container(at, c)
		if isSidecar(c) {
			p.lifecycle(at, c)
			continue
		}
		for _, part := range []struct {
			name string
			set  bool
		}{
			{"lifecycle", c.Lifecycle != nil}, {"livenessProbe", c.LivenessProbe != nil},
			{"readinessProbe", c.ReadinessProbe != nil}, {"startupProbe", c.StartupProbe != nil},
		} {
			if part.set {
				p.add(at.Child(part.name), "must not be set in an init container without restartPolicy: Always")
			}
		}
	}
}

// isSidecar tells an init container that goes on running.
func isSidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

func isTrue(b *bool) bool { return b != nil && *b }
