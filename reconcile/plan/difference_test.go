package plan

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
)

func TestDifferencesOfPods(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*corev1.Pod)
		want   string
	}{
		{"nothing", func(*corev1.Pod) {}, ""},
		{"what Podyard writes", func(p *corev1.Pod) {
			p.Name, p.Labels[templateHashLabel], p.Annotations = "other", "5d4f8", map[string]string{ownerAnnotation: "Deployment/web"}
		}, ""},
		{"a label of the user's", func(p *corev1.Pod) { p.Labels["app.kubernetes.io/version"] = "2" }, ": labels.app.kubernetes.io/version 2 added"},
		{"the image", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "app:2" }, ": image app:1 → app:2"},
		{"the image of an init container", func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "init:1"}}
		}, ": initContainers[init] added"},
		{"a variable, which may be a password", func(p *corev1.Pod) { p.Spec.Containers[0].Env[0].Value = "hunter3" },
			": containers[main].env[PASSWORD].value changed"},
		{"a variable more", func(p *corev1.Pod) {
			p.Spec.Containers[0].Env = append(p.Spec.Containers[0].Env, corev1.EnvVar{Name: "TOKEN", Value: "hunter2"})
		}, ": containers[main].env[TOKEN] changed"},
		{"a limit", func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")}
		}, `: containers[main].resources.limits {"memory":"64Mi"} added`},
		{"a probe", func(p *corev1.Pod) { p.Spec.Containers[0].ReadinessProbe.TCPSocket.Port = intstr.FromInt32(81) },
			": containers[main].readinessProbe.tcpSocket.port 80 → 81"},
		{"a long command", func(p *corev1.Pod) { p.Spec.Containers[0].Command = []string{strings.Repeat("x", 100)} },
			`: containers[main].command ["` + strings.Repeat("x", 58) + "… added"},
		{"much", func(p *corev1.Pod) {
			p.Spec.Containers[0].Image, p.Spec.Containers[0].WorkingDir = "app:2", "/srv"
			p.Spec.HostNetwork, p.Spec.NodeSelector = true, map[string]string{"disk": "ssd"}
		}, `: image app:1 → app:2, containers[main].workingDir /srv added, hostNetwork true added and 1 more`},
	} {
		old, fresh := differing(), differing()
		c.change(fresh)
		p := newPlanner(&manifests.Set{}, &runtime.State{}, old.CreationTimestamp.Time)
		p.priorities().Fill(&old.Spec)
		if got := p.differences(&podView{Pod: &runtime.Pod{Manifest: old}}, fresh); got != c.want {
			t.Errorf("%s:\n%s, want\n%s", c.name, got, c.want)
		}
	}
}

func differing() *corev1.Pod {
	pod := &corev1.Pod{}
	pod.Name, pod.Labels = "web", map[string]string{"app": "web"}
	pod.Spec.Containers = []corev1.Container{{Name: "main", Image: "app:1", Env: []corev1.EnvVar{{Name: "PASSWORD", Value: "hunter2"}},
		ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(80)}}}}}
	return pod
}
