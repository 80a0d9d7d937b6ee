package reconcile

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	nodev1 "k8s.io/api/node/v1"
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
	config, err := someOrigin(set).containerConfig(pod, plan.StartContainer{Container: "main"})
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

// someOrigin is a pod at 10.89.1.1 on a host of four cores and 8 GiB.
func someOrigin(set *manifests.Set) origin {
	return origin{set: set, ip: "10.89.1.1", state: &runtime.State{
		Host: map[string]string{corev1.LabelHostname: "host"}, HostIP: "10.89.0.1", Runtimes: []string{"runc", "runsc"},
		Capacity: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("8Gi")},
	}}
}

func field(name, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}}
}

func TestHostnames(t *testing.T) {
	yes, long := true, strings.Repeat("a", 70)
	for name, c := range map[string]struct {
		spec         corev1.PodSpec
		want, domain string
	}{
		"the pod's name":     {want: "web-1"},
		"hostname":           {spec: corev1.PodSpec{Hostname: "db"}, want: "db"},
		"subdomain":          {spec: corev1.PodSpec{Hostname: "db", Subdomain: "pg"}, want: "db", domain: "pg.shop.svc.cluster.local"},
		"as FQDN":            {spec: corev1.PodSpec{Subdomain: "pg", SetHostnameAsFQDN: &yes}, want: "web-1.pg.shop.svc.cluster.local"},
		"override":           {spec: corev1.PodSpec{Hostname: "db", Subdomain: "pg", HostnameOverride: pointer("x.example.com")}, want: "x.example.com"},
		"the host's network": {spec: corev1.PodSpec{Hostname: "db", HostNetwork: true}},
		"too long":           {spec: corev1.PodSpec{HostnameOverride: &long}, want: long[:63]},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-1"}, Spec: c.spec}
		if got, domain, err := hostnames(pod); got != c.want || domain != c.domain || err != nil {
			t.Errorf("%s: %q, %q, %v", name, got, domain, err)
		}
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: strings.Repeat("b", 40)}, Spec: corev1.PodSpec{Subdomain: "pg", SetHostnameAsFQDN: &yes}}
	if _, _, err := hostnames(pod); err == nil || !strings.Contains(err.Error(), "has 66 characters, Linux allows 64") {
		t.Errorf("an FQDN that is too long: %v", err)
	}
}

// TestARuntimeClassNamesARuntimeOfTheEngine, by its handler, or by its own name where the commit has no such class.
func TestARuntimeClassNamesARuntimeOfTheEngine(t *testing.T) {
	set := &manifests.Set{Objects: []*manifests.Object{{Ref: manifests.Ref{Kind: "RuntimeClass", Name: "gvisor"}, Value: &nodev1.RuntimeClass{Handler: "runsc"}}}}
	for class, want := range map[string]string{"gvisor": "runsc", "runsc": "runsc", "kata": ""} {
		pod := &corev1.Pod{Spec: corev1.PodSpec{RuntimeClassName: &class}}
		if got := someOrigin(set).runtimeHandler(pod); got != want {
			t.Errorf("%s: %q", class, got)
		}
	}
}

// TestHostPortsArePublishedBySidecarsToo, and not in the host's network.
func TestHostPortsArePublishedBySidecarsToo(t *testing.T) {
	port := func(n int32) []corev1.ContainerPort { return []corev1.ContainerPort{{ContainerPort: 80, HostPort: n}} }
	side, main := sidecar("proxy"), corev1.Container{Name: "main", Ports: port(8081)}
	side.Ports = port(8080)
	pod := onePod(side, main)
	if got := hostPorts(pod); len(got) != 2 || got[0].HostPort != 8080 || got[1].HostPort != 8081 {
		t.Errorf("%+v", got)
	}
	pod.Spec.HostNetwork = true
	if got := hostPorts(pod); len(got) != 0 {
		t.Errorf("in the host's network: %+v", got)
	}
}

// TestMounts: everything that a mount can say, and subPathExpr with what upstream checks of it.
func TestMounts(t *testing.T) {
	pod := onePod(corev1.Container{Name: "main", Env: []corev1.EnvVar{{Name: "DIR", Value: "logs"}, {Name: "UP", Value: "../x"}, {Name: "EMPTY"}}})
	pod.Spec.Volumes = []corev1.Volume{
		{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		{Name: "claim", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "c", ReadOnly: true}}},
	}
	for name, c := range map[string]struct {
		mount corev1.VolumeMount
		want  runtime.Mount
		err   string
	}{
		"plain":          {mount: corev1.VolumeMount{Name: "data", MountPath: "/d"}, want: runtime.Mount{Volume: "data", Path: "/d"}},
		"a claim's own":  {mount: corev1.VolumeMount{Name: "claim", MountPath: "/d"}, want: runtime.Mount{Volume: "claim", Path: "/d", ReadOnly: true}},
		"propagation":    {mount: corev1.VolumeMount{Name: "data", MountPath: "/d", MountPropagation: pointer(corev1.MountPropagationHostToContainer)}, want: runtime.Mount{Volume: "data", Path: "/d", Propagation: "HostToContainer"}},
		"recursive":      {mount: corev1.VolumeMount{Name: "data", MountPath: "/d", ReadOnly: true, RecursiveReadOnly: pointer(corev1.RecursiveReadOnlyEnabled)}, want: runtime.Mount{Volume: "data", Path: "/d", ReadOnly: true, Recursive: "Enabled"}},
		"subPathExpr":    {mount: corev1.VolumeMount{Name: "data", MountPath: "/d", SubPathExpr: "a/$(DIR)/$$(DIR)"}, want: runtime.Mount{Volume: "data", Path: "/d", SubPath: "a/logs/$(DIR)"}},
		"no value":       {mount: corev1.VolumeMount{Name: "data", MountPath: "/d", SubPathExpr: "$(NONE)/$(EMPTY)"}, err: "mount /d: subPathExpr $(NONE)/$(EMPTY): no value for EMPTY, NONE"},
		"backwards":      {mount: corev1.VolumeMount{Name: "data", MountPath: "/d", SubPathExpr: "$(UP)"}, err: "mount /d: subPath must not contain '..'"},
		"absolute":       {mount: corev1.VolumeMount{Name: "data", MountPath: "/d", SubPath: "/x"}, err: "mount /d: subPath must not be an absolute path"},
		"unknown volume": {mount: corev1.VolumeMount{Name: "none", MountPath: "/d"}, err: "mount /d: the pod has no volume none"},
	} {
		pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{c.mount}
		config, err := someOrigin(nil).containerConfig(pod, plan.StartContainer{Container: "main"})
		switch {
		case c.err != "" && (err == nil || !strings.HasSuffix(err.Error(), c.err)):
			t.Errorf("%s: %v", name, err)
		case c.err == "" && (err != nil || config.Mounts[0] != c.want):
			t.Errorf("%s: %+v, %v", name, config.Mounts, err)
		}
	}
}

// TestWhatAContainerSaysReachesTheEngine, of init containers and sidecars as well.
func TestWhatAContainerSaysReachesTheEngine(t *testing.T) {
	side := sidecar("log")
	side.Lifecycle = &corev1.Lifecycle{StopSignal: pointer(corev1.SIGUSR1)}
	side.TerminationMessagePath, side.TerminationMessagePolicy = "/tmp/end", corev1.TerminationMessageFallbackToLogsOnError
	config, err := someOrigin(nil).containerConfig(onePod(side, corev1.Container{Name: "main"}), plan.StartContainer{Container: "log", Attempt: 2})
	if err != nil || config.StopSignal != "SIGUSR1" || config.TerminationMessagePath != "/tmp/end" || config.Attempt != 2 ||
		config.TerminationMessagePolicy != "FallbackToLogsOnError" || config.GracePeriod != 10*time.Second {
		t.Errorf("%+v, %v", config, err)
	}
}
