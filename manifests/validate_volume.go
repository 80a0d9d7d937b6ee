package manifests

import (
	"path"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (p podCheck) podVolumes(path *field.Path) {
	twice := p.unique("volume")
	for i := range p.spec.Volumes {
		v := &p.spec.Volumes[i]
		p.label(path.Index(i).Child("name"), v.Name)
		twice(path.Index(i).Child("name"), v.Name)
		p.volume(path.Index(i), v)
	}
}

// volume follows upstream's validateVolumeSource.
func (p podCheck) volume(path *field.Path, v *corev1.Volume) {
	if sources(v.VolumeSource) != 1 {
		p.add(path, "must have exactly one source, as emptyDir or configMap")
	}
	switch {
	case v.EmptyDir != nil:
		p.emptyDir(path.Child("emptyDir"), v.EmptyDir)
	case v.ConfigMap != nil:
		p.objectName(path.Child("configMap", "name"), v.ConfigMap.Name)
		p.mode(path.Child("configMap", "defaultMode"), v.ConfigMap.DefaultMode)
		p.items(path.Child("configMap", "items"), v.ConfigMap.Items, p.unique("path"))
	case v.Secret != nil:
		p.objectName(path.Child("secret", "secretName"), v.Secret.SecretName)
		p.mode(path.Child("secret", "defaultMode"), v.Secret.DefaultMode)
		p.items(path.Child("secret", "items"), v.Secret.Items, p.unique("path"))
	case v.DownwardAPI != nil:
		p.mode(path.Child("downwardAPI", "defaultMode"), v.DownwardAPI.DefaultMode)
		p.downward(path.Child("downwardAPI", "items"), v.DownwardAPI.Items, p.unique("path"))
	case v.Projected != nil:
		p.projected(path.Child("projected"), v.Projected)
	case v.Ephemeral != nil:
		p.ephemeral(path.Child("ephemeral", "volumeClaimTemplate"), v.Ephemeral.VolumeClaimTemplate)
	}
	if v.HostPath != nil {
		p.hostPath(path.Child("hostPath"), v.HostPath)
	}
	if v.NFS != nil {
		p.nfs(path.Child("nfs"), v.NFS)
	}
	if v.PersistentVolumeClaim != nil {
		p.objectName(path.Child("persistentVolumeClaim", "claimName"), v.PersistentVolumeClaim.ClaimName)
	}
}

// sources counts those that are set, also of kinds that the table of fields refuses.
func sources[T corev1.VolumeSource | corev1.VolumeProjection | corev1.PersistentVolumeSource](source T) int {
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

func (c check) hostPath(at *field.Path, source *corev1.HostPathVolumeSource) {
	c.hostFile(at.Child("path"), source.Path)
	if source.Type != nil {
		oneOf(c, at.Child("type"), *source.Type, corev1.HostPathDirectoryOrCreate, corev1.HostPathDirectory, corev1.HostPathFileOrCreate,
			corev1.HostPathFile, corev1.HostPathSocket, corev1.HostPathCharDev, corev1.HostPathBlockDev)
	}
}

// hostFile is a path of the host. The engine needs it to be absolute.
func (c check) hostFile(at *field.Path, p string) {
	switch {
	case p == "":
		c.add(at, "is missing")
	case !path.IsAbs(p):
		c.add(at, "must be an absolute path")
	default:
		c.relative(at, strings.TrimLeft(p, "/"))
	}
}

func (c check) nfs(at *field.Path, source *corev1.NFSVolumeSource) {
	switch {
	case source.Server == "":
		c.add(at.Child("server"), "is missing")
	case strings.ContainsAny(source.Server, ", \t\n"): // it becomes one of several options of the mount
		c.add(at.Child("server"), "must be the name or address of a host")
	}
	switch {
	case source.Path == "":
		c.add(at.Child("path"), "is missing")
	case !path.IsAbs(source.Path):
		c.add(at.Child("path"), "must be an absolute path")
	}
}

// ephemeral is a generic ephemeral volume.
func (c check) ephemeral(path *field.Path, template *corev1.PersistentVolumeClaimTemplate) {
	if template == nil {
		c.add(path, "is missing")
		return
	}
	c.claimSpec(path.Child("spec"), &template.Spec)
}

func (c check) mode(path *field.Path, mode *int32) {
	if mode != nil && (*mode < 0 || *mode > 0o777) {
		c.add(path, "must be between 0 and 0777 (octal)")
	}
}

// once reports a path that another file of the volume has.
type once func(path *field.Path, name string)

// items are the keys that a volume shows and their files.
func (c check) items(path *field.Path, items []corev1.KeyToPath, once once) {
	for i, item := range items {
		at := path.Index(i)
		if item.Key == "" {
			c.add(at.Child("key"), "is missing")
		} else {
			c.all(at.Child("key"), validation.IsConfigMapKey(item.Key))
		}
		c.file(at.Child("path"), item.Path)
		once(at.Child("path"), item.Path)
		c.mode(at.Child("mode"), item.Mode)
	}
}

// volumeFieldPaths are upstream's validVolumeDownwardAPIFieldPathExpressions.
var volumeFieldPaths = []string{"metadata.name", "metadata.namespace", "metadata.uid", "metadata.labels", "metadata.annotations"}

// downward follows upstream's validateDownwardAPIVolumeFile.
func (p podCheck) downward(path *field.Path, items []corev1.DownwardAPIVolumeFile, once once) {
	for i, item := range items {
		at := path.Index(i)
		p.file(at.Child("path"), item.Path)
		once(at.Child("path"), item.Path)
		p.mode(at.Child("mode"), item.Mode)
		if count(item.FieldRef != nil, item.ResourceFieldRef != nil) != 1 {
			p.add(at, "must have exactly one of fieldRef and resourceFieldRef")
		}
		if item.FieldRef != nil {
			p.fieldRef(at.Child("fieldRef", "fieldPath"), item.FieldRef.FieldPath, volumeFieldPaths)
		}
		if r := item.ResourceFieldRef; r != nil {
			if r.ContainerName == "" {
				p.add(at.Child("resourceFieldRef", "containerName"), "is missing")
			}
			p.resourceFieldRef(at.Child("resourceFieldRef"), r, nil)
		}
	}
}

// projected follows upstream's validateProjectionSources.
func (p podCheck) projected(path *field.Path, volume *corev1.ProjectedVolumeSource) {
	p.mode(path.Child("defaultMode"), volume.DefaultMode)
	once := p.unique("path")
	for i, source := range volume.Sources {
		at := path.Child("sources").Index(i)
		if sources(source) != 1 {
			p.add(at, "must have exactly one of configMap, secret and downwardAPI")
		}
		if m := source.ConfigMap; m != nil {
			p.objectName(at.Child("configMap", "name"), m.Name)
			p.items(at.Child("configMap", "items"), m.Items, once)
		}
		if s := source.Secret; s != nil {
			p.objectName(at.Child("secret", "name"), s.Name)
			p.items(at.Child("secret", "items"), s.Items, once)
		}
		if d := source.DownwardAPI; d != nil {
			p.downward(at.Child("downwardAPI", "items"), d.Items, once)
		}
	}
}

// file is the path of a file in a volume; names beginning with ".." are those of the volume's own links. Upstream:
// ValidateLocalNonReservedPath.
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
