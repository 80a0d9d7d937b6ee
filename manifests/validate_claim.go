package manifests

import (
	"path"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// VolumeAnnotation on a PersistentVolumeClaim names a volume of the engine that somebody else has made.
const VolumeAnnotation = "podyard.dev/volume"

// volumeName is Docker's rule for the names of volumes (daemon/names, RestrictedNameChars).
var volumeName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)

func (c check) claim(claim *corev1.PersistentVolumeClaim) {
	if name, there := claim.Annotations[VolumeAnnotation]; there && !volumeName.MatchString(name) {
		c.add(field.NewPath("metadata", "annotations").Key(VolumeAnnotation),
			"must be the name of a volume of the engine: two or more letters, digits, '_', '.' or '-', beginning with a letter or digit")
	}
	c.claimSpec(field.NewPath("spec"), &claim.Spec)
}

// claimSpec follows upstream's ValidatePersistentVolumeClaimSpec.
func (c check) claimSpec(path *field.Path, spec *corev1.PersistentVolumeClaimSpec) {
	c.accessModes(path.Child("accessModes"), spec.AccessModes)
	if spec.Selector != nil {
		c.selector(path.Child("selector"), spec.Selector)
	}
	c.size(path.Child("resources", "requests"), spec.Resources.Requests)
	if name := spec.StorageClassName; name != nil && *name != "" {
		c.all(path.Child("storageClassName"), validation.IsDNS1123Subdomain(*name))
	}
	if spec.VolumeName != "" {
		c.all(path.Child("volumeName"), validation.IsDNS1123Subdomain(spec.VolumeName))
	}
}

func (c check) accessModes(path *field.Path, modes []corev1.PersistentVolumeAccessMode) {
	if len(modes) == 0 {
		c.add(path, "at least one access mode is required")
	}
	for i, mode := range modes {
		if mode == "" {
			c.add(path.Index(i), "is missing")
		}
		oneOf(c, path.Index(i), mode, corev1.ReadWriteOnce, corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOncePod)
	}
	if len(modes) > 1 && slices.Contains(modes, corev1.ReadWriteOncePod) {
		c.add(path, "must not have other access modes beside ReadWriteOncePod")
	}
}

// size is that of a claim or volume: storage, greater than zero.
func (c check) size(path *field.Path, list corev1.ResourceList) {
	size, there := list[corev1.ResourceStorage]
	switch at := path.Child("storage"); {
	case !there:
		c.add(at, "is missing")
	case size.Cmp(resource.Quantity{}) <= 0:
		c.add(at, "must be greater than 0")
	}
}

// persistentVolume follows upstream's ValidatePersistentVolumeSpec.
func (c check) persistentVolume(path *field.Path, spec *corev1.PersistentVolumeSpec) {
	c.accessModes(path.Child("accessModes"), spec.AccessModes)
	c.size(path.Child("capacity"), spec.Capacity)
	for _, name := range sortedKeys(spec.Capacity) {
		if name != corev1.ResourceStorage {
			c.add(ofResource(path.Child("capacity"), name), "must be storage")
		}
	}
	if sources(spec.PersistentVolumeSource) != 1 {
		c.add(path, "must have exactly one source: hostPath, local or nfs")
	}
	if spec.HostPath != nil {
		c.hostPath(path.Child("hostPath"), spec.HostPath)
	}
	if spec.NFS != nil {
		c.nfs(path.Child("nfs"), spec.NFS)
	}
	if spec.Local != nil {
		c.local(path, spec)
	}
	if spec.ClaimRef != nil {
		c.objectName(path.Child("claimRef", "name"), spec.ClaimRef.Name)
		c.label(path.Child("claimRef", "namespace"), spec.ClaimRef.Namespace)
	}
	if spec.StorageClassName != "" {
		c.all(path.Child("storageClassName"), validation.IsDNS1123Subdomain(spec.StorageClassName))
	}
	c.reclaim(path.Child("persistentVolumeReclaimPolicy"), spec)
	for i, option := range spec.MountOptions {
		if option == "" || strings.ContainsAny(option, ", \t\n") {
			c.add(path.Child("mountOptions").Index(i), "must be one option, as nfsvers=4.2")
		}
	}
}

// local is a path of the host to which a volume is bound. In a cluster it must say of which host.
func (c check) local(at *field.Path, spec *corev1.PersistentVolumeSpec) {
	c.hostFile(at.Child("local", "path"), spec.Local.Path)
	if spec.NodeAffinity == nil || spec.NodeAffinity.Required == nil {
		c.add(at.Child("nodeAffinity", "required"), "is missing: a local volume belongs to a host")
		return
	}
	c.nodeSelector(at.Child("nodeAffinity", "required"), spec.NodeAffinity.Required)
}

func (c check) reclaim(at *field.Path, spec *corev1.PersistentVolumeSpec) {
	policy := spec.PersistentVolumeReclaimPolicy
	oneOf(c, at, policy, corev1.PersistentVolumeReclaimRetain, corev1.PersistentVolumeReclaimDelete, corev1.PersistentVolumeReclaimRecycle)
	if policy == corev1.PersistentVolumeReclaimRecycle && spec.HostPath != nil && path.Clean(spec.HostPath.Path) == "/" {
		c.add(at, "must not be Recycle for a hostPath of '/'")
	}
}

// storageClass follows upstream's ValidateStorageClass (pkg/apis/storage/validation).
func (c check) storageClass(class *storagev1.StorageClass) {
	at := field.NewPath("provisioner")
	if class.Provisioner == "" {
		c.add(at, "is missing")
	} else {
		c.all(at, validation.IsQualifiedName(strings.ToLower(class.Provisioner)))
	}
	oneOf(c, field.NewPath("reclaimPolicy"), *class.ReclaimPolicy, corev1.PersistentVolumeReclaimDelete, corev1.PersistentVolumeReclaimRetain)
	oneOf(c, field.NewPath("volumeBindingMode"), *class.VolumeBindingMode, storagev1.VolumeBindingImmediate, storagev1.VolumeBindingWaitForFirstConsumer)
}

// runtimeClass follows upstream's ValidateRuntimeClass (pkg/apis/node/validation).
func (c check) runtimeClass(class *nodev1.RuntimeClass) {
	c.label(field.NewPath("handler"), class.Handler)
}
