package manifests

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (p podCheck) env(path *field.Path, container *corev1.Container) {
	for i, v := range container.Env {
		at := path.Index(i)
		if v.Name == "" {
			p.add(at.Child("name"), "is missing")
		} else {
			p.all(at.Child("name"), validation.IsRelaxedEnvVarName(v.Name))
		}
		if v.ValueFrom == nil {
			continue
		}
		if v.Value != "" {
			p.add(at.Child("valueFrom"), "must not be set together with value")
		}
		p.envSource(at.Child("valueFrom"), v.ValueFrom, container)
	}
}

func (p podCheck) envSource(path *field.Path, from *corev1.EnvVarSource, container *corev1.Container) {
	if count(from.FieldRef != nil, from.ResourceFieldRef != nil, from.ConfigMapKeyRef != nil, from.SecretKeyRef != nil, from.FileKeyRef != nil) != 1 {
		p.add(path, "must have exactly one source")
	}
	if from.FieldRef != nil {
		p.fieldRef(path.Child("fieldRef", "fieldPath"), from.FieldRef.FieldPath, fieldPaths)
	}
	if r := from.ResourceFieldRef; r != nil {
		p.resourceFieldRef(path.Child("resourceFieldRef"), r, container)
	}
	if r := from.ConfigMapKeyRef; r != nil {
		p.keyRef(path.Child("configMapKeyRef"), r.Name, r.Key)
	}
	if r := from.SecretKeyRef; r != nil {
		p.keyRef(path.Child("secretKeyRef"), r.Name, r.Key)
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

// fieldRef is about one of several fields of a pod, or one of its labels or annotations.
func (c check) fieldRef(path *field.Path, fieldPath string, allowed []string) {
	if slices.Contains(allowed, fieldPath) {
		return
	}
	for _, m := range []string{"metadata.labels", "metadata.annotations"} {
		if key, ok := strings.CutPrefix(fieldPath, m+"['"); ok && strings.HasSuffix(key, "']") {
			c.all(path, validation.IsQualifiedName(strings.ToLower(strings.TrimSuffix(key, "']"))))
			return
		}
	}
	c.add(path, "must be one of %s, metadata.labels['KEY'] or metadata.annotations['KEY']", strings.Join(allowed, ", "))
}

// resourceFieldNames are upstream's validContainerResourceFieldPathExpressions, without those of huge pages.
var resourceFieldNames = []string{"limits.cpu", "limits.memory", "limits.ephemeral-storage", "requests.cpu", "requests.memory",
	"requests.ephemeral-storage"}

// divisors are upstream's validContainerResourceDivisorForCPU, -Memory and -EphemeralStorage.
var divisors = map[string][]string{
	"cpu":               {"1m", "1"},
	"memory":            {"1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"},
	"ephemeral-storage": {"1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"},
}

// resourceFieldRef is about a resource of a container: the one that is named, or that which asks (nil in a volume).
func (p podCheck) resourceFieldRef(path *field.Path, r *corev1.ResourceFieldSelector, container *corev1.Container) {
	if !slices.Contains(resourceFieldNames, r.Resource) {
		p.add(path.Child("resource"), "must be one of %s", words(resourceFieldNames))
	}
	if r.ContainerName != "" {
		container = p.containers[r.ContainerName]
		if container == nil {
			p.add(path.Child("containerName"), "there is no container %s in this pod", r.ContainerName)
		}
	}
	if container != nil && r.Resource == "limits.ephemeral-storage" && container.Resources.Limits.StorageEphemeral().IsZero() {
		p.add(path.Child("resource"), "must be limited in container %s: how much the host has is not known", container.Name)
	}
	_, name, _ := strings.Cut(r.Resource, ".")
	if allowed := divisors[name]; allowed != nil && !r.Divisor.IsZero() && !slices.Contains(allowed, r.Divisor.String()) {
		p.add(path.Child("divisor"), "must be one of %s", words(allowed))
	}
}
