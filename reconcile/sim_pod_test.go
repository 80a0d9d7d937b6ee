package reconcile

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"github.com/podyard/podyard/runtime/fake"
)

// programs are what images do: good ones, and each way of being bad.
var programs = map[string]fake.Program{
	"good:1":  {},
	"good:2":  {ReadyAfter: 2 * time.Second},
	"good:3":  {ReadyAfter: 200 * time.Millisecond, StopTime: 3 * time.Second},
	"slow":    {ReadyAfter: 40 * time.Second, IgnoreTERM: true},
	"crash":   {ExitAfter: 3 * time.Second, ExitCode: 1},
	"tired":   {ExitAfter: 11 * time.Minute, ExitCode: 1},
	"fades":   {LiveUntil: 20 * time.Second},
	"never":   {ReadyAfter: fake.Never},
	"missing": {Missing: true},
	"broken":  {StartError: "exec: no such file or directory"},
	"tide":    {ReadyAfter: time.Second},

	"job":        {ExitAfter: 5 * time.Second},
	"init:quick": {ExitAfter: 300 * time.Millisecond},
	"init:slow":  {ExitAfter: 8 * time.Second},
	"init:flaky": {ExitAfter: time.Second, FailFirst: 2},
	"init:bad":   {ExitAfter: time.Second, ExitCode: 1},
	"side:good":  {ReadyAfter: time.Second, StopTime: time.Second},
	"side:crash": {ExitAfter: 40 * time.Second, ExitCode: 1},
}

// mains are the images of app containers.
var mains = []string{"good:1", "good:2", "good:3", "slow", "crash", "tired", "fades", "never", "missing", "broken"}

// dress says what pods are made of besides their app container, as images and as the words of hook.
type dress struct{ inits, sides, preStops, postStarts []string }

var (
	anyDress = dress{
		inits:      []string{"", "init:quick", "init:slow", "init:flaky", "init:bad"},
		sides:      []string{"", "", "side:good", "side:crash"},
		preStops:   []string{"", "true", "false", "sleep 2", "sleep 60"},
		postStarts: []string{"", "", "hostname", "sleep 3", "ls"}, // ls without a directory fails
	}
	goodDress = dress{
		inits:      []string{"", "init:quick", "init:slow", "init:flaky"},
		sides:      []string{"", "side:good"},
		preStops:   []string{"", "true", "false", "sleep 2"},
		postStarts: []string{"", "hostname", "sleep 3"},
	}
)

func (s *simulation) podSpec(image string, dress dress) corev1.PodSpec {
	main := corev1.Container{
		Name: "main", Image: image, ImagePullPolicy: corev1.PullIfNotPresent, Lifecycle: s.lifecycle(dress),
		ReadinessProbe: tcpProbe(),
		Ports:          []corev1.ContainerPort{{Name: "http", ContainerPort: portOf(image), Protocol: corev1.ProtocolTCP}},
	}
	spec := corev1.PodSpec{RestartPolicy: corev1.RestartPolicyAlways, TerminationGracePeriodSeconds: pointer(int64(10))}
	spec.InitContainers = s.initContainers(dress)
	s.mount(&spec, &main)
	spec.Containers = []corev1.Container{main}
	return spec
}

// portOf is another one for each version of an image, so that a rollout moves it.
func portOf(image string) int32 { return 8000 + int32(image[len(image)-1]) }

func tcpProbe() *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt(80)}},
		PeriodSeconds: 10, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 3,
	}
}

// initContainers: an init container, a sidecar, and another init container after it; each of them or not.
func (s *simulation) initContainers(dress dress) []corev1.Container {
	var out []corev1.Container
	add := func(name string, images []string, policy *corev1.ContainerRestartPolicy) {
		if image := rapid.SampledFrom(images).Draw(s.T, name); image != "" {
			out = append(out, corev1.Container{Name: name, Image: image, ImagePullPolicy: corev1.PullIfNotPresent, RestartPolicy: policy})
		}
	}
	add("first", dress.inits, nil)
	add("side", dress.sides, pointer(corev1.ContainerRestartPolicyAlways))
	if len(out) > 0 && out[len(out)-1].Name == "side" && rapid.Bool().Draw(s.T, "startup probe") {
		out[len(out)-1].StartupProbe = tcpProbe()
	}
	add("second", dress.inits, nil)
	return out
}

func (s *simulation) lifecycle(dress dress) *corev1.Lifecycle {
	out := &corev1.Lifecycle{}
	if words := rapid.SampledFrom(dress.preStops).Draw(s.T, "preStop"); words != "" {
		out.PreStop = execHook(words)
	}
	if words := rapid.SampledFrom(dress.postStarts).Draw(s.T, "postStart"); words != "" {
		out.PostStart = execHook(words)
	}
	return out
}

// mount adds a ConfigMap that changes and a claim, each of them or not.
func (s *simulation) mount(spec *corev1.PodSpec, c *corev1.Container) {
	if rapid.Bool().Draw(s.T, "config") {
		spec.Volumes = append(spec.Volumes, configVolume("conf", "conf"))
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "conf", MountPath: "/conf"})
	}
	if rapid.IntRange(0, 2).Draw(s.T, "claim") == 0 {
		spec.Volumes = append(spec.Volumes, corev1.Volume{Name: "data", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}})
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "data", MountPath: "/data"})
	}
}

// barePod may end by itself, or be stopped by its deadline; its container's own restart policy may not be the pod's.
func (s *simulation) barePod(name, image string, dress dress) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: s.podSpec(image, dress)}
	pod.Spec.RestartPolicy = rapid.SampledFrom([]corev1.RestartPolicy{"Always", "OnFailure", "Never"}).Draw(s.T, "restartPolicy")
	if rapid.IntRange(0, 3).Draw(s.T, "own policy") == 0 {
		pod.Spec.Containers[0].RestartPolicy = pointer(rapid.SampledFrom([]corev1.ContainerRestartPolicy{"Always", "OnFailure", "Never"}).Draw(s.T, "policy"))
	}
	if rapid.IntRange(0, 3).Draw(s.T, "deadline") == 0 {
		pod.Spec.ActiveDeadlineSeconds = pointer(int64(rapid.IntRange(20, 60).Draw(s.T, "seconds")))
	}
	return pod
}
