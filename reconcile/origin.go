package reconcile

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
)

// origin is all that a pod's configuration is made from besides its manifest.
type origin struct {
	// set holds the ConfigMaps, Secrets, claims and classes that pods refer to; state tells of the host.
	set   *manifests.Set
	state *runtime.State
	// services are those of the last plan, with their addresses.
	services []*corev1.Service
	// ip is the pod's address; empty before it has one.
	ip string
}

// keyed is the data of a ConfigMap or Secret; nil data means there is no such object in the commit.
type keyed struct {
	what string
	data map[string][]byte
}

// configData is what a volume shows of a ConfigMap.
func configData(set *manifests.Set, namespace, name string) keyed {
	out := configText(set, namespace, name)
	if object := set.Find("ConfigMap", namespace, name); out.data != nil {
		for k, v := range object.Value.(*corev1.ConfigMap).BinaryData {
			out.data[k] = v
		}
	}
	return out
}

// configText is what environments see of a ConfigMap: binary data is none of it, as upstream.
func configText(set *manifests.Set, namespace, name string) keyed {
	out := keyed{what: fmt.Sprintf("ConfigMap %s/%s", namespace, name)}
	if object := set.Find("ConfigMap", namespace, name); object != nil && object.Value != nil {
		out.data = map[string][]byte{}
		for k, v := range object.Value.(*corev1.ConfigMap).Data {
			out.data[k] = []byte(v)
		}
	}
	return out
}

func secretData(set *manifests.Set, namespace, name string) keyed {
	out := keyed{what: fmt.Sprintf("Secret %s/%s", namespace, name)}
	if object := set.Find("Secret", namespace, name); object != nil && object.Value != nil {
		out.data = map[string][]byte{}
		for k, v := range object.Value.(*corev1.Secret).Data {
			out.data[k] = v
		}
	}
	return out
}

func (k keyed) missing() error { return fmt.Errorf("%s is not in the commit", k.what) }

func (k keyed) missingKey(key string) error { return fmt.Errorf("%s has no key %s", k.what, key) }

func (k keyed) keys() []string {
	keys := make([]string, 0, len(k.data))
	for key := range k.data {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func isTrue(b *bool) bool { return b != nil && *b }

// containerSpec finds a container of a pod's manifest by name, an init container too; nil if there is none.
func containerSpec(pod *corev1.Pod, name string) *corev1.Container {
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}

// isSidecar tells an init container that runs beside the app containers. Upstream: podutil.IsRestartableInitContainer.
func isSidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}
