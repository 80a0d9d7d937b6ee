package reconcile

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

// containerConfig resolves everything an init or app container refers to.
func (o origin) containerConfig(pod *corev1.Pod, a plan.StartContainer) (runtime.ContainerConfig, error) {
	spec := containerSpec(pod, a.Container)
	if spec == nil {
		return runtime.ContainerConfig{}, fmt.Errorf("pod %s/%s has no container %s", pod.Namespace, pod.Name, a.Container)
	}
	config, err := o.resolve(pod, spec)
	config.Attempt, config.Backoff, config.ImageID = a.Attempt, a.Backoff, a.ImageID
	return config, err
}

// resolve is what a manifest says of a container. Upstream: generateContainerConfig
// (pkg/kubelet/kuberuntime/kuberuntime_container.go).
func (o origin) resolve(pod *corev1.Pod, c *corev1.Container) (runtime.ContainerConfig, error) {
	config := runtime.ContainerConfig{
		Name: c.Name, Image: c.Image, WorkingDir: c.WorkingDir,
		Resources: c.Resources, SecurityContext: c.SecurityContext, PodSecurity: pod.Spec.SecurityContext,
		Stdin: c.Stdin, StdinOnce: c.StdinOnce, TTY: c.TTY, GracePeriod: podGrace(pod),
		TerminationMessagePath: c.TerminationMessagePath, TerminationMessagePolicy: c.TerminationMessagePolicy,
	}
	if c.Lifecycle != nil && c.Lifecycle.StopSignal != nil {
		config.StopSignal = string(*c.Lifecycle.StopSignal)
	}
	env, err := o.environment(pod, c)
	if err == nil {
		config.Env = env.list
		config.Command, config.Args = expandAll(c.Command, env.get), expandAll(c.Args, env.get)
		config.Mounts, err = mounts(pod, c, env)
	}
	if err != nil {
		return config, fmt.Errorf("configure container %s/%s/%s: %w", pod.Namespace, pod.Name, c.Name, err)
	}
	return config, nil
}

// podGrace is how long the containers of a pod have to end.
func podGrace(pod *corev1.Pod) time.Duration {
	if pod.Spec.TerminationGracePeriodSeconds == nil {
		return corev1.DefaultTerminationGracePeriodSeconds * time.Second
	}
	return time.Duration(*pod.Spec.TerminationGracePeriodSeconds) * time.Second
}

// mounts follow upstream's makeMounts (pkg/kubelet/kubelet_pods.go).
func mounts(pod *corev1.Pod, c *corev1.Container, env *variables) ([]runtime.Mount, error) {
	var out []runtime.Mount
	for _, m := range c.VolumeMounts {
		volume := findVolume(pod, m.Name)
		if volume == nil {
			return nil, fmt.Errorf("mount %s: the pod has no volume %s", m.MountPath, m.Name)
		}
		subPath, err := subPath(&m, env)
		if err != nil {
			return nil, fmt.Errorf("mount %s: %w", m.MountPath, err)
		}
		mount := runtime.Mount{Volume: m.Name, Path: m.MountPath, SubPath: subPath, ReadOnly: m.ReadOnly || readOnly(volume)}
		if m.RecursiveReadOnly != nil {
			mount.Recursive = *m.RecursiveReadOnly
		}
		if m.MountPropagation != nil {
			mount.Propagation = *m.MountPropagation
		}
		out = append(out, mount)
	}
	return out, nil
}

// subPath expands subPathExpr, in which every variable must have a value, and checks that the result stays inside the
// volume. Upstream: ExpandContainerVolumeMounts (pkg/kubelet/container/helpers.go) and ValidatePathNoBacksteps.
func subPath(m *corev1.VolumeMount, env *variables) (string, error) {
	out := m.SubPath
	if m.SubPathExpr != "" {
		var missing []string
		out = expand(m.SubPathExpr, func(name string) (string, bool) {
			value, _ := env.get(name)
			if value == "" {
				missing = append(missing, name)
			}
			return value, true
		})
		if slices.Sort(missing); len(missing) > 0 {
			return "", fmt.Errorf("subPathExpr %s: no value for %s", m.SubPathExpr, strings.Join(slices.Compact(missing), ", "))
		}
	}
	// The value may come from a Secret: it is not quoted.
	switch {
	case path.IsAbs(out):
		return "", fmt.Errorf("subPath must not be an absolute path")
	case slices.Contains(strings.Split(out, "/"), ".."):
		return "", fmt.Errorf("subPath must not contain '..'")
	}
	return out, nil
}
