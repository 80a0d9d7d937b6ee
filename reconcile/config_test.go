package reconcile

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

func routesTo(ip string) runtime.Routes {
	ready := true
	return runtime.Routes{Endpoints: []*discoveryv1.EndpointSlice{{
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{ip}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}},
	}}}
}

func TestExpand(t *testing.T) {
	get := func(name string) (string, bool) { return "1", name == "A" }
	for in, want := range map[string]string{
		"": "", "$(A)": "1", "$$(A)": "$(A)", "$(B)": "$(B)", "$A": "$A", "$": "$", "$(": "$(", "$(A": "$(A", "a$(A)b$(A)": "a1b1", "$$$(A)": "$1", "100%$$": "100%$",
	} {
		if got := expand(in, get); got != want {
			t.Errorf("expand(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestEnvironment: envFrom first, later names win, references see what stands before them.
func TestEnvironment(t *testing.T) {
	set := &manifests.Set{}
	add(set, "ConfigMap", "c", &corev1.ConfigMap{Data: map[string]string{"A": "from map", "B": "b"}})
	add(set, "Secret", "s", &corev1.Secret{Data: map[string][]byte{"P": []byte("secret")}})
	optional := true
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", Labels: map[string]string{"tier": "front"}}}
	pod.Spec.Containers = []corev1.Container{{
		Name: "main", Args: []string{"$(P)", "$(NONE)"},
		EnvFrom: []corev1.EnvFromSource{{Prefix: "X_", ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "c"}}}},
		Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("1500m"), corev1.ResourceMemory: resource.MustParse("64Mi")}},
		Env: []corev1.EnvVar{
			{Name: "X_A", Value: "replaced"},
			{Name: "P", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}, Key: "P"}}},
			{Name: "SUM", Value: "$(X_A)+$(X_B)"},
			{Name: "GONE", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "none"}, Key: "k", Optional: &optional}}},
			field("IP", "status.podIP"), field("HOST", "status.hostIP"), field("NODE", "spec.nodeName"), field("TIER", "metadata.labels['tier']"),
			{Name: "CPU", ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.cpu"}}},
			{Name: "MIB", ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.memory", Divisor: resource.MustParse("1Mi")}}},
		},
	}}
	config, err := containerConfig(set, pod, location{ip: "10.89.1.1", hostIP: "10.89.0.1", node: "host"}, plan.StartContainer{Container: "main"})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, e := range config.Env {
		got[e.Name] = e.Value
	}
	want := map[string]string{"X_A": "replaced", "X_B": "b", "P": "secret", "SUM": "replaced+b", "IP": "10.89.1.1", "HOST": "10.89.0.1",
		"NODE": "host", "TIER": "front", "CPU": "2", "MIB": "64"}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s=%q, want %q", name, got[name], value)
		}
	}
	if len(got) != len(want) {
		t.Errorf("env: %v", got)
	}
	if config.Args[0] != "secret" || config.Args[1] != "$(NONE)" {
		t.Errorf("args: %v", config.Args)
	}
}

func field(name, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}}
}

func TestVolumeFilesAreTheListedKeysOrAll(t *testing.T) {
	mode := int32(0o600)
	source := keyed{what: "ConfigMap default/c", data: map[string][]byte{"a": []byte("1"), "b": []byte("2")}}
	all, err := files(source, nil, nil, nil)
	if err != nil || len(all) != 2 || all[0].Path != "a" || all[0].Mode != 0o644 {
		t.Errorf("all: %v, %v", all, err)
	}
	some, err := files(source, []corev1.KeyToPath{{Key: "b", Path: "dir/b", Mode: &mode}}, nil, nil)
	if err != nil || len(some) != 1 || some[0].Path != "dir/b" || some[0].Mode != 0o600 {
		t.Errorf("some: %v, %v", some, err)
	}
	if _, err := files(source, []corev1.KeyToPath{{Key: "c", Path: "c"}}, nil, nil); err == nil || err.Error() != "ConfigMap default/c has no key c" {
		t.Errorf("a missing key: %v", err)
	}
}
