package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/manifests"
)

// FilesHash names what a volume of files shows, by the content of the ConfigMaps and Secrets it refers to as they are in the
// commit. All else that it shows never changes in the life of a pod. It is empty for other volumes.
//
// It has a part for each of them, as "files ConfigMap/web=77aa…", so that two hashes tell which has changed.
func FilesHash(set *manifests.Set, pod *corev1.Pod, volume *corev1.Volume) string {
	hash, _ := filesHash(pod, volume, func(kind, name string) []byte {
		if object := set.Find(kind, pod.Namespace, name); object != nil {
			return contentOf(object.Value)
		}
		return nil
	})
	return hash
}

// filesHash asks for the content of what the volume refers to. It also tells whether something that is required is missing.
func filesHash(pod *corev1.Pod, volume *corev1.Volume, content func(kind, name string) []byte) (hash string, missing bool) {
	sources, ok := filesOf(volume)
	if !ok {
		return "", false
	}
	hash = "files"
	for _, s := range sources {
		data := content(s.kind, s.name)
		missing = missing || data == nil && !s.optional
		hash += " " + s.kind + "/" + s.name + "=" + salted(pod, data)
	}
	return hash, missing
}

// filesSource is a ConfigMap or Secret that a volume shows.
type filesSource struct {
	kind, name string
	optional   bool
}

// filesOf lists what a volume of files shows; ok is false for other volumes.
func filesOf(v *corev1.Volume) (sources []filesSource, ok bool) {
	config := func(name string, optional *bool) {
		sources = append(sources, filesSource{"ConfigMap", name, optional != nil && *optional})
	}
	secret := func(name string, optional *bool) {
		sources = append(sources, filesSource{"Secret", name, optional != nil && *optional})
	}
	switch {
	case v.ConfigMap != nil:
		config(v.ConfigMap.Name, v.ConfigMap.Optional)
	case v.Secret != nil:
		secret(v.Secret.SecretName, v.Secret.Optional)
	case v.Projected != nil:
		for _, s := range v.Projected.Sources {
			if s.ConfigMap != nil {
				config(s.ConfigMap.Name, s.ConfigMap.Optional)
			}
			if s.Secret != nil {
				secret(s.Secret.Name, s.Secret.Optional)
			}
		}
	case v.DownwardAPI == nil:
		return nil, false
	}
	return sources, true
}

// contentOf names the data of a ConfigMap or Secret; nil if there is no such object.
func contentOf(value any) []byte {
	h := sha256.New()
	switch v := value.(type) {
	case *corev1.ConfigMap:
		for _, key := range slices.Sorted(maps.Keys(v.Data)) {
			fmt.Fprintf(h, "%q %d ", key, len(v.Data[key]))
			h.Write([]byte(v.Data[key]))
		}
		hashBytes(h, v.BinaryData)
	case *corev1.Secret:
		hashBytes(h, v.Data)
	default:
		return nil
	}
	return h.Sum(nil)
}

func hashBytes(h hash.Hash, data map[string][]byte) {
	for _, key := range slices.Sorted(maps.Keys(data)) {
		fmt.Fprintf(h, "%q %d ", key, len(data[key]))
		h.Write(data[key])
	}
}

// salted with the pod's identity, equal Secrets of two pods do not show as such.
func salted(pod *corev1.Pod, content []byte) string {
	sum := sha256.Sum256(append([]byte(pod.UID), content...))
	return hex.EncodeToString(sum[:8])
}

// content is contentOf, worked out once for each object.
func (p *planner) content(kind, namespace, name string) []byte {
	ref := manifests.Ref{Kind: kind, Namespace: namespace, Name: name}
	content, known := p.contents[ref]
	if !known {
		content = contentOf(p.find(kind, namespace, name))
		p.contents[ref] = content
	}
	return content
}

// updateVolumes writes the files of a pod's volumes anew where what they show has changed. What left the commit stays as
// it was written: pods of an older template may still want it. Upstream: the kubelet's volume manager does the same on
// every sync (pkg/volume/configmap, pkg/volume/secret).
func (p *planner) updateVolumes(v *podView) {
	for i := range v.Manifest.Spec.Volumes {
		volume := &v.Manifest.Spec.Volumes[i]
		hash, missing := filesHash(v.Manifest, volume, func(kind, name string) []byte {
			return p.content(kind, v.Manifest.Namespace, name)
		})
		if before := v.Written[volume.Name]; hash != before && !missing {
			p.do(UpdateVolume{PodRef: v.ref(), Volume: volume.Name, Hash: hash, Reason: whatChanged(v.Manifest.Namespace, before, hash)})
		}
	}
}

// whatChanged names the first object that differs between two hashes.
func whatChanged(namespace, before, now string) string {
	if before == "" {
		return "what was written last is not known"
	}
	old := partsOf(before)
	parts := partsOf(now)
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		if kind, object, _ := strings.Cut(name, "/"); parts[name] != old[name] {
			return fmt.Sprintf("%s %s/%s changed", kind, namespace, object)
		}
	}
	return "the volume changed"
}

func partsOf(hash string) map[string]string {
	out := map[string]string{}
	for _, part := range strings.Fields(hash) {
		name, value, _ := strings.Cut(part, "=")
		out[name] = value
	}
	return out
}
