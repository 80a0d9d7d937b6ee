package reconcile

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/runtime/fake"
)

func configVolume(volume, config string) corev1.Volume {
	return corev1.Volume{Name: volume, VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: config}}}}
}

// show lists the files of a volume as "path:mode=data".
func show(v runtime.Volume) string {
	var out []string
	for _, f := range v.Files {
		out = append(out, f.Path+":"+modeText(f.Mode)+"="+string(f.Data))
	}
	return strings.Join(out, " ")
}

func modeText(mode int32) string {
	return string([]byte{'0' + byte(mode>>6&7), '0' + byte(mode>>3&7), '0' + byte(mode&7)})
}

func TestFilesAreTheListedKeysOrAll(t *testing.T) {
	set := &manifests.Set{}
	add(set, "ConfigMap", "c", &corev1.ConfigMap{Data: map[string]string{"a": "1", "b": "2"}, BinaryData: map[string][]byte{"c": {3}}})
	add(set, "Secret", "s", &corev1.Secret{Data: map[string][]byte{"key": []byte("k")}})
	pod := onePod(corev1.Container{Name: "main"})
	pod.Labels = map[string]string{"b": "2", "a": `say "1"`}
	optional, mode, strict := true, int32(0o600), int32(0o400)
	config := corev1.LocalObjectReference{Name: "c"}
	for name, c := range map[string]struct {
		source corev1.VolumeSource
		want   string
		memory bool
	}{
		"all": {source: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: config}}, want: "a:644=1 b:644=2 c:644=\x03"},
		"listed": {source: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: config, DefaultMode: &strict,
			Items: []corev1.KeyToPath{{Key: "b", Path: "dir/b", Mode: &mode}, {Key: "a", Path: "a"}}}}, want: "a:400=1 dir/b:600=2"},
		"a key is missing": {source: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: config,
			Items: []corev1.KeyToPath{{Key: "z", Path: "z"}}}}, want: "volume v of pod default/one: ConfigMap default/c has no key z"},
		"optional": {source: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "none", Optional: &optional}}, memory: true},
		"secret":   {source: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s"}}, want: "key:644=k", memory: true},
		"downward": {source: corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{Items: []corev1.DownwardAPIVolumeFile{
			{Path: "labels", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels"}},
			{Path: "cpu", ResourceFieldRef: &corev1.ResourceFieldSelector{ContainerName: "main", Resource: "limits.cpu"}},
		}}}, want: "cpu:644=4 labels:644=a=\"say \\\"1\\\"\"\nb=\"2\""},
		"projected: the last source of a path counts": {source: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{DefaultMode: &strict, Sources: []corev1.VolumeProjection{
			{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: config, Items: []corev1.KeyToPath{{Key: "a", Path: "x"}, {Key: "b", Path: "y"}}}},
			{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}, Items: []corev1.KeyToPath{{Key: "key", Path: "x", Mode: &mode}}}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "name", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}}}},
		}}}, want: "name:400=one x:600=k y:400=2", memory: true},
		"projected without a Secret": {source: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: config, Items: []corev1.KeyToPath{{Key: "a", Path: "x"}}}},
		}}}, want: "x:644=1"},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := someOrigin(set).volume(pod, &corev1.Volume{Name: "v", VolumeSource: c.source})
			got := show(v)
			if err != nil {
				got = err.Error()
			}
			if got != c.want || err == nil && (v.Memory != c.memory || v.Kind != runtime.Files || v.Name != "v") {
				t.Errorf("%q, want %q; %+v", got, c.want, v)
			}
		})
	}
}

// TestAnEmptyDirInMemoryIsNoLargerThanThePodMayUse: its own limit, that of all containers together, or the host.
func TestAnEmptyDirInMemoryIsNoLargerThanThePodMayUse(t *testing.T) {
	for name, c := range map[string]struct {
		limit, memory string
		want          int64
	}{
		"its own limit":     {limit: "1Mi", memory: "64Mi", want: 1 << 20},
		"the pod's":         {limit: "1Gi", memory: "64Mi", want: 64 << 20},
		"the host's memory": {want: 8 << 30},
	} {
		t.Run(name, func(t *testing.T) {
			main := corev1.Container{Name: "main"}
			if c.memory != "" {
				main.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(c.memory)}
			}
			source := &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}
			if c.limit != "" {
				source.SizeLimit = pointer(resource.MustParse(c.limit))
			}
			if got := someOrigin(nil).emptyDir(onePod(main), source); got.SizeLimit != c.want || !got.Memory {
				t.Errorf("%+v, want %d", got, c.want)
			}
		})
	}
}

func TestOtherVolumes(t *testing.T) {
	pod := onePod(corev1.Container{Name: "main"})
	nfs := &corev1.Volume{Name: "n", VolumeSource: corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: "files.example.com", Path: "/exports", ReadOnly: true}}}
	v, err := someOrigin(nil).volume(pod, nfs)
	if err != nil || v.Kind != runtime.NFS || v.Options["o"] != "addr=files.example.com" || v.Options["device"] != ":/exports" || v.Options["type"] != "nfs" || !readOnly(nfs) {
		t.Errorf("nfs: %+v, %v", v, err)
	}
	host := &corev1.Volume{Name: "h", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/srv", Type: pointer(corev1.HostPathDirectory)}}}
	if v, err := someOrigin(nil).volume(pod, host); err != nil || v.HostPath != "/srv" || v.HostPathType != corev1.HostPathDirectory {
		t.Errorf("hostPath: %+v, %v", v, err)
	}
	ephemeral := &corev1.Volume{Name: "e", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}}
	if v, err := someOrigin(nil).volume(pod, ephemeral); err != nil || v.Kind != runtime.EmptyDir {
		t.Errorf("ephemeral: %+v, %v", v, err)
	}
}

// TestAVolumeIsWrittenAndRemembered: at the creation, so that no update follows; again when asked for; and what is known
// of it ends with the daemon.
func TestAVolumeIsWrittenAndRemembered(t *testing.T) {
	inYard(t, map[string]fake.Program{"main:1": {}}, func(y *yard) {
		main := corev1.Container{Name: "main", VolumeMounts: []corev1.VolumeMount{{Name: "conf", MountPath: "/conf"}}}
		pod := onePod(main)
		pod.Spec.Volumes = []corev1.Volume{configVolume("conf", "c")}
		y.pull(pod)
		set := func(value string) *manifests.Set {
			set := &manifests.Set{}
			add(set, "ConfigMap", "c", &corev1.ConfigMap{Data: map[string]string{"a": value}})
			return set
		}
		if err := y.r.apply(y.Context(), set("1"), plan.CreatePod{Pod: pod, Containers: []string{"main"}}); err != nil {
			t.Fatal(err)
		}
		if got, want := y.state().Pods[0].Written["conf"], plan.FilesHash(set("1"), pod, &pod.Spec.Volumes[0]); got != want {
			t.Errorf("after the creation %q is remembered, want %q", got, want)
		}
		update := plan.UpdateVolume{PodRef: y.ref(), Volume: "conf", Hash: "second"}
		if err := y.r.apply(y.Context(), set("2"), update); err != nil {
			t.Fatal(err)
		}
		if got := y.state().Pods[0].Written["conf"]; got != "second" {
			t.Errorf("after the update: %q", got)
		}
		if got := y.read("/conf/a"); got != "2" {
			t.Errorf("the file says %q", got)
		}
		y.r = New(y.engine, Options{})
		if got := y.state().Pods[0].Written; len(got) != 0 {
			t.Errorf("a new daemon knows %v", got)
		}
	})
}

// TestAVolumeIsWrittenAgainWhenTheEngineRestartedItsSandbox: one in memory is empty then, also if the container started
// so soon after that no round saw it stopped.
func TestAVolumeIsWrittenAgainWhenTheEngineRestartedItsSandbox(t *testing.T) {
	inYard(t, map[string]fake.Program{"main:1": {}}, func(y *yard) {
		pod := onePod(corev1.Container{Name: "main"})
		pod.Spec.Volumes = []corev1.Volume{configVolume("conf", "c")}
		y.pull(pod)
		set := &manifests.Set{}
		add(set, "ConfigMap", "c", &corev1.ConfigMap{})
		if err := y.r.apply(y.Context(), set, plan.CreatePod{Pod: pod, Containers: []string{"main"}}); err != nil {
			t.Fatal(err)
		}
		if _, known := y.state().Pods[0].Written["conf"]; !known {
			t.Error("after the creation it is not known what the volume shows")
		}
		time.Sleep(time.Second)
		y.engine.RestartSandbox(y.ref().SandboxID)
		if got, known := y.state().Pods[0].Written["conf"]; known {
			t.Errorf("after the restart the volume is thought to show %q", got)
		}
		if err := y.r.apply(y.Context(), set, plan.UpdateVolume{PodRef: y.ref(), Volume: "conf", Hash: "h"}); err != nil {
			t.Fatal(err)
		}
		if got := y.state().Pods[0].Written["conf"]; got != "h" {
			t.Errorf("after it was written again: %q", got)
		}
	})
}

// TestWritesThatOverlapAreDoneOnceMore: nobody knows which came last.
func TestWritesThatOverlapAreDoneOnceMore(t *testing.T) {
	inYard(t, map[string]fake.Program{"main:1": {}}, func(y *yard) {
		pod := onePod(corev1.Container{Name: "main"})
		pod.Spec.Volumes = []corev1.Volume{configVolume("conf", "c")}
		y.pull(pod)
		set := &manifests.Set{}
		add(set, "ConfigMap", "c", &corev1.ConfigMap{})
		if err := y.r.apply(y.Context(), set, plan.CreatePod{Pod: pod, Containers: []string{"main"}}); err != nil {
			t.Fatal(err)
		}
		update := plan.UpdateVolume{PodRef: y.ref(), Volume: "conf", Hash: "h"}
		results := make(chan error)
		for range 2 {
			go func() { results <- y.r.apply(y.Context(), set, update) }()
		}
		if err := <-results; err != nil {
			t.Error(err)
		}
		if err := <-results; err != nil {
			t.Error(err)
		}
		if got, known := y.state().Pods[0].Written["conf"]; known {
			t.Errorf("remembered: %q", got)
		}
	})
}

func (y *yard) read(path string) string {
	y.Helper()
	var out strings.Builder
	if _, err := y.engine.Exec(y.Context(), y.container("main").ID, runtime.ExecOptions{Command: []string{"cat", path}}, &out, nil); err != nil {
		y.Fatal(err)
	}
	return out.String()
}

// TestInitContainersEndBeforeTheOthersBegin, so their memory is not added to that of the others; a sidecar's is.
func TestInitContainersEndBeforeTheOthersBegin(t *testing.T) {
	limited := func(name, memory string, policy *corev1.ContainerRestartPolicy) corev1.Container {
		c := corev1.Container{Name: name, RestartPolicy: policy}
		if memory != "" {
			c.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(memory)}
		}
		return c
	}
	always := new(corev1.ContainerRestartPolicyAlways)
	for _, c := range []struct {
		name string
		init []corev1.Container
		want int64
	}{
		{"a small one", []corev1.Container{limited("init", "100", nil)}, 300},
		{"a large one", []corev1.Container{limited("init", "1000", nil)}, 1000},
		{"a sidecar", []corev1.Container{limited("sidecar", "100", always)}, 400},
		{"a sidecar, then a large one", []corev1.Container{limited("sidecar", "100", always), limited("init", "1000", nil)}, 1100},
		{"one without a limit", []corev1.Container{limited("init", "", nil)}, 0},
	} {
		pod := onePod(limited("one", "100", nil), limited("two", "200", nil))
		pod.Spec.InitContainers = c.init
		if got := memoryLimit(pod); got != c.want {
			t.Errorf("%s: %d; want %d", c.name, got, c.want)
		}
	}
}
