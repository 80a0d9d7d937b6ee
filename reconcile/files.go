package reconcile

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

// projection collects the files of one volume. What comes later replaces what has the same path, as upstream's
// collectData (pkg/volume/projected/projected.go).
type projection struct {
	files map[string]runtime.File
	mode  int32
	// secret: there is a Secret's data among them, which is kept off the disk.
	secret bool
}

func newProjection(mode *int32) *projection {
	p := &projection{files: map[string]runtime.File{}, mode: corev1.ConfigMapVolumeSourceDefaultMode}
	if mode != nil {
		p.mode = *mode
	}
	return p
}

// projected is what a volume of files shows.
func (o origin) projected(pod *corev1.Pod, v *corev1.Volume) (p *projection, err error) {
	switch {
	case v.ConfigMap != nil:
		p = newProjection(v.ConfigMap.DefaultMode)
		err = p.keys(configData(o.set, pod.Namespace, v.ConfigMap.Name), v.ConfigMap.Items, v.ConfigMap.Optional)
	case v.Secret != nil:
		p = newProjection(v.Secret.DefaultMode)
		p.secret = true
		err = p.keys(secretData(o.set, pod.Namespace, v.Secret.SecretName), v.Secret.Items, v.Secret.Optional)
	case v.DownwardAPI != nil:
		p = newProjection(v.DownwardAPI.DefaultMode)
		err = o.downward(p, pod, v.DownwardAPI.Items)
	case v.Projected != nil:
		p = newProjection(v.Projected.DefaultMode)
		for i := range v.Projected.Sources {
			if err := o.source(p, pod, &v.Projected.Sources[i]); err != nil {
				return nil, err
			}
		}
	}
	return p, err
}

// source adds one source of a projected volume.
func (o origin) source(p *projection, pod *corev1.Pod, source *corev1.VolumeProjection) error {
	switch {
	case source.ConfigMap != nil:
		return p.keys(configData(o.set, pod.Namespace, source.ConfigMap.Name), source.ConfigMap.Items, source.ConfigMap.Optional)
	case source.Secret != nil:
		p.secret = true
		return p.keys(secretData(o.set, pod.Namespace, source.Secret.Name), source.Secret.Items, source.Secret.Optional)
	case source.DownwardAPI != nil:
		return o.downward(p, pod, source.DownwardAPI.Items)
	}
	return fmt.Errorf("this kind of projected source is not supported")
}

// keys projects keys to paths; all of them, or the listed ones. Upstream: pkg/volume/configmap MakePayload.
func (p *projection) keys(source keyed, items []corev1.KeyToPath, optional *bool) error {
	if source.data == nil {
		if isTrue(optional) {
			return nil
		}
		return source.missing()
	}
	if len(items) == 0 {
		for _, key := range source.keys() {
			p.add(key, source.data[key], nil)
		}
	}
	for _, item := range items {
		data, ok := source.data[item.Key]
		switch {
		case ok:
			p.add(item.Path, data, item.Mode)
		case !isTrue(optional):
			return source.missingKey(item.Key)
		}
	}
	return nil
}

// downward projects fields of the pod. Upstream: CollectData (pkg/volume/downwardapi/downwardapi.go).
func (o origin) downward(p *projection, pod *corev1.Pod, items []corev1.DownwardAPIVolumeFile) error {
	for _, item := range items {
		var value string
		var err error
		if item.FieldRef != nil {
			value, err = o.fieldValue(pod, item.FieldRef.FieldPath)
		} else if item.ResourceFieldRef != nil {
			value, err = o.resourceValue(pod, nil, item.ResourceFieldRef)
		}
		if err != nil {
			return fmt.Errorf("file %s: %w", item.Path, err)
		}
		p.add(item.Path, []byte(sortLines(value)), item.Mode)
	}
	return nil
}

func sortLines(s string) string {
	list := strings.Split(s, "\n")
	slices.Sort(list)
	return strings.Join(list, "\n")
}

func (p *projection) add(name string, data []byte, mode *int32) {
	file := runtime.File{Path: path.Clean(name), Data: data, Mode: p.mode}
	if mode != nil {
		file.Mode = *mode
	}
	p.files[file.Path] = file
}

// list is sorted by path.
func (p *projection) list() []runtime.File {
	var out []runtime.File
	for _, name := range slices.Sorted(maps.Keys(p.files)) {
		out = append(out, p.files[name])
	}
	return out
}
