package manifests

import (
	"path"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// volumes returns the names of the pod's volumes.
func (c check) volumes(path *field.Path, volumes []corev1.Volume) map[string]bool {
	names, twice := map[string]bool{}, c.unique("volume")
	for i := range volumes {
		v := &volumes[i]
		c.label(path.Index(i).Child("name"), v.Name)
		twice(path.Index(i).Child("name"), v.Name)
		names[v.Name] = true
		c.volume(path.Index(i), v)
	}
	return names
}

func (c check) volume(path *field.Path, v *corev1.Volume) {
	if sources(v.VolumeSource) != 1 {
		c.add(path, "must have exactly one source, as emptyDir or configMap")
	}
	if v.EmptyDir != nil {
		c.emptyDir(path.Child("emptyDir"), v.EmptyDir)
	}
	if v.HostPath != nil {
		c.hostPath(path.Child("hostPath", "path"), v.HostPath.Path)
	}
	if m := v.ConfigMap; m != nil {
		at := path.Child("configMap")
		c.objectName(at.Child("name"), m.Name)
		c.mode(at.Child("defaultMode"), m.DefaultMode)
		c.items(at.Child("items"), m.Items)
	}
	if s := v.Secret; s != nil {
		at := path.Child("secret")
		c.objectName(at.Child("secretName"), s.SecretName)
		c.mode(at.Child("defaultMode"), s.DefaultMode)
		c.items(at.Child("items"), s.Items)
	}
}

// sources counts those that are set, also of kinds that the table of fields refuses.
func sources(source corev1.VolumeSource) int {
	n := 0
	for _, f := range reflect.ValueOf(source).Fields() {
		if !f.IsNil() {
			n++
		}
	}
	return n
}

func (c check) emptyDir(path *field.Path, e *corev1.EmptyDirVolumeSource) {
	oneOf(c, path.Child("medium"), e.Medium, corev1.StorageMediumMemory)
	if e.SizeLimit != nil && e.SizeLimit.Sign() < 0 {
		c.add(path.Child("sizeLimit"), "must be greater than or equal to 0")
	}
}

func (c check) hostPath(at *field.Path, p string) {
	switch {
	case p == "":
		c.add(at, "is missing")
	case !path.IsAbs(p):
		c.add(at, "must be an absolute path")
	default:
		c.relative(at, strings.TrimLeft(p, "/"))
	}
}

func (c check) mode(path *field.Path, mode *int32) {
	if mode != nil && (*mode < 0 || *mode > 0o777) {
		c.add(path, "must be between 0 and 0777 (octal)")
	}
}

// items are the keys that a volume shows and their files.
func (c check) items(path *field.Path, items []corev1.KeyToPath) {
	twice := c.unique("path")
	for i, item := range items {
		at := path.Index(i)
		if item.Key == "" {
			c.add(at.Child("key"), "is missing")
		} else {
			c.all(at.Child("key"), validation.IsConfigMapKey(item.Key))
		}
		c.file(at.Child("path"), item.Path)
		twice(at.Child("path"), item.Path)
		c.mode(at.Child("mode"), item.Mode)
	}
}

// file is the path of a file in a volume; names beginning with ".." are those of the volume's own links. Upstream:
// validateLocalNonReservedPath.
func (c check) file(at *field.Path, p string) {
	switch {
	case p == "":
		c.add(at, "is missing")
	case strings.HasPrefix(p, "..") && !strings.HasPrefix(p, "../") && p != "..":
		c.add(at, "must not begin with '..'")
	default:
		c.relative(at, p)
	}
}
