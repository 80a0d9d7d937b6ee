package manifests

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// metadata checks what all kinds have.
func (c check) metadata() {
	path := field.NewPath("metadata")
	meta := metaOf(c.object.Value)
	c.all(path.Child("name"), nameRule(c.object.Kind)(c.object.Name))
	switch {
	case clusterScoped[c.object.Kind] && c.object.Namespace != "":
		c.add(path.Child("namespace"), "must not be set: a %s belongs to none", c.object.Kind)
	case !clusterScoped[c.object.Kind]:
		c.all(path.Child("namespace"), validation.IsDNS1123Label(c.object.Namespace))
	}
	c.labels(path, meta)
}

// nameRule is what a name may be. Names of Services and Namespaces are parts of DNS names, and so are those of pods of a
// StatefulSet.
func nameRule(kind string) func(string) []string {
	switch kind {
	case "Namespace", "Service", "StatefulSet":
		return validation.IsDNS1123Label
	case "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding":
		return content.IsPathSegmentName // as system:node
	}
	return validation.IsDNS1123Subdomain
}

// maxAnnotations is upstream's api/validation.TotalAnnotationSizeLimitB, in bytes.
const maxAnnotations = 256 << 10

// labels checks labels and annotations.
func (c check) labels(path *field.Path, meta *metav1.ObjectMeta) {
	for _, key := range slices.Sorted(maps.Keys(meta.Labels)) {
		at := path.Child("labels").Key(key)
		c.all(at, validation.IsQualifiedName(key))
		c.all(at, validation.IsValidLabelValue(meta.Labels[key]))
	}
	size := 0
	for _, key := range slices.Sorted(maps.Keys(meta.Annotations)) {
		// Upstream compares keys in lower case, so that upper-case domains are allowed.
		c.all(path.Child("annotations").Key(key), validation.IsQualifiedName(strings.ToLower(key)))
		size += len(key) + len(meta.Annotations[key])
	}
	if size > maxAnnotations {
		c.add(path.Child("annotations"), "must not be larger than %d bytes together", maxAnnotations)
	}
}

// selector checks a label selector.
func (c check) selector(path *field.Path, selector *metav1.LabelSelector) {
	c.list(metav1validation.ValidateLabelSelector(selector, metav1validation.LabelSelectorValidationOptions{}, path))
}

// maxData is upstream's MaxSecretSize, for ConfigMaps too, in bytes.
const maxData = 1 << 20

func (c check) configMap(m *corev1.ConfigMap) {
	size := 0
	for _, key := range slices.Sorted(maps.Keys(m.Data)) {
		c.all(field.NewPath("data").Key(key), validation.IsConfigMapKey(key))
		size += len(m.Data[key])
		if _, both := m.BinaryData[key]; both {
			c.add(field.NewPath("data").Key(key), "is also in binaryData")
		}
	}
	for _, key := range slices.Sorted(maps.Keys(m.BinaryData)) {
		c.all(field.NewPath("binaryData").Key(key), validation.IsConfigMapKey(key))
		size += len(m.BinaryData[key])
	}
	if size > maxData {
		c.add(field.NewPath("data"), "must not be larger than %d bytes together", maxData)
	}
}
