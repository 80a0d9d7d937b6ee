package manifests

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
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
	case c.object.Kind == "Namespace" && c.object.Namespace != "":
		c.add(path.Child("namespace"), "must not be set: a Namespace belongs to none")
	case c.object.Kind != "Namespace":
		c.all(path.Child("namespace"), validation.IsDNS1123Label(c.object.Namespace))
	}
	c.labels(path, meta)
}

// nameRule is what a name may be. Names of Services and Namespaces are parts of DNS names.
func nameRule(kind string) func(string) []string {
	if kind == "Namespace" || kind == "Service" {
		return validation.IsDNS1123Label
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

// secret is checked after defaults, which move stringData into data.
func (c check) secret(s *corev1.Secret) {
	size := 0
	for _, key := range slices.Sorted(maps.Keys(s.Data)) {
		for _, rule := range validation.IsConfigMapKey(key) {
			e := c.object.errorf(c.secretKey(key).String(), "%s", rule)
			e.Field, _, _ = strings.Cut(e.Field, "[") // the key is not told: a line of an env file may have become one
			c.errs.add(e)
		}
		size += len(s.Data[key])
	}
	if size > maxData {
		c.add(field.NewPath("data"), "must not be larger than %d bytes together", maxData)
	}
	for _, key := range secretKeys[s.Type] {
		if _, there := s.Data[key]; !there {
			c.add(field.NewPath("type"), "Secrets of type %s must have the key %s", s.Type, key)
		}
	}
	if text, there := s.Data[corev1.DockerConfigJsonKey]; there && s.Type == corev1.SecretTypeDockerConfigJson && !json.Valid(text) {
		c.add(c.secretKey(corev1.DockerConfigJsonKey), "must be JSON")
	}
}

// secretKey is where a key of a Secret was written.
func (c check) secretKey(key string) *field.Path {
	if c.object.Raw != nil {
		if written, ok := c.object.Raw.Object["stringData"].(map[string]any); ok {
			if _, there := written[key]; there {
				return field.NewPath("stringData").Key(key)
			}
		}
	}
	return field.NewPath("data").Key(key)
}

// secretKeys are what upstream requires of the types it knows.
var secretKeys = map[corev1.SecretType][]string{
	corev1.SecretTypeTLS:              {corev1.TLSCertKey, corev1.TLSPrivateKeyKey},
	corev1.SecretTypeSSHAuth:          {corev1.SSHAuthPrivateKey},
	corev1.SecretTypeDockerConfigJson: {corev1.DockerConfigJsonKey},
	corev1.SecretTypeDockercfg:        {corev1.DockerConfigKey},
}
