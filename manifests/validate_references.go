package manifests

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// references checks that the ConfigMaps and Secrets that pods name are in the Set. A cluster would wait for them; here
// the commit is all there is, so waiting would never end.
func (c check) references(set *Set) {
	r := resolver{check: c, set: set}
	switch v := c.object.Value.(type) {
	case *corev1.Pod:
		r.pod(field.NewPath("spec"), &v.Spec)
	case *appsv1.Deployment:
		r.pod(field.NewPath("spec", "template", "spec"), &v.Spec.Template.Spec)
	}
}

type resolver struct {
	check
	set *Set
}

// dataRef is a ConfigMap or Secret that is named.
type dataRef struct {
	kind, name string
	optional   *bool
}

func (r resolver) pod(path *field.Path, spec *corev1.PodSpec) {
	for i := range spec.Containers {
		r.container(path.Child("containers").Index(i), &spec.Containers[i])
	}
	for i, v := range spec.Volumes {
		at := path.Child("volumes").Index(i)
		if m := v.ConfigMap; m != nil {
			r.volume(at.Child("configMap"), "name", dataRef{"ConfigMap", m.Name, m.Optional}, m.Items)
		}
		if s := v.Secret; s != nil {
			r.volume(at.Child("secret"), "secretName", dataRef{"Secret", s.SecretName, s.Optional}, s.Items)
		}
	}
}

func (r resolver) container(path *field.Path, container *corev1.Container) {
	for i, from := range container.EnvFrom {
		at := path.Child("envFrom").Index(i)
		if m := from.ConfigMapRef; m != nil {
			r.find(at.Child("configMapRef", "name"), dataRef{"ConfigMap", m.Name, m.Optional})
		}
		if s := from.SecretRef; s != nil {
			r.find(at.Child("secretRef", "name"), dataRef{"Secret", s.Name, s.Optional})
		}
	}
	for i, env := range container.Env {
		if env.ValueFrom == nil {
			continue
		}
		at := path.Child("env").Index(i).Child("valueFrom")
		if m := env.ValueFrom.ConfigMapKeyRef; m != nil {
			r.key(at.Child("configMapKeyRef"), dataRef{"ConfigMap", m.Name, m.Optional}, m.Key)
		}
		if s := env.ValueFrom.SecretKeyRef; s != nil {
			r.key(at.Child("secretKeyRef"), dataRef{"Secret", s.Name, s.Optional}, s.Key)
		}
	}
}

func (r resolver) volume(path *field.Path, nameField string, t dataRef, items []corev1.KeyToPath) {
	keys, found := r.find(path.Child(nameField), t)
	for i, item := range items {
		if found {
			r.oneKey(path.Child("items").Index(i).Child("key"), t, keys, item.Key)
		}
	}
}

func (r resolver) key(path *field.Path, t dataRef, key string) {
	if keys, found := r.find(path.Child("name"), t); found {
		r.oneKey(path.Child("key"), t, keys, key)
	}
}

const addOrOptional = "is not in the commit: add it, or mark the reference optional"

// find returns the keys of what t names. found is false also where nothing more is to be said: a name that is missing was
// reported, an optional object may be missing.
func (r resolver) find(path *field.Path, t dataRef) (keys []string, found bool) {
	if t.name == "" {
		return nil, false
	}
	o := r.set.Find(t.kind, r.check.object.Namespace, t.name)
	if o == nil || o.Value == nil {
		if !t.isOptional() {
			r.add(path, "%s %s", t.ref(r.check.object.Namespace), addOrOptional)
		}
		return nil, false
	}
	return dataKeys(o.Value), true
}

func (r resolver) oneKey(path *field.Path, t dataRef, keys []string, key string) {
	if key != "" && !t.isOptional() && !slices.Contains(keys, key) {
		r.add(path, "key %s of %s %s", key, t.ref(r.check.object.Namespace), addOrOptional)
	}
}

func (t dataRef) isOptional() bool { return t.optional != nil && *t.optional }

func (t dataRef) ref(namespace string) string {
	return fmt.Sprintf("%s %s/%s", t.kind, namespace, t.name)
}

// dataKeys are the keys of a ConfigMap or Secret.
func dataKeys(value any) []string {
	var out []string
	switch v := value.(type) {
	case *corev1.ConfigMap:
		for key := range v.Data {
			out = append(out, key)
		}
		for key := range v.BinaryData {
			out = append(out, key)
		}
	case *corev1.Secret:
		for key := range v.Data {
			out = append(out, key)
		}
	}
	return out
}
