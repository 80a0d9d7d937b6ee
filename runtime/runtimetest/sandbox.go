package runtimetest

import (
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/podyard/podyard/runtime"
)

var sandboxChecks = []Check{
	{Name: "a sandbox is created once", run: sandboxOnce},
	{Name: "a pod's manifest comes back unchanged", run: manifest},
	{Name: "a pod has an address of its own that survives a restart of its sandbox", run: address},
	{Name: "a sandbox that dies leaves its containers running, older than its next start", run: sandboxDies},
	{Name: "a sandbox removed behind our back is Missing until its containers are removed", run: sandboxMissing},
	{Name: "removing a sandbox removes what is in it", run: removeSandbox},
	{Name: "the hostname is the pod's", run: hostname},
	{Name: "what is not there is not found, and removed already", run: notThere},
}

func sandboxOnce(f *fixture) {
	first := f.sandbox("web")
	if p := f.observePod(first); p.Phase != runtime.Created || p.CreatedAt.IsZero() || !p.StartedAt.IsZero() {
		f.Errorf("before the start the pod is %s, created %s, started %s", p.Phase, p.CreatedAt, p.StartedAt)
	}
	f.must(f.Runtime.StartSandbox(f.ctx, first))
	started := f.observePod(first)
	if started.Phase != runtime.Running || started.StartedAt.Before(started.CreatedAt) {
		f.Errorf("after the start the pod is %s, created %s, started %s", started.Phase, started.CreatedAt, started.StartedAt)
	}
	if second := f.sandbox("web"); second != first {
		f.Errorf("CreateSandbox returns %s, then %s; want the same sandbox", first, second)
	}
	f.must(f.Runtime.StartSandbox(f.ctx, first))
	if again := f.observePod(first); !again.StartedAt.Equal(started.StartedAt) {
		f.Errorf("a second StartSandbox moved the start from %s to %s", started.StartedAt, again.StartedAt)
	}
	if pods := f.pods(); len(pods) != 1 {
		f.Errorf("there are %d pods; want 1", len(pods))
	}
}

func manifest(f *fixture) {
	config := f.config("web")
	decorate(config.Pod)
	id, err := f.Runtime.CreateSandbox(f.ctx, config)
	f.must(err)
	if got := f.observePod(id).Manifest; !equality.Semantic.DeepEqual(got, config.Pod) {
		f.Errorf("the manifest came back with\n%s\nwant\n%s", f.without(got, config.Pod), f.without(config.Pod, got))
	}
}

// without is the lines of one manifest that the other has not.
func (f *fixture) without(pod, other *corev1.Pod) string {
	f.Helper()
	lines := strings.Split(f.json(pod), "\n")
	known := strings.Split(f.json(other), "\n")
	return strings.Join(slices.DeleteFunc(lines, func(line string) bool { return slices.Contains(known, line) }), "\n")
}

func (f *fixture) json(pod *corev1.Pod) string {
	f.Helper()
	text, err := json.MarshalIndent(pod, "", "  ")
	f.must(err)
	return string(text)
}

// decorate fills in what is easily lost on the way to the engine and back.
func decorate(pod *corev1.Pod) {
	yes, grace := true, int64(7)
	pod.Labels = map[string]string{"app": "web", "app.kubernetes.io/part-of": "shop", "empty": ""}
	pod.Annotations = map[string]string{
		"note": "quotes \" and ' and $HOME and \\ and ünïcödé\nin two lines",
		"long": strings.Repeat("0123456789abcdef", 1024),
	}
	pod.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-5d4f8c7b9", UID: "0a1b2c3d", Controller: &yes,
	}}
	pod.Spec.TerminationGracePeriodSeconds = &grace
	pod.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
	main := &pod.Spec.Containers[0]
	main.Resources.Limits = corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("1500m"), corev1.ResourceMemory: resource.MustParse("64Mi"),
	}
	main.ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{
		HTTPGet: &corev1.HTTPGetAction{Path: "/ready?full=1", Port: intstr.FromString("http")},
	}, PeriodSeconds: 3}
	main.Ports = []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}}
}

func address(f *fixture) {
	one, two := f.pod("one"), f.pod("two")
	before := f.observePod(one)
	for _, id := range []string{one, two} {
		if _, err := netip.ParseAddr(f.observePod(id).IP); err != nil {
			f.Errorf("a pod's address: %v", err)
		}
	}
	if other := f.observePod(two).IP; other == before.IP {
		f.Errorf("two pods have the address %s", other)
	}
	f.restartSandbox(one)
	if after := f.observePod(one); after.IP != before.IP {
		f.Errorf("the restart changed the address from %s to %s", before.IP, after.IP)
	}
}

// restartSandbox kills a sandbox and starts it again. An engine may have a restart policy that is faster.
func (f *fixture) restartSandbox(id string) {
	f.Helper()
	before := f.observePod(id).StartedAt
	f.Kill(f.T, id)
	f.until("the state tells of the sandbox's death", func() bool {
		p := f.observePod(id)
		return p.Phase == runtime.Exited || p.StartedAt.After(before)
	})
	f.must(f.Runtime.StartSandbox(f.ctx, id))
	if after := f.observePod(id); after.Phase != runtime.Running || !after.StartedAt.After(before) {
		f.Fatalf("the sandbox is %s since %s; want Running, since after %s", after.Phase, after.StartedAt, before)
	}
}

func sandboxDies(f *fixture) {
	pod := f.pod("web")
	id := f.run(pod, "main", Behaviour{Kind: Sleep})
	f.restartSandbox(pod)
	c, p := f.observe(id), f.observePod(pod)
	if c.State != runtime.Running || !c.StartedAt.Before(p.StartedAt) {
		f.Errorf("the container is %s since %s; want Running, since before the sandbox's start at %s",
			c.State, c.StartedAt, p.StartedAt)
	}
	f.must(f.Runtime.StopContainer(f.ctx, id, 0))
	config := f.containerConfig("main", Behaviour{Kind: Sleep})
	config.Attempt = 1
	if next := f.observe(f.start(pod, config)); next.StartedAt.Before(p.StartedAt) {
		f.Errorf("the next attempt started at %s; want after the sandbox, at %s", next.StartedAt, p.StartedAt)
	}
}

func sandboxMissing(f *fixture) {
	pod := f.pod("web")
	id := f.run(pod, "main", Behaviour{Kind: Sleep})
	f.Remove(f.T, pod)
	f.until("the pod is Missing", func() bool { p := f.findPod(pod); return p != nil && p.Phase == runtime.Missing })
	p, want := f.observePod(pod), f.config("web").Pod
	if p.Manifest.Name != want.Name || p.Manifest.UID != want.UID {
		f.Errorf("the pod is %s with UID %s; want %s with UID %s", p.Manifest.Name, p.Manifest.UID, want.Name, want.UID)
	}
	if len(p.Containers) != 1 || p.Containers[0].ID != id {
		f.Errorf("the pod holds %+v; want its container %s", p.Containers, id)
	}
	f.must(f.Runtime.RemoveSandbox(f.ctx, pod))
	if pods := f.pods(); len(pods) != 0 {
		f.Errorf("RemoveSandbox leaves %+v", pods)
	}
}

func removeSandbox(f *fixture) {
	claim := f.namespace + "-data"
	volumes := []runtime.Volume{
		{Name: "config", Kind: runtime.Files}, {Name: "scratch", Kind: runtime.EmptyDir},
		{Name: "data", Kind: runtime.Persistent, Claim: claim},
	}
	mounts := []runtime.Mount{
		{Volume: "config", Path: "/config"}, {Volume: "scratch", Path: "/scratch"}, {Volume: "data", Path: "/data"},
	}
	pod := f.pod("web", volumes...)
	f.write(pod, volumes[0], "greeting", "hello")
	id := f.run(pod, "main", Behaviour{Kind: Sleep}, mounts...)
	f.run(pod, "other", Behaviour{Kind: Exit, Code: 1})
	f.exec(id, "cp", "/config/greeting", "/scratch/greeting")
	f.exec(id, "cp", "/config/greeting", "/data/greeting")

	f.must(f.Runtime.RemoveSandbox(f.ctx, pod))
	if pods := f.pods(); len(pods) != 0 {
		f.Errorf("RemoveSandbox leaves %+v", pods)
	}
	f.must(f.Runtime.RemoveSandbox(f.ctx, pod))

	// A pod with the same name and UID would find what was left.
	id = f.run(f.pod("web", volumes...), "main", Behaviour{Kind: Sleep}, mounts...)
	f.lacks(id, "/config/greeting")
	f.lacks(id, "/scratch/greeting")
	f.reads(id, "/data/greeting", "hello")
}

func hostname(f *fixture) {
	id := f.run(f.pod("web-0"), "main", Behaviour{Kind: Sleep})
	if got := strings.TrimSpace(f.exec(id, "hostname")); got != "web-0" {
		f.Errorf("the hostname is %q; want web-0", got)
	}
}

func notThere(f *fixture) {
	nothing := strings.Repeat("0123456789abcdef", 4)
	_, create := f.Runtime.CreateContainer(f.ctx, nothing, f.containerConfig("main", Behaviour{Kind: Sleep}))
	_, exec := f.Runtime.Exec(f.ctx, nothing, []string{"true"}, io.Discard, io.Discard)
	for verb, err := range map[string]error{
		"StartSandbox":    f.Runtime.StartSandbox(f.ctx, nothing),
		"CreateContainer": create,
		"StartContainer":  f.Runtime.StartContainer(f.ctx, nothing),
		"Exec":            exec,
		"Logs":            f.Runtime.Logs(f.ctx, nothing, runtime.LogOptions{Tail: -1}, io.Discard, io.Discard),
	} {
		if !errors.Is(err, runtime.ErrNotFound) {
			f.Errorf("%s of what is not there says %v; want ErrNotFound", verb, err)
		}
	}
	if err := f.Runtime.StopContainer(f.ctx, nothing, time.Second); err != nil && !errors.Is(err, runtime.ErrNotFound) {
		f.Errorf("StopContainer of what is not there says %v; want nothing or ErrNotFound", err)
	}
	f.must(f.Runtime.RemoveContainer(f.ctx, nothing))
	f.must(f.Runtime.RemoveSandbox(f.ctx, nothing))
}
