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

// container checks one container. names are those of the pod's containers, volumes those of its volumes.
func (c check) container(path *field.Path, container *corev1.Container, names, volumes map[string]bool) {
	c.label(path.Child("name"), container.Name)
	c.image(path.Child("image"), container.Image)
	oneOf(c, path.Child("imagePullPolicy"), container.ImagePullPolicy, corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)
	c.containerPorts(path.Child("ports"), container.Ports)
	c.env(path.Child("env"), container.Env, names)
	c.envFrom(path.Child("envFrom"), container.EnvFrom)
	c.resources(path.Child("resources"), container.Resources)
	c.mounts(path.Child("volumeMounts"), container.VolumeMounts, volumes)
	c.security(path.Child("securityContext"), container.SecurityContext)
	c.probes(path, container)
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

func (c check) env(path *field.Path, env []corev1.EnvVar, containers map[string]bool) {
	for i, v := range env {
		at := path.Index(i)
		if v.Name == "" {
			c.add(at.Child("name"), "is missing")
		} else {
			c.all(at.Child("name"), validation.IsRelaxedEnvVarName(v.Name))
		}
		if v.ValueFrom == nil {
			continue
		}
		if v.Value != "" {
			c.add(at.Child("valueFrom"), "must not be set together with value")
		}
		c.envSource(at.Child("valueFrom"), v.ValueFrom, containers)
	}
}

func (c check) envSource(path *field.Path, from *corev1.EnvVarSource, containers map[string]bool) {
	if count(from.FieldRef != nil, from.ResourceFieldRef != nil, from.ConfigMapKeyRef != nil, from.SecretKeyRef != nil, from.FileKeyRef != nil) != 1 {
		c.add(path, "must have exactly one source")
	}
	if from.FieldRef != nil {
		c.fieldRef(path.Child("fieldRef", "fieldPath"), from.FieldRef.FieldPath)
	}
	if r := from.ResourceFieldRef; r != nil {
		c.resourceFieldRef(path.Child("resourceFieldRef"), r, containers)
	}
	if r := from.ConfigMapKeyRef; r != nil {
		c.keyRef(path.Child("configMapKeyRef"), r.Name, r.Key)
	}
	if r := from.SecretKeyRef; r != nil {
		c.keyRef(path.Child("secretKeyRef"), r.Name, r.Key)
	}
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

func (c check) keyRef(path *field.Path, name, key string) {
	c.objectName(path.Child("name"), name)
	if key == "" {
		c.add(path.Child("key"), "is missing")
		return
	}
	c.all(path.Child("key"), validation.IsConfigMapKey(key))
}

func (c check) objectName(path *field.Path, name string) {
	if name == "" {
		c.add(path, "is missing")
		return
	}
	c.all(path, validation.IsDNS1123Subdomain(name))
}

// fieldPaths are upstream's validEnvDownwardAPIFieldPathExpressions.
var fieldPaths = []string{"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
	"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"}

func (c check) fieldRef(path *field.Path, fieldPath string) {
	if slices.Contains(fieldPaths, fieldPath) {
		return
	}
	for _, m := range []string{"metadata.labels", "metadata.annotations"} {
		if key, ok := strings.CutPrefix(fieldPath, m+"['"); ok && strings.HasSuffix(key, "']") {
			c.all(path, validation.IsQualifiedName(strings.ToLower(strings.TrimSuffix(key, "']"))))
			return
		}
	}
	c.add(path, "must be one of %s, metadata.labels['KEY'] or metadata.annotations['KEY']", strings.Join(fieldPaths, ", "))
}

var resourceFields = []string{"limits.cpu", "limits.memory", "requests.cpu", "requests.memory"}

func (c check) resourceFieldRef(path *field.Path, r *corev1.ResourceFieldSelector, containers map[string]bool) {
	if !slices.Contains(resourceFields, r.Resource) {
		c.add(path.Child("resource"), "must be one of %s", words(resourceFields))
	}
	if r.ContainerName != "" && !containers[r.ContainerName] {
		c.add(path.Child("containerName"), "there is no container %s in this pod", r.ContainerName)
	}
	if r.Divisor.Sign() < 0 {
		c.add(path.Child("divisor"), "must be greater than or equal to 0")
	}
}

func (c check) envFrom(path *field.Path, sources []corev1.EnvFromSource) {
	for i, from := range sources {
		at := path.Index(i)
		if count(from.ConfigMapRef != nil, from.SecretRef != nil) != 1 {
			c.add(at, "must have exactly one of configMapRef and secretRef")
		}
		if from.Prefix != "" {
			c.all(at.Child("prefix"), validation.IsRelaxedEnvVarName(from.Prefix))
		}
		if from.ConfigMapRef != nil {
			c.objectName(at.Child("configMapRef", "name"), from.ConfigMapRef.Name)
		}
		if from.SecretRef != nil {
			c.objectName(at.Child("secretRef", "name"), from.SecretRef.Name)
		}
	}
}

func (c check) resources(path *field.Path, r corev1.ResourceRequirements) {
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
		limit, limited := r.Limits[name]
		request, requested := r.Requests[name]
		if limited && limit.Sign() < 0 {
			c.add(path.Child("limits", string(name)), "must be greater than or equal to 0")
		}
		switch at := path.Child("requests", string(name)); {
		case requested && limited && limit.Sign() >= 0 && request.Cmp(limit) > 0:
			c.add(at, "must be less than or equal to the limit of %s", limit.String())
		case requested && request.Sign() < 0 && (!limited || limit.Sign() >= 0):
			c.add(at, "must be greater than or equal to 0")
		}
	}
}

func (c check) mounts(at *field.Path, mounts []corev1.VolumeMount, volumes map[string]bool) {
	twice := c.unique("mount path")
	for i, m := range mounts {
		at := at.Index(i)
		switch {
		case m.Name == "":
			c.add(at.Child("name"), "is missing")
		case !volumes[m.Name]:
			c.add(at.Child("name"), "there is no volume %s in this pod", m.Name)
		}
		switch {
		case m.MountPath == "":
			c.add(at.Child("mountPath"), "is missing")
		case !path.IsAbs(m.MountPath):
			c.add(at.Child("mountPath"), "must be an absolute path")
		case strings.Contains(m.MountPath, ":"):
			c.add(at.Child("mountPath"), "must not contain ':'")
		default:
			twice(at.Child("mountPath"), path.Clean(m.MountPath))
		}
		c.relative(at.Child("subPath"), m.SubPath)
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

// security also refuses what contradicts itself. Upstream: ValidateSecurityContext.
func (c check) security(path *field.Path, s *corev1.SecurityContext) {
	if s == nil {
		return
	}
	c.identity(path, s.RunAsUser, s.RunAsGroup)
	if s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation {
		return
	}
	if s.Privileged != nil && *s.Privileged {
		c.add(path.Child("allowPrivilegeEscalation"), "must not be false when privileged is true")
	}
	if s.Capabilities != nil && (slices.Contains(s.Capabilities.Add, "CAP_SYS_ADMIN") || slices.Contains(s.Capabilities.Add, "SYS_ADMIN")) {
		c.add(path.Child("allowPrivilegeEscalation"), "must not be false when the capability SYS_ADMIN is added")
	}
}
