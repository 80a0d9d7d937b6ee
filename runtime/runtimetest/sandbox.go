package runtimetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
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
	{Name: "a sandbox made anew keeps its volumes when what is left of the old one is removed", run: sandboxAnew},
	{Name: "removing a sandbox removes what is in it", run: removeSandbox},
	{Name: "a sandbox that is stopped stays so until it is started, with its address and volumes", run: stopSandbox},
	{Name: "a pod in the host's network has the host's address", run: hostAddress},
	{Name: "hostPort: who has it is named, and when it is free it can be had", run: hostPort},
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

func sandboxAnew(f *fixture) {
	config := runtime.Volume{Name: "config", Kind: runtime.Files, Files: []runtime.File{{Path: "greeting", Data: []byte("hello"), Mode: 0o644}}}
	old := f.pod("web", config)
	f.run(old, "main", Behaviour{Kind: Sleep}, runtime.Mount{Volume: "config", Path: "/config"})
	f.Remove(f.T, old)
	f.until("the pod is Missing", func() bool { p := f.findPod(old); return p != nil && p.Phase == runtime.Missing })
	config.Files[0].Path = "welcome"
	anew := f.sandbox("web", config)
	f.must(f.Runtime.RemoveSandbox(f.ctx, old))
	f.must(f.Runtime.StartSandbox(f.ctx, anew))
	f.must(f.Runtime.WriteVolume(f.ctx, anew, config))
	id := f.run(anew, "main", Behaviour{Kind: Sleep}, runtime.Mount{Volume: "config", Path: "/config"})
	f.reads(id, "/config/welcome", "hello")
	f.lists(id, "/config", "welcome")
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

func stopSandbox(f *fixture) {
	config, scratch := runtime.Volume{Name: "config", Kind: runtime.Files}, runtime.Volume{Name: "scratch", Kind: runtime.EmptyDir}
	mounts := []runtime.Mount{{Volume: "config", Path: "/config"}, {Volume: "scratch", Path: "/scratch"}}
	pod := f.pod("web", config, scratch)
	f.write(pod, config, "greeting", "hello")
	id := f.run(pod, "main", Behaviour{Kind: Sleep}, mounts...)
	f.exec(id, "cp", "/config/greeting", "/scratch/greeting")
	f.must(f.Runtime.StopContainer(f.ctx, id, 0))
	before := f.observePod(pod)
	for range 2 {
		f.must(f.Runtime.StopSandbox(f.ctx, pod))
		if p := f.observePod(pod); p.Phase != runtime.Exited || p.IP != before.IP || p.FinishedAt.IsZero() || len(p.Containers) != 1 {
			f.Fatalf("after StopSandbox the pod is %+v; want it Exited, with its address %s and its container", p, before.IP)
		}
	}
	f.must(f.Runtime.StartSandbox(f.ctx, pod))
	if p := f.observePod(pod); p.Phase != runtime.Running || p.IP != before.IP || !p.StartedAt.After(before.StartedAt) {
		f.Errorf("after StartSandbox the pod is %+v; want it Running, with its address %s", p, before.IP)
	}
	next := f.containerConfig("main", Behaviour{Kind: Sleep}, mounts...)
	next.Attempt = 1
	f.reads(f.start(pod, next), "/scratch/greeting", "hello")
}

func hostAddress(f *fixture) {
	config := f.config("web")
	config.Pod.Spec.HostNetwork = true
	pod, err := f.Runtime.CreateSandbox(f.ctx, config)
	f.must(err)
	f.must(f.Runtime.StartSandbox(f.ctx, pod))
	if p, want := f.observePod(pod), f.state().HostIP; p.Phase != runtime.Running || p.IP != want || want == "" {
		f.Errorf("the pod is %s with the address %q; want Running with the host's, %q", p.Phase, p.IP, want)
	}
	if other := f.observePod(f.pod("other")); other.IP == f.state().HostIP {
		f.Error("a pod with a network of its own has the host's address")
	}
}

func hostPort(f *fixture) {
	port := corev1.ContainerPort{ContainerPort: 80, HostPort: int32(20000 + rand.IntN(10000)), Protocol: corev1.ProtocolTCP}
	first, second := f.config("first"), f.config("second")
	first.Ports, second.Ports = []corev1.ContainerPort{port}, []corev1.ContainerPort{port}
	second.Ports[0].HostIP = "127.0.0.1"
	holder, err := f.Runtime.CreateSandbox(f.ctx, first)
	f.must(err)
	f.must(f.Runtime.StartSandbox(f.ctx, holder))
	pod, err := f.Runtime.CreateSandbox(f.ctx, second)
	f.must(err)
	want := fmt.Sprintf("host port %d/TCP is taken by pod %s/first", port.HostPort, f.namespace)
	if err := f.Runtime.StartSandbox(f.ctx, pod); err == nil || errors.Is(err, runtime.ErrInvalid) || !strings.Contains(err.Error(), want) {
		f.Errorf("StartSandbox says %v; want %q, and that it may be tried again", err, want)
	}
	f.must(f.Runtime.StopSandbox(f.ctx, holder))
	f.must(f.Runtime.StartSandbox(f.ctx, pod))
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
	_, exec := f.Runtime.Exec(f.ctx, nothing, runtime.ExecOptions{Command: []string{"true"}}, io.Discard, io.Discard)
	for verb, err := range map[string]error{
		"StartSandbox":    f.Runtime.StartSandbox(f.ctx, nothing),
		"StopSandbox":     f.Runtime.StopSandbox(f.ctx, nothing),
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
