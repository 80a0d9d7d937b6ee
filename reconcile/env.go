package reconcile

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
)

// environment is envFrom, then env; a later name replaces an earlier one. Those of Services come last and replace none.
// Upstream: makeEnvironmentVariables and getServiceEnvVarMap (pkg/kubelet/kubelet_pods.go).
func (o origin) environment(pod *corev1.Pod, c *corev1.Container) (*variables, error) {
	env := &variables{index: map[string]int{}}
	if pod.Spec.EnableServiceLinks == nil || *pod.Spec.EnableServiceLinks {
		env.links = serviceLinks(o.services, pod.Namespace)
	}
	for _, from := range c.EnvFrom {
		if err := env.addAll(o.set, pod.Namespace, from); err != nil {
			return nil, err
		}
	}
	for _, v := range c.Env {
		value, ok, err := o.variable(pod, c, v, env)
		if err != nil {
			return nil, fmt.Errorf("env %s: %w", v.Name, err)
		}
		if ok {
			env.set(v.Name, value)
		}
	}
	env.addLinks()
	return env, nil
}

// variables keep their order, for a later one may refer to an earlier one. links are those of Services, to which all may refer.
type variables struct {
	list, links []runtime.EnvVar
	index       map[string]int
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
	if i, ok := v.index[name]; ok {
		return v.list[i].Value, true
	}
	if i := slices.IndexFunc(v.links, func(l runtime.EnvVar) bool { return l.Name == name }); i >= 0 {
		return v.links[i].Value, true
	}
	return "", false
}

func (v *variables) addLinks() {
	for _, l := range v.links {
		if _, there := v.index[l.Name]; !there {
			v.set(l.Name, l.Value)
		}
	}
}

func (v *variables) addAll(set *manifests.Set, namespace string, from corev1.EnvFromSource) error {
	var source keyed
	var optional *bool
	switch {
	case from.ConfigMapRef != nil:
		source, optional = configText(set, namespace, from.ConfigMapRef.Name), from.ConfigMapRef.Optional
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
func (o origin) variable(pod *corev1.Pod, c *corev1.Container, v corev1.EnvVar, env *variables) (value string, ok bool, err error) {
	if v.ValueFrom == nil {
		return expand(v.Value, env.get), true, nil
	}
	switch from := v.ValueFrom; {
	case from.ConfigMapKeyRef != nil:
		ref := from.ConfigMapKeyRef
		return key(configText(o.set, pod.Namespace, ref.Name), ref.Key, ref.Optional)
	case from.SecretKeyRef != nil:
		ref := from.SecretKeyRef
		return key(secretData(o.set, pod.Namespace, ref.Name), ref.Key, ref.Optional)
	case from.FieldRef != nil:
		value, err = o.fieldValue(pod, from.FieldRef.FieldPath)
		return value, true, err
	case from.ResourceFieldRef != nil:
		value, err = o.resourceValue(pod, c, from.ResourceFieldRef)
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
