package reconcile

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

// clusterDomain ends every Service's name.
const clusterDomain = "cluster.local"

// sandboxConfig says what the containers of a pod share. Upstream: generatePodSandboxConfig
// (pkg/kubelet/kuberuntime/kuberuntime_sandbox.go).
func sandboxConfig(set *manifests.Set, pod *corev1.Pod) (runtime.SandboxConfig, error) {
	config := runtime.SandboxConfig{
		Pod:      pod,
		Hostname: hostname(pod),
		Search:   []string{pod.Namespace + ".svc." + clusterDomain, "svc." + clusterDomain, clusterDomain},
	}
	for _, c := range pod.Spec.Containers {
		for _, port := range c.Ports {
			if port.HostPort != 0 {
				config.Ports = append(config.Ports, port)
			}
		}
	}
	for i := range pod.Spec.Volumes {
		volume, err := volumeConfig(set, pod, &pod.Spec.Volumes[i])
		if err != nil {
			return config, fmt.Errorf("volume %s of pod %s/%s: %w", pod.Spec.Volumes[i].Name, pod.Namespace, pod.Name, err)
		}
		config.Volumes = append(config.Volumes, volume)
	}
	return config, nil
}

// hostname is the pod's name, or the one asked for, cut to the 63 characters that Linux allows.
func hostname(pod *corev1.Pod) string {
	name := pod.Spec.Hostname
	if name == "" {
		name = pod.Name
	}
	return strings.TrimRight(name[:min(len(name), 63)], "-.")
}

func volumeConfig(set *manifests.Set, pod *corev1.Pod, v *corev1.Volume) (runtime.Volume, error) {
	out := runtime.Volume{Name: v.Name}
	var err error
	switch {
	case v.EmptyDir != nil:
		out.Kind, out.Memory = runtime.EmptyDir, v.EmptyDir.Medium == corev1.StorageMediumMemory
		if v.EmptyDir.SizeLimit != nil {
			out.SizeLimit = v.EmptyDir.SizeLimit.Value()
		}
	case v.HostPath != nil:
		out.Kind, out.HostPath = runtime.HostPath, v.HostPath.Path
	case v.ConfigMap != nil:
		source := v.ConfigMap
		out.Kind = runtime.Files
		out.Files, err = files(configData(set, pod.Namespace, source.Name), source.Items, source.DefaultMode, source.Optional)
	case v.Secret != nil:
		source := v.Secret
		out.Kind, out.Memory = runtime.Files, true
		out.Files, err = files(secretData(set, pod.Namespace, source.SecretName), source.Items, source.DefaultMode, source.Optional)
	default:
		err = fmt.Errorf("this kind of volume is not supported")
	}
	return out, err
}

// keyed is the data of a ConfigMap or Secret; nil data means there is no such object in the commit.
type keyed struct {
	what string
	data map[string][]byte
}

func configData(set *manifests.Set, namespace, name string) keyed {
	out := keyed{what: fmt.Sprintf("ConfigMap %s/%s", namespace, name)}
	if object := set.Find("ConfigMap", namespace, name); object != nil && object.Value != nil {
		config := object.Value.(*corev1.ConfigMap)
		out.data = map[string][]byte{}
		for k, v := range config.Data {
			out.data[k] = []byte(v)
		}
		for k, v := range config.BinaryData {
			out.data[k] = v
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

// files projects keys to paths; all of them, or the listed ones. Upstream: pkg/volume/configmap MakePayload.
func files(source keyed, items []corev1.KeyToPath, mode *int32, optional *bool) ([]runtime.File, error) {
	if source.data == nil {
		if isTrue(optional) {
			return nil, nil
		}
		return nil, source.missing()
	}
	defaultMode := int32(corev1.ConfigMapVolumeSourceDefaultMode)
	if mode != nil {
		defaultMode = *mode
	}
	if len(items) == 0 {
		for _, key := range source.keys() {
			items = append(items, corev1.KeyToPath{Key: key, Path: key})
		}
	}
	var out []runtime.File
	for _, item := range items {
		data, ok := source.data[item.Key]
		if !ok && isTrue(optional) {
			continue
		}
		if !ok {
			return nil, source.missingKey(item.Key)
		}
		file := runtime.File{Path: path.Clean(item.Path), Data: data, Mode: defaultMode}
		if item.Mode != nil {
			file.Mode = *item.Mode
		}
		out = append(out, file)
	}
	return out, nil
}

// location is what the downward API tells of where a pod runs.
type location struct{ ip, hostIP, node string }

// containerConfig resolves everything a container refers to. Upstream: generateContainerConfig
// (pkg/kubelet/kuberuntime/kuberuntime_container.go).
func containerConfig(set *manifests.Set, pod *corev1.Pod, at location, a plan.StartContainer) (runtime.ContainerConfig, error) {
	i := slices.IndexFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == a.Container })
	if i < 0 {
		return runtime.ContainerConfig{}, fmt.Errorf("pod %s/%s has no container %s", pod.Namespace, pod.Name, a.Container)
	}
	c := &pod.Spec.Containers[i]
	env, err := environment(set, pod, at, c)
	if err != nil {
		return runtime.ContainerConfig{}, fmt.Errorf("configure container %s/%s/%s: %w", pod.Namespace, pod.Name, c.Name, err)
	}
	lookup := map[string]string{}
	for _, e := range env {
		lookup[e.Name] = e.Value
	}
	config := runtime.ContainerConfig{
		Name: c.Name, Attempt: a.Attempt, Backoff: a.Backoff, Image: c.Image, ImageID: a.ImageID,
		Command: expandAll(c.Command, lookup), Args: expandAll(c.Args, lookup), WorkingDir: c.WorkingDir,
		Env: env, Resources: c.Resources, SecurityContext: c.SecurityContext, PodSecurity: pod.Spec.SecurityContext,
		Stdin: c.Stdin, StdinOnce: c.StdinOnce, TTY: c.TTY,
	}
	if pod.Spec.TerminationGracePeriodSeconds != nil {
		config.GracePeriod = time.Duration(*pod.Spec.TerminationGracePeriodSeconds) * time.Second
	}
	for _, m := range c.VolumeMounts {
		config.Mounts = append(config.Mounts, runtime.Mount{Volume: m.Name, Path: m.MountPath, SubPath: m.SubPath, ReadOnly: m.ReadOnly})
	}
	return config, nil
}

// environment is envFrom, then env; a later name replaces an earlier one. Upstream: makeEnvironmentVariables
// (pkg/kubelet/kubelet_pods.go).
func environment(set *manifests.Set, pod *corev1.Pod, at location, c *corev1.Container) ([]runtime.EnvVar, error) {
	env := &variables{index: map[string]int{}}
	for _, from := range c.EnvFrom {
		if err := env.addAll(set, pod.Namespace, from); err != nil {
			return nil, err
		}
	}
	for _, v := range c.Env {
		value, ok, err := variable(set, pod, at, c, v, env)
		if err != nil {
			return nil, fmt.Errorf("env %s: %w", v.Name, err)
		}
		if ok {
			env.set(v.Name, value)
		}
	}
	return env.list, nil
}

// variables keep their order, for a later one may refer to an earlier one.
type variables struct {
	list  []runtime.EnvVar
	index map[string]int
}

func (v *variables) set(name, value string) {
	if i, ok := v.index[name]; ok {
		v.list[i].Value = value
		return
	}
	v.index[name] = len(v.list)
	v.list = append(v.list, runtime.EnvVar{Name: name, Value: value})
}

func (v *variables) get(name string) (string, bool) {
	i, ok := v.index[name]
	if !ok {
		return "", false
	}
	return v.list[i].Value, true
}

func (v *variables) addAll(set *manifests.Set, namespace string, from corev1.EnvFromSource) error {
	var source keyed
	var optional *bool
	switch {
	case from.ConfigMapRef != nil:
		source, optional = configData(set, namespace, from.ConfigMapRef.Name), from.ConfigMapRef.Optional
	case from.SecretRef != nil:
		source, optional = secretData(set, namespace, from.SecretRef.Name), from.SecretRef.Optional
	}
	if source.data == nil && !isTrue(optional) {
		return fmt.Errorf("envFrom: %w", source.missing())
	}
	for _, key := range source.keys() {
		v.set(from.Prefix+key, string(source.data[key]))
	}
	return nil
}

// variable resolves one entry of env. ok is false for an optional reference to nothing.
func variable(set *manifests.Set, pod *corev1.Pod, at location, c *corev1.Container, v corev1.EnvVar, env *variables) (value string, ok bool, err error) {
	if v.ValueFrom == nil {
		return expand(v.Value, env.get), true, nil
	}
	switch from := v.ValueFrom; {
	case from.ConfigMapKeyRef != nil:
		ref := from.ConfigMapKeyRef
		return key(configData(set, pod.Namespace, ref.Name), ref.Key, ref.Optional)
	case from.SecretKeyRef != nil:
		ref := from.SecretKeyRef
		return key(secretData(set, pod.Namespace, ref.Name), ref.Key, ref.Optional)
	case from.FieldRef != nil:
		value, err = fieldValue(pod, at, from.FieldRef.FieldPath)
		return value, true, err
	case from.ResourceFieldRef != nil:
		value, err = resourceValue(pod, c, from.ResourceFieldRef)
		return value, true, err
	}
	return "", false, fmt.Errorf("valueFrom says nothing")
}

func key(source keyed, name string, optional *bool) (string, bool, error) {
	data, ok := source.data[name]
	switch {
	case ok:
		return string(data), true, nil
	case isTrue(optional):
		return "", false, nil
	case source.data == nil:
		return "", false, source.missing()
	default:
		return "", false, source.missingKey(name)
	}
}

// fieldValue is the downward API for env. Upstream: podFieldSelectorRuntimeValue (pkg/kubelet/kubelet_pods.go) and
// ExtractFieldPathAsString (pkg/fieldpath).
func fieldValue(pod *corev1.Pod, at location, path string) (string, error) {
	if name, subscript, ok := strings.Cut(strings.TrimSuffix(path, "']"), "['"); ok {
		switch name {
		case "metadata.annotations":
			return pod.Annotations[subscript], nil
		case "metadata.labels":
			return pod.Labels[subscript], nil
		}
	}
	switch path {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	case "spec.nodeName":
		return at.node, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.podIP", "status.podIPs":
		return at.ip, nil
	case "status.hostIP", "status.hostIPs":
		return at.hostIP, nil
	}
	return "", fmt.Errorf("field %s is not one of the downward API", path)
}

// resourceValue is a limit or request of a container, divided. Upstream: ExtractContainerResourceValue (pkg/api/v1/resource).
func resourceValue(pod *corev1.Pod, c *corev1.Container, ref *corev1.ResourceFieldSelector) (string, error) {
	if ref.ContainerName != "" && ref.ContainerName != c.Name {
		i := slices.IndexFunc(pod.Spec.Containers, func(o corev1.Container) bool { return o.Name == ref.ContainerName })
		if i < 0 {
			return "", fmt.Errorf("pod has no container %s", ref.ContainerName)
		}
		c = &pod.Spec.Containers[i]
	}
	list, name, _ := strings.Cut(ref.Resource, ".")
	quantities := c.Resources.Limits
	if list == "requests" {
		quantities = c.Resources.Requests
	}
	quantity := quantities[corev1.ResourceName(name)]
	divisor := ref.Divisor
	if divisor.IsZero() {
		divisor = resource.MustParse("1")
	}
	if name == string(corev1.ResourceCPU) {
		return strconv.FormatInt(ceilDiv(quantity.MilliValue(), divisor.MilliValue()), 10), nil
	}
	return strconv.FormatInt(ceilDiv(quantity.Value(), divisor.Value()), 10), nil
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / max(b, 1) }

func expandAll(in []string, lookup map[string]string) []string {
	var out []string
	for _, s := range in {
		out = append(out, expand(s, func(name string) (string, bool) { v, ok := lookup[name]; return v, ok }))
	}
	return out
}

// expand replaces $(NAME); $$(NAME) stays $(NAME), and an unknown name stays as it is. Upstream:
// k8s.io/kubernetes/third_party/forked/golang/expansion. Worked example with A=1: "$(A) $$(A) $(B)" → "1 $(A) $(B)".
func expand(s string, get func(string) (string, bool)) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '$' || i+1 == len(s) {
			out.WriteByte(s[i])
			continue
		}
		switch s[i+1] {
		case '$':
			out.WriteByte('$')
			i++
		case '(':
			end := strings.IndexByte(s[i:], ')')
			if end < 0 {
				out.WriteByte('$')
				continue
			}
			value, ok := get(s[i+2 : i+end])
			if !ok {
				value = s[i : i+end+1]
			}
			out.WriteString(value)
			i += end
		default:
			out.WriteByte('$')
		}
	}
	return out.String()
}
