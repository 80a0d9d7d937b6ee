package manifests

import (
	"fmt"
	"regexp"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// references checks that what objects name is in the Set. A cluster would wait for a ConfigMap, Secret or claim; here
// the commit is all there is, so waiting would never end. What a pod does without in a cluster, or what changes nothing
// but how it runs, is a warning.
func (c check) references(set *Set) {
	r := resolver{check: c, set: set}
	r.owners()
	if t, ok := TemplateOf(c.object); ok {
		r.pod(t.path.Child("spec"), t.Spec)
	}
	switch v := c.object.Value.(type) {
	case *appsv1.StatefulSet:
		r.statefulSet(field.NewPath("spec"), &v.Spec)
	case *autoscalingv2.HorizontalPodAutoscaler:
		r.autoscaler(field.NewPath("spec"), v)
	case *networkingv1.Ingress:
		r.ingress(field.NewPath("spec"), v)
	case *Endpoints:
		r.serviceOfEndpoints(v)
	case *discoveryv1.EndpointSlice:
		r.serviceOfSlice(v)
	case *corev1.ServiceAccount:
		r.pullSecrets(field.NewPath("imagePullSecrets"), v.ImagePullSecrets)
	case *corev1.PersistentVolumeClaim:
		r.persistentVolume(field.NewPath("spec", "volumeName"), v)
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
	for i := range spec.InitContainers {
		r.container(path.Child("initContainers").Index(i), &spec.InitContainers[i])
	}
	for i := range spec.Containers {
		r.container(path.Child("containers").Index(i), &spec.Containers[i])
	}
	claims := claimVolumes(r.check.object.Value)
	for i := range spec.Volumes {
		if !claims[spec.Volumes[i].Name] {
			r.podVolume(path.Child("volumes").Index(i), &spec.Volumes[i])
		}
	}
	r.pullSecrets(path.Child("imagePullSecrets"), spec.ImagePullSecrets)
	if name := spec.ServiceAccountName; name != "" && name != "default" && !r.there("ServiceAccount", r.check.object.Namespace, name) {
		r.warn(path.Child("serviceAccountName"), "ServiceAccount %s/%s is not in the commit: the pod runs without it", r.check.object.Namespace, name)
	}
	if name := spec.RuntimeClassName; name != nil && *name != "" && !r.there("RuntimeClass", "", *name) {
		r.warn(path.Child("runtimeClassName"), "RuntimeClass %s is not in the commit: containers run under the engine's runtime %[1]s if it has one, else under its default, without the isolation that the class stands for", *name)
	}
}

func (r resolver) podVolume(path *field.Path, v *corev1.Volume) {
	if m := v.ConfigMap; m != nil {
		r.volume(path.Child("configMap"), "name", dataRef{"ConfigMap", m.Name, m.Optional}, m.Items)
	}
	if s := v.Secret; s != nil {
		r.volume(path.Child("secret"), "secretName", dataRef{"Secret", s.SecretName, s.Optional}, s.Items)
	}
	if p := v.Projected; p != nil {
		for i, source := range p.Sources {
			r.projection(path.Child("projected", "sources").Index(i), source)
		}
	}
	if claim := v.PersistentVolumeClaim; claim != nil && claim.ClaimName != "" && !r.claim(claim.ClaimName) {
		r.add(path.Child("persistentVolumeClaim", "claimName"), "PersistentVolumeClaim %s/%s is not in the commit: add it", r.check.object.Namespace, claim.ClaimName)
	}
}

// ordinalSuffix cuts the name of a claim that a StatefulSet makes.
var ordinalSuffix = regexp.MustCompile(`^(.+)-(0|[1-9][0-9]*)$`)

// claim tells whether a claim is in the Set, or made by a StatefulSet in it. Any ordinal will do: claims are kept when the
// set gets smaller.
func (r resolver) claim(name string) bool {
	namespace := r.check.object.Namespace
	if r.there("PersistentVolumeClaim", namespace, name) {
		return true
	}
	m := ordinalSuffix.FindStringSubmatch(name)
	return m != nil && slices.ContainsFunc(All[*appsv1.StatefulSet](r.set), func(s *appsv1.StatefulSet) bool {
		return s.Namespace == namespace && slices.ContainsFunc(s.Spec.VolumeClaimTemplates, func(c corev1.PersistentVolumeClaim) bool {
			return c.Name+"-"+s.Name == m[1]
		})
	})
}

func (r resolver) statefulSet(path *field.Path, spec *appsv1.StatefulSetSpec) {
	if name := spec.ServiceName; name != "" && !r.there("Service", r.check.object.Namespace, name) {
		r.warn(path.Child("serviceName"), "Service %s/%s is not in the commit: the pods have no names in DNS", r.check.object.Namespace, name)
	}
	for i := range spec.VolumeClaimTemplates {
		r.persistentVolume(path.Child("volumeClaimTemplates").Index(i).Child("spec", "volumeName"), &spec.VolumeClaimTemplates[i])
	}
}

func (r resolver) projection(path *field.Path, source corev1.VolumeProjection) {
	if m := source.ConfigMap; m != nil {
		r.volume(path.Child("configMap"), "name", dataRef{"ConfigMap", m.Name, m.Optional}, m.Items)
	}
	if s := source.Secret; s != nil {
		r.volume(path.Child("secret"), "name", dataRef{"Secret", s.Name, s.Optional}, s.Items)
	}
}

// there tells whether an object is in the Set, and of a version that is known.
func (r resolver) there(kind, namespace, name string) bool {
	o := r.set.Find(kind, namespace, name)
	return o != nil && o.Value != nil
}

// pullSecrets warns of those that do not help to pull an image. Upstream goes on without them, too
// (pkg/kubelet/kubelet_pods.go, getPullSecretsForPod).
func (r resolver) pullSecrets(path *field.Path, secrets []corev1.LocalObjectReference) {
	for i, ref := range secrets {
		at, what := path.Index(i).Child("name"), dataRef{kind: "Secret", name: ref.Name}.ref(r.check.object.Namespace)
		o := r.set.Find("Secret", r.check.object.Namespace, ref.Name)
		if o == nil || o.Value == nil {
			r.warn(at, "%s is not in the commit: images are pulled without it", what)
			continue
		}
		if t := o.Value.(*corev1.Secret).Type; t != corev1.SecretTypeDockerConfigJson && t != corev1.SecretTypeDockercfg {
			r.warn(at, "%s is not of type %s: images are pulled without it", what, corev1.SecretTypeDockerConfigJson)
		}
	}
}

// persistentVolume looks for the volume that a claim names. A claim that adopts a volume of the engine needs none.
func (r resolver) persistentVolume(path *field.Path, claim *corev1.PersistentVolumeClaim) {
	name := claim.Spec.VolumeName
	if _, adopts := claim.Annotations[VolumeAnnotation]; adopts || name == "" || r.there("PersistentVolume", "", name) {
		return
	}
	r.add(path, "PersistentVolume %s is not in the commit: add it, or leave the name out to get a new volume", name)
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
