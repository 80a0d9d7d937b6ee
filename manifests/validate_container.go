package manifests

import (
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// container checks what containers of every kind have. Upstream: validateContainerCommon.
func (p podCheck) container(path *field.Path, container *corev1.Container) {
	p.label(path.Child("name"), container.Name)
	p.image(path.Child("image"), container.Image)
	oneOf(p.check, path.Child("imagePullPolicy"), container.ImagePullPolicy, corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)
	p.containerPorts(path.Child("ports"), container.Ports)
	p.env(path.Child("env"), container)
	p.envFrom(path.Child("envFrom"), container.EnvFrom)
	p.resources(path.Child("resources"), container.Resources)
	p.mounts(path.Child("volumeMounts"), container)
	p.security(path.Child("securityContext"), container.SecurityContext)
	p.restarts(path, container)
	p.terminationMessage(path, container)
}

// label takes a name that is required and must be a DNS label.
func (c check) label(path *field.Path, name string) {
	if name == "" {
		c.add(path, "is missing")
		return
	}
	c.all(path, validation.IsDNS1123Label(name))
}

func (c check) image(path *field.Path, image string) {
	if image == "" {
		c.add(path, "is missing")
		return
	}
	if _, err := reference.ParseNormalizedNamed(image); err != nil {
		c.add(path, "%s", err)
	}
}

func (c check) containerPorts(path *field.Path, ports []corev1.ContainerPort) {
	twice := c.unique("port")
	for i, p := range ports {
		at := path.Index(i)
		c.port(at.Child("containerPort"), p.ContainerPort)
		if p.HostPort != 0 {
			c.port(at.Child("hostPort"), p.HostPort)
		}
		if p.HostIP != "" {
			if _, err := netip.ParseAddr(p.HostIP); err != nil {
				c.add(at.Child("hostIP"), "must be an IP address")
			}
		}
		if p.Name != "" {
			c.all(at.Child("name"), validation.IsValidPortName(p.Name))
		}
		twice(at.Child("name"), p.Name)
		oneOf(c, at.Child("protocol"), p.Protocol, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)
	}
}

func (c check) port(path *field.Path, port int32) {
	c.all(path, validation.IsValidPortNum(int(port)))
}

func count(is ...bool) int {
	n := 0
	for _, b := range is {
		if b {
			n++
		}
	}
	return n
}

func (p podCheck) mounts(at *field.Path, container *corev1.Container) {
	twice := p.unique("mount path")
	for i := range container.VolumeMounts {
		m, at := &container.VolumeMounts[i], at.Index(i)
		switch {
		case m.Name == "":
			p.add(at.Child("name"), "is missing")
		case !p.volumes[m.Name]:
			p.add(at.Child("name"), "there is no volume %s in this pod", m.Name)
		}
		switch {
		case m.MountPath == "":
			p.add(at.Child("mountPath"), "is missing")
		case !path.IsAbs(m.MountPath):
			p.add(at.Child("mountPath"), "must be an absolute path")
		case strings.Contains(m.MountPath, ":"):
			p.add(at.Child("mountPath"), "must not contain ':'")
		default:
			twice(at.Child("mountPath"), path.Clean(m.MountPath))
		}
		p.relative(at.Child("subPath"), m.SubPath)
		p.relative(at.Child("subPathExpr"), m.SubPathExpr)
		if m.SubPath != "" && m.SubPathExpr != "" {
			p.add(at.Child("subPathExpr"), "must not be set together with subPath")
		}
		p.propagation(at, m, container.SecurityContext)
	}
}

// propagation follows upstream's validateMountPropagation and validateMountRecursiveReadOnly.
func (c check) propagation(at *field.Path, m *corev1.VolumeMount, security *corev1.SecurityContext) {
	propagation := corev1.MountPropagationNone
	if m.MountPropagation != nil {
		propagation = *m.MountPropagation
	}
	oneOf(c, at.Child("mountPropagation"), propagation, corev1.MountPropagationNone, corev1.MountPropagationHostToContainer, corev1.MountPropagationBidirectional)
	if propagation == corev1.MountPropagationBidirectional && (security == nil || !isTrue(security.Privileged)) {
		c.add(at.Child("mountPropagation"), "must not be Bidirectional unless the container is privileged")
	}
	if m.RecursiveReadOnly == nil || *m.RecursiveReadOnly == corev1.RecursiveReadOnlyDisabled {
		return
	}
	at = at.Child("recursiveReadOnly")
	oneOf(c, at, *m.RecursiveReadOnly, corev1.RecursiveReadOnlyDisabled, corev1.RecursiveReadOnlyIfPossible, corev1.RecursiveReadOnlyEnabled)
	if !m.ReadOnly {
		c.add(at, "must be Disabled unless readOnly is true")
	}
	if propagation != corev1.MountPropagationNone {
		c.add(at, "must be Disabled unless mountPropagation is None")
	}
}

// relative takes a path that must stay below where it starts. Upstream: validateLocalDescendingPath.
func (c check) relative(at *field.Path, p string) {
	switch {
	case path.IsAbs(p):
		c.add(at, "must be a relative path")
	case slices.Contains(strings.Split(p, "/"), ".."):
		c.add(at, "must not contain '..'")
	}
}
