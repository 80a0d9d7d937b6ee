package manifests

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Pin returns the set with images named by their content: choose returns, for a container of an object, the digest or the engine's ID
// of what it is to run, or "" to leave it alone. What is pinned is pulled only if it is not here.
func (s *Set) Pin(choose func(*Object, *corev1.Container) string) (*Set, error) {
	pinned := s.With(nil)
	changed := false
	for _, o := range s.Objects {
		spec, path := podSpecOf(o)
		raw := o.Raw
		for _, c := range containersOf(spec) {
			if content := choose(o, c); content != "" && content != c.Image {
				if raw == o.Raw {
					raw = o.Raw.DeepCopy()
				}
				pinContainer(raw, path, c, content)
				changed = true
			}
		}
		pinned.Objects = append(pinned.Objects, &Object{Ref: o.Ref, Position: o.Position, Raw: raw})
	}
	if !changed {
		return s, nil
	}
	out, err := Decode(pinned.YAML(false), Options{})
	if err != nil {
		return nil, fmt.Errorf("pin images: %w", err)
	}
	return out, nil
}

// podSpecOf is the spec of the pods of an object, and where it is; nil if it makes none.
func podSpecOf(o *Object) (*corev1.PodSpec, []string) {
	switch v := o.Value.(type) {
	case *corev1.Pod:
		return &v.Spec, []string{"spec"}
	case *batchv1.CronJob:
		return &v.Spec.JobTemplate.Spec.Template.Spec, []string{"spec", "jobTemplate", "spec", "template", "spec"}
	}
	if w, ok := WorkloadOf(o.Value); ok && w.Template != nil {
		return &w.Template.Spec, []string{"spec", "template", "spec"}
	}
	return nil, nil
}

func containersOf(spec *corev1.PodSpec) []*corev1.Container {
	var out []*corev1.Container
	if spec != nil {
		for i := range spec.InitContainers {
			out = append(out, &spec.InitContainers[i])
		}
		for i := range spec.Containers {
			out = append(out, &spec.Containers[i])
		}
	}
	return out
}

// pinContainer changes a container in the object as rendered. An image volume has no name of its own here, and stays.
func pinContainer(raw *unstructured.Unstructured, path []string, c *corev1.Container, content string) {
	for _, list := range []string{"initContainers", "containers"} {
		at := append(append([]string(nil), path...), list)
		containers, _, _ := unstructured.NestedSlice(raw.Object, at...)
		for _, item := range containers {
			if container, ok := item.(map[string]any); ok && container["name"] == c.Name {
				container["image"] = content
				if c.ImagePullPolicy == corev1.PullAlways {
					container["imagePullPolicy"] = string(corev1.PullIfNotPresent)
				}
			}
		}
		if len(containers) > 0 {
			_ = unstructured.SetNestedSlice(raw.Object, containers, at...) // it was there
		}
	}
}
