package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podyard/podyard/runtime"
)

func sleeper(ref string) runtime.ContainerConfig {
	return runtime.ContainerConfig{Name: "main", Image: ref, Command: []string{"sleep", "1000000"}}
}

func TestADaemonThatStartsAnewFindsEverythingAsItWas(t *testing.T) {
	e := ensuredEngine(t)
	ref := busybox(t, e.cli)
	pod := testPod("web", corev1.Container{Name: "main", Image: ref})
	files := runtime.Volume{Name: "config", Kind: runtime.Files, Files: []runtime.File{{Path: "a", Data: []byte("1"), Mode: 0o644}}}
	id := startPod(t, e, sandboxOf(pod, files))
	config := sleeper(ref)
	config.Mounts = []runtime.Mount{{Volume: "config", Path: "/config"}}
	main := startContainer(t, e, id, config)
	routes := runtime.Routes{Services: []*corev1.Service{{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec:       corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone},
	}}}
	must(t, e.Route(t.Context(), routes))
	before := state(t, e)
	must(t, e.Close())

	again, err := New(t.Context(), e.options)
	must(t, err)
	t.Cleanup(func() { again.Close() })
	must(t, again.Ensure(t.Context(), func(line string) { t.Errorf("a second Ensure did something: %s", line) }))
	after := state(t, again)
	if fmt.Sprintf("%+v", after.Pods[0].Containers) != fmt.Sprintf("%+v", before.Pods[0].Containers) || after.Pods[0].IP != before.Pods[0].IP ||
		after.ServiceCIDR != before.ServiceCIDR || len(after.Routes.Services) != 1 || after.Routes.Services[0].Name != "web" {
		t.Errorf("before %+v\nafter  %+v", before, after)
	}
	if same := got(again.CreateSandbox(t.Context(), sandboxOf(pod, files)))(t); same != id {
		t.Errorf("sandbox %s, want %s", same, id)
	}
	if same := got(again.CreateContainer(t.Context(), id, config))(t); same != main {
		t.Errorf("container %s, want %s", same, main)
	}
	was := sh(t, again, main, "readlink /config/..data")
	must(t, again.WriteVolume(t.Context(), id, files))
	if is := sh(t, again, main, "readlink /config/..data"); is != was {
		t.Errorf("the same files were written again: %s, then %s", was, is)
	}
	next := testPod("next", corev1.Container{Name: "main", Image: ref})
	if ip := podIn(t, again, got(again.CreateSandbox(t.Context(), sandboxOf(next)))(t)).IP; ip == after.Pods[0].IP {
		t.Errorf("two pods have the address %s", ip)
	}
}

func TestWhatIsNotOursStaysAsItIs(t *testing.T) {
	e := ensuredEngine(t)
	ref := busybox(t, e.cli)
	other := foreign(t, e.cli, ref)
	if err := e.RemoveContainer(t.Context(), other.ContainerID); err != nil {
		t.Errorf("remove: %v", err)
	}
	if err := e.StopContainer(t.Context(), other.ContainerID, 0); !errors.Is(err, runtime.ErrNotFound) {
		t.Errorf("stop: %v", err)
	}
	other.Check(t)

	// The name that a sandbox is to have is taken.
	pod := testPod("web", corev1.Container{Name: "main", Image: ref})
	taken := got(e.cli.ContainerCreate(t.Context(), &container.Config{Image: ref}, nil, nil, nil, sandboxName(pod)))(t)
	t.Cleanup(func() {
		_ = e.cli.ContainerRemove(context.Background(), taken.ID, container.RemoveOptions{Force: true})
	})
	if _, err := e.CreateSandbox(t.Context(), sandboxOf(pod)); err == nil || !strings.Contains(err.Error(), "is taken by container "+short(taken.ID)) {
		t.Errorf("create over a foreign name: %v", err)
	}
	got(e.cli.ContainerInspect(t.Context(), taken.ID))(t)

	// A volume of somebody else carries the name of a claim.
	name := "podyard-docker-test-data-" + e.options.Instance
	got(e.cli.VolumeCreate(t.Context(), volume.CreateOptions{Name: name}))(t)
	t.Cleanup(func() { _ = e.cli.VolumeRemove(context.Background(), name, true) })
	claim := runtime.Volume{Name: "data", Kind: runtime.Persistent, Claim: name}
	if _, err := e.CreateSandbox(t.Context(), sandboxOf(testPod("db"), claim)); !errors.Is(err, runtime.ErrInvalid) {
		t.Errorf("create with a foreign volume: %v", err)
	}
	// A container that somebody made of our infra image inherits nothing that makes it ours.
	guest := got(e.cli.ContainerCreate(t.Context(), &container.Config{Image: e.ensured().infra, Cmd: []string{"sandbox", "--hold"}}, nil, nil, nil, ""))(t)
	t.Cleanup(func() {
		_ = e.cli.ContainerRemove(context.Background(), guest.ID, container.RemoveOptions{Force: true})
	})

	must(t, e.Teardown(t.Context(), true, func(line string) { t.Log(line) }))
	other.Check(t)
	got(e.cli.ContainerInspect(t.Context(), taken.ID))(t)
	got(e.cli.ContainerInspect(t.Context(), guest.ID))(t)
	got(e.cli.VolumeInspect(t.Context(), name))(t)
}

func TestAForeignNetworkUnderOurNameIsLeftAlone(t *testing.T) {
	e := newEngine(t)
	made := got(e.cli.NetworkCreate(t.Context(), e.names.network(), network.CreateOptions{Driver: "bridge"}))(t)
	t.Cleanup(func() { _ = e.cli.NetworkRemove(context.Background(), made.ID) })
	if err := e.Ensure(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "not of this Podyard instance") {
		t.Errorf("Ensure: %v", err)
	}
	must(t, e.Teardown(t.Context(), true, nil))
	got(e.cli.NetworkInspect(t.Context(), made.ID, network.InspectOptions{}))(t)
}

func TestTwoInstancesDoNotMeet(t *testing.T) {
	one, two := ensuredEngine(t), newEngineOf(t, Options{Instance: instanceFor(t) + "x", Binary: testBinary})
	must(t, two.Ensure(t.Context(), nil))
	ref := busybox(t, one.cli)
	config := sandboxOf(testPod("web"))
	a := startPod(t, one, config)
	config.Pod = testPod("web")
	b := startPod(t, two, config)
	main := startContainer(t, two, b, sleeper(ref))
	if one.cache.serviceCIDR() == two.cache.serviceCIDR() {
		t.Errorf("both networks are %s", one.cache.serviceCIDR())
	}
	if pods := state(t, one).Pods; len(pods) != 1 || pods[0].ID != a {
		t.Errorf("one sees %+v", pods)
	}
	if err := one.RemoveSandbox(t.Context(), b); err != nil {
		t.Errorf("remove of another's: %v", err)
	}
	must(t, one.Teardown(t.Context(), true, nil))
	if c := podIn(t, two, b).Containers; len(c) != 1 || c[0].ID != main || c[0].State != runtime.Running {
		t.Errorf("two has %+v", c)
	}
	sh(t, two, main, "true")
}

func TestTeardownKeepsPersistentVolumesUnlessTold(t *testing.T) {
	e := ensuredEngine(t)
	claim := "podyard-docker-test-claim-" + e.options.Instance
	pod := testPod("db")
	startPod(t, e, sandboxOf(pod, runtime.Volume{Name: "data", Kind: runtime.Persistent, Claim: claim}, runtime.Volume{Name: "tmp", Kind: runtime.EmptyDir}))
	var lines []string
	must(t, e.Teardown(t.Context(), false, func(line string) { lines = append(lines, line) }))
	got(e.cli.VolumeInspect(t.Context(), claim))(t)
	for _, want := range []string{"removed pod default/db", "removed network " + e.names.network(), "removed container " + e.names.holder()} {
		if !slices.Contains(lines, want) {
			t.Errorf("%q lacks %q", lines, want)
		}
	}
	if _, err := e.cli.VolumeInspect(t.Context(), e.names.volume(string(pod.UID), "tmp")); err == nil {
		t.Error("the emptyDir is left")
	}
	if err := e.Route(t.Context(), runtime.Routes{}); !errors.Is(err, errNotEnsured) {
		t.Errorf("Route after Teardown: %v", err)
	}
	must(t, e.Teardown(t.Context(), true, nil))
	if _, err := e.cli.VolumeInspect(t.Context(), claim); err == nil {
		t.Error("the persistent volume is left")
	}
	must(t, e.Ensure(t.Context(), nil)) // and back again
}

func TestTheInfraImageMayBeOfADynamicallyLinkedBinary(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "podyard")
	must(t, buildTestBinary(binary, "CGO_ENABLED=1"))
	if files := got(closure(binary, "/"))(t); len(files) < 3 {
		t.Fatalf("the binary is not dynamically linked: %+v", files)
	}
	e := newEngineOf(t, Options{Instance: instanceFor(t), Binary: binary})
	must(t, e.Ensure(t.Context(), nil))
	id := startPod(t, e, sandboxOf(testPod("web")))
	if p := podIn(t, e, id); p.Phase != runtime.Running {
		t.Errorf("%+v", p)
	}
}

func TestANewBinaryReplacesTheAgentAndNothingElse(t *testing.T) {
	e := ensuredEngine(t)
	holder := got(e.cli.ContainerInspect(t.Context(), e.names.holder()))(t)
	oldImage := e.ensured().infra
	services := []*corev1.Service{{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}, Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone}}}
	must(t, e.Route(t.Context(), runtime.Routes{Services: services}))
	must(t, e.Close())

	options := e.options
	options.Binary = filepath.Join(t.TempDir(), "podyard")
	data := got(os.ReadFile(testBinary))(t)
	must(t, os.WriteFile(options.Binary, append(data, '!'), 0o755))
	next, err := New(t.Context(), options)
	must(t, err)
	t.Cleanup(func() { next.Close() })
	must(t, next.Ensure(t.Context(), nil))
	after := got(next.cli.ContainerInspect(t.Context(), next.names.holder()))(t)
	if after.ID != holder.ID || after.State.StartedAt != holder.State.StartedAt {
		t.Error("the holder was replaced or restarted")
	}
	var agents []string
	for _, en := range next.cache.all() {
		if en.role == roleAgent {
			agents = append(agents, en.image)
		}
	}
	if !slices.Equal(agents, []string{next.ensured().infra}) || oldImage == next.ensured().infra {
		t.Errorf("agents of %v, want one of %s", agents, next.ensured().infra)
	}
	if routes := state(t, next).Routes.Services; len(routes) != 1 {
		t.Errorf("the new agent serves %+v", routes)
	}
}

func TestTheGatewayIsMended(t *testing.T) {
	e := ensuredEngine(t)
	routes := runtime.Routes{Services: []*corev1.Service{{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}, Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone}}}}
	must(t, e.Route(t.Context(), routes))
	ref := busybox(t, e.cli)
	pod := startPod(t, e, sandboxOf(testPod("web")))
	main := startContainer(t, e, pod, runtime.ContainerConfig{Name: "main", Image: ref, Command: []string{"sh", "-c", "echo x >/tmp/index.html; exec httpd -f -p 80 -h /tmp"}})
	probe := func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		p := podIn(t, e, pod)
		answer, err := e.Probe(ctx, &p, main, httpGet(80))
		return err == nil && answer.OK
	}
	eventually(t, "the probe succeeds", probe)
	agent := func() string { return e.link.agentID() }
	kill := func(id string) { must(t, e.cli.ContainerKill(t.Context(), id, "SIGKILL")) }
	remove := func(id string) {
		must(t, e.cli.ContainerRemove(t.Context(), id, container.RemoveOptions{Force: true}))
	}
	for _, harm := range []struct {
		what string
		do   func()
	}{
		{"the agent is killed", func() { kill(agent()) }},
		{"the agent is removed", func() { remove(agent()) }},
		{"the holder is killed", func() { kill(e.names.holder()) }},
		{"the holder is removed", func() { remove(e.names.holder()) }},
	} {
		what := harm.what
		harm.do()
		eventually(t, what+", and mended", probe)
		must(t, e.Route(t.Context(), routes))
		eventually(t, what+", and the agent is in the holder's namespace", func() bool {
			holder, err := e.cli.ContainerInspect(t.Context(), e.names.holder())
			now, agentErr := e.cli.ContainerInspect(t.Context(), agent())
			return err == nil && agentErr == nil && holder.State.Running && now.State.Running &&
				string(now.HostConfig.NetworkMode) == "container:"+holder.ID && now.State.StartedAt > holder.State.StartedAt
		})
	}
}

func TestAnAddressThatSomebodyElseHasIsNotInsistedOn(t *testing.T) {
	e := ensuredEngine(t)
	ref := busybox(t, e.cli)
	id := got(e.CreateSandbox(t.Context(), sandboxOf(testPod("web"))))(t)
	ip := podIn(t, e, id).IP
	thief := got(e.cli.ContainerCreate(t.Context(), &container.Config{Image: ref, Cmd: []string{"sleep", "1000000"}}, nil,
		at(e.names.network(), &network.EndpointSettings{IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: ip}}), nil, ""))(t)
	t.Cleanup(func() {
		_ = e.cli.ContainerRemove(context.Background(), thief.ID, container.RemoveOptions{Force: true})
	})
	must(t, e.cli.ContainerStart(t.Context(), thief.ID, container.StartOptions{}))
	must(t, e.StartSandbox(t.Context(), id))
	p := podIn(t, e, id)
	if p.Phase != runtime.Running || p.IP == ip || p.IP == "" {
		t.Errorf("the pod is %s at %s", p.Phase, p.IP)
	}
	main := startContainer(t, e, id, sleeper(ref))
	if out := sh(t, e, main, "hostname -i"); !strings.Contains(out, p.IP) {
		t.Errorf("inside, the address is %s; State says %s", out, p.IP)
	}
	must(t, e.cli.ContainerRemove(t.Context(), thief.ID, container.RemoveOptions{Force: true}))
}

func TestASubPathIsMadeInEveryKindOfVolume(t *testing.T) {
	e := ensuredEngine(t)
	ref := busybox(t, e.cli)
	claim := "podyard-docker-test-sub-" + e.options.Instance
	id := startPod(t, e, sandboxOf(testPod("web"),
		runtime.Volume{Name: "disk", Kind: runtime.EmptyDir}, runtime.Volume{Name: "memory", Kind: runtime.EmptyDir, Memory: true},
		runtime.Volume{Name: "data", Kind: runtime.Persistent, Claim: claim}))
	config := sleeper(ref)
	config.SecurityContext = &corev1.SecurityContext{RunAsUser: new(int64(1000))}
	for _, v := range []string{"disk", "memory", "data"} {
		config.Mounts = append(config.Mounts, runtime.Mount{Volume: v, Path: "/whole-" + v}, runtime.Mount{Volume: v, Path: "/part-" + v, SubPath: "a/b"})
	}
	main := startContainer(t, e, id, config)
	for _, v := range []string{"disk", "memory"} {
		sh(t, e, main, "echo hello >/part-"+v+"/file && grep hello /whole-"+v+"/a/b/file")
	}
	sh(t, e, main, "test -d /whole-data/a/b && ! touch /whole-data/a/b/no && mount | grep '/part-memory type tmpfs'")
	must(t, e.StopContainer(t.Context(), main, 0))
	config.Attempt = 1
	next := startContainer(t, e, id, config)
	sh(t, e, next, "grep hello /part-disk/file && grep hello /part-memory/file")

	// A link that leads out of the volume is not followed by an engine that would follow it on its host.
	sh(t, e, next, "ln -s /etc /whole-disk/link")
	config.Name, config.Mounts = "other", []runtime.Mount{{Volume: "disk", Path: "/part", SubPath: "link"}}
	evil := got(e.CreateContainer(t.Context(), id, config))(t)
	if err := e.StartContainer(t.Context(), evil); err == nil {
		t.Error("a container started with a symbolic link as subPath")
	}
}

func TestRunAsNonRootIsRefusedForAnImageOfRoot(t *testing.T) {
	e := ensuredEngine(t)
	ref := busybox(t, e.cli)
	id := startPod(t, e, sandboxOf(testPod("web")))
	config, yes := sleeper(ref), true
	config.SecurityContext = &corev1.SecurityContext{RunAsNonRoot: &yes}
	if _, err := e.CreateContainer(t.Context(), id, config); !errors.Is(err, runtime.ErrInvalid) || !strings.Contains(err.Error(), "image will run as root") {
		t.Errorf("%v", err)
	}
	config.SecurityContext.RunAsUser = new(int64(1234))
	config.SecurityContext.RunAsGroup = new(int64(5678))
	main := startContainer(t, e, id, config)
	if out := sh(t, e, main, "id -u; id -g"); out != "1234\n5678" {
		t.Errorf("id: %s", out)
	}
}

func TestAHostPortReachesThePodAndAnAllocatedOneIsAnError(t *testing.T) {
	e := ensuredEngine(t)
	ref := busybox(t, e.cli)
	free := got(net.Listen("tcp", "127.0.0.1:0"))(t)
	port := free.Addr().(*net.TCPAddr).Port
	free.Close()
	config := sandboxOf(testPod("web"))
	config.Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: int32(port), HostIP: "127.0.0.1"}}
	id := startPod(t, e, config)
	startContainer(t, e, id, runtime.ContainerConfig{Name: "main", Image: ref, Command: []string{"sh", "-c", "mkdir -p /tmp/w; echo here >/tmp/w/index.html; exec httpd -f -p 80 -h /tmp/w"}})
	eventually(t, "the host port answers", func() bool {
		conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err != nil {
			return false
		}
		defer conn.Close()
		fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n")
		answer, _ := io.ReadAll(conn)
		return bytes.Contains(answer, []byte("here"))
	})
	config.Pod = testPod("second")
	second := got(e.CreateSandbox(t.Context(), config))(t)
	taken := fmt.Sprintf("host port %d/TCP is taken by pod default/web (container k8s_POD_web_", port)
	if err := e.StartSandbox(t.Context(), second); err == nil || !strings.Contains(err.Error(), taken) {
		t.Errorf("a second pod with the port: %v\nwant %q in it", err, taken)
	}
	must(t, e.RemoveSandbox(t.Context(), id))
	must(t, e.StartSandbox(t.Context(), second))
	must(t, e.RemoveSandbox(t.Context(), second))

	listener := got(net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)))(t)
	config.Pod = testPod("third")
	third := got(e.CreateSandbox(t.Context(), config))(t)
	taken = fmt.Sprintf("host port %d/TCP is taken by a program outside Docker", port)
	if err := e.StartSandbox(t.Context(), third); err == nil || !strings.Contains(err.Error(), taken) {
		t.Errorf("a port on which a program listens: %v\nwant %q in it", err, taken)
	}
	listener.Close()
	must(t, e.StartSandbox(t.Context(), third))
}

func TestSCTPPortsArePublished(t *testing.T) {
	e := ensuredEngine(t)
	config := sandboxOf(testPod("web"))
	port := int32(30000 + os.Getpid()%2000)
	config.Ports = []corev1.ContainerPort{{ContainerPort: 3868, HostPort: port, Protocol: corev1.ProtocolSCTP, HostIP: "127.0.0.1"}}
	id := got(e.CreateSandbox(t.Context(), config))(t)
	// A kernel without SCTP can publish none, and the error is to say so.
	if err := e.StartSandbox(t.Context(), id); err != nil {
		if !strings.Contains(err.Error(), "has no SCTP (modprobe sctp)") {
			t.Error(err)
		}
		return
	}
	published := got(e.cli.ContainerInspect(t.Context(), id))(t).NetworkSettings.Ports["3868/sctp"]
	if len(published) != 1 || published[0].HostPort != fmt.Sprint(port) {
		t.Errorf("published: %+v", published)
	}
}

func TestOptionsOfTheNodeReachTheKernel(t *testing.T) {
	root := t.TempDir()
	must(t, os.WriteFile(filepath.Join(root, "no-mkdir.json"), []byte(`{"defaultAction": "SCMP_ACT_ALLOW",
		"syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}`), 0o644))
	e := newEngineOf(t, Options{Instance: instanceFor(t), Binary: testBinary, PidsLimit: 20, SeccompProfileRoot: root})
	must(t, e.Ensure(t.Context(), nil))
	ref := busybox(t, e.cli)
	id := startPod(t, e, sandboxOf(testPod("web")))
	config, name := sleeper(ref), "no-mkdir.json"
	config.SecurityContext = &corev1.SecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost, LocalhostProfile: &name}}
	main := startContainer(t, e, id, config)
	if out := sh(t, e, main, "mkdir /tmp/x 2>&1 || true; touch /tmp/y && echo touched"); !strings.Contains(out, "Operation not permitted") || !strings.Contains(out, "touched") {
		t.Errorf("with the profile: %s", out)
	}
	if out := sh(t, e, main, "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null || true"); out != "20" {
		t.Errorf("the limit of processes is %s", out)
	}
	gone := "gone.json"
	config.Name, config.SecurityContext.SeccompProfile.LocalhostProfile = "other", &gone
	if _, err := e.CreateContainer(t.Context(), id, config); !errors.Is(err, runtime.ErrInvalid) || !strings.Contains(err.Error(), "there is no such file") {
		t.Errorf("a profile that is not there: %v", err)
	}
}

func TestThePodsRuntimeIsTheOneAskedFor(t *testing.T) {
	e := ensuredEngine(t)
	ref := busybox(t, e.cli)
	names := state(t, e).Runtimes
	config := sandboxOf(testPod("web"))
	config.RuntimeHandler = names[slices.Index(names, "runc")]
	id := startPod(t, e, config)
	main := startContainer(t, e, id, sleeper(ref))
	for _, c := range []string{id, main} {
		if found := got(e.cli.ContainerInspect(t.Context(), c))(t); found.HostConfig.Runtime != "runc" {
			t.Errorf("%s runs with %s", found.Name, found.HostConfig.Runtime)
		}
	}
	config.Pod, config.RuntimeHandler = testPod("other"), "kata-that-nobody-has"
	if _, err := e.CreateSandbox(t.Context(), config); !errors.Is(err, runtime.ErrInvalid) || !strings.Contains(err.Error(), "has no runtime kata-that-nobody-has, it has ") {
		t.Errorf("a runtime that the engine has not: %v", err)
	}
}

func TestMessagesAreThereForADaemonThatStartsAnewAndGoWithTheirPod(t *testing.T) {
	e := ensuredEngine(t)
	ref := busybox(t, e.cli)
	pod := testPod("web", corev1.Container{Name: "main", Image: ref, TerminationMessagePath: "/dev/termination-log"})
	id := startPod(t, e, sandboxOf(pod))
	config := runtime.ContainerConfig{
		Name: "main", Image: ref, Command: []string{"sh", "-c", "echo farewell >/dev/termination-log; exit 1"}, TerminationMessagePath: "/dev/termination-log",
	}
	startContainer(t, e, id, config)
	eventually(t, "the container exits", func() bool { return podIn(t, e, id).Containers[0].State == runtime.Exited })
	again, err := New(t.Context(), e.options)
	must(t, err)
	t.Cleanup(func() { again.Close() })
	if got := podIn(t, again, id).Containers[0].Message; got != "farewell\n" {
		t.Errorf("a new daemon reads the message %q", got)
	}
	volume := e.cache.get(id).messages.name
	found := got(e.cli.VolumeInspect(t.Context(), volume))(t)
	if found.Labels[labelInstance] != e.options.Instance {
		t.Errorf("the volume of messages has the labels %v", found.Labels)
	}
	must(t, e.RemoveSandbox(t.Context(), id))
	if _, err := e.cli.VolumeInspect(t.Context(), volume); err == nil {
		t.Error("the volume of messages outlives its pod")
	}
}

func TestAPullLogsIn(t *testing.T) {
	e := newEngine(t)
	ref := busybox(t, e.cli)
	address := serveRegistry(t, "ann", "hush-hush")
	as := address + "/team/app:v1"
	dockerConfig(t, `{"auths": {"`+address+`": {"auth": "`+login("ann", "hush-hush")+`"}}}`)
	pushImage(t, e.cli, ref, as, basicAuth(t, "ann", "hush-hush"))
	pulled := got(e.PullImage(t.Context(), as, nil))(t)
	if !strings.HasPrefix(pulled.Digest, address+"/team/app@sha256:") || pulled.PulledAt.IsZero() {
		t.Errorf("%+v", pulled)
	}
	if known := state(t, e).Images[as]; known != pulled {
		t.Errorf("State has %+v, want %+v", known, pulled)
	}
	if err := func() error {
		_, err := e.cli.ImageRemove(t.Context(), as, image.RemoveOptions{Force: true})
		return err
	}(); err != nil {
		t.Fatal(err)
	}
	if _, err := e.ImageStatus(t.Context(), as); !errors.Is(err, runtime.ErrNotFound) {
		t.Errorf("after the removal: %v", err)
	}
	if known, ok := state(t, e).Images[as]; !ok || known.ID != "" {
		t.Errorf("State still has %+v", known)
	}

	dockerConfig(t, `{"auths": {"`+address+`": {"auth": "`+login("ann", "wrong-pass")+`"}}}`)
	_, err := e.PullImage(t.Context(), as, nil)
	saysNoSecret(t, err, as)
	if _, err := e.PullImage(t.Context(), "Not A Reference", nil); !errors.Is(err, runtime.ErrInvalid) {
		t.Errorf("an invalid reference: %v", err)
	}
}

func saysNoSecret(t *testing.T, err error, ref string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), ref) {
		t.Fatalf("the pull says %v; want an error that names %s", err, ref)
	}
	for _, secret := range []string{"hush-hush", "stale-secret", "wrong-pass", login("ann", "hush-hush"), login("ann", "stale-secret")} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error tells the secret %s: %v", secret, err)
		}
	}
	t.Log(err)
}

// socket passes connections on to the engine. It counts what is asked, and can cut all connections.
type socket struct {
	mu    sync.Mutex
	conns []net.Conn
	asked atomic.Int64
}

func (s *socket) serve(listener net.Listener, target string) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("unix", target)
		if err != nil {
			client.Close()
			continue
		}
		s.mu.Lock()
		s.conns = append(s.conns, client, server)
		s.mu.Unlock()
		go func() { _, _ = io.Copy(io.MultiWriter(server, s), client); server.Close() }()
		go func() { _, _ = io.Copy(client, server); client.Close() }()
	}
}

// Write counts bytes that were sent to the engine.
func (s *socket) Write(data []byte) (int, error) {
	s.asked.Add(int64(len(data)))
	return len(data), nil
}

func (s *socket) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
	s.conns = nil
}

// engineBehind is an ensured engine that is reached through a socket, and another of the same instance that is not, and
// that removes what the test makes.
func engineBehind(t *testing.T) (e, direct *Engine, s *socket) {
	t.Helper()
	host := os.Getenv("DOCKER_HOST")
	if host == "" {
		host = "unix:///var/run/docker.sock"
	}
	target, ok := strings.CutPrefix(host, "unix://")
	if !ok {
		t.Fatalf("this test stands between us and a unix socket; DOCKER_HOST is %s", host)
	}
	path := filepath.Join(t.TempDir(), "docker.sock")
	listener := got(net.Listen("unix", path))(t)
	t.Cleanup(func() { listener.Close() })
	s = &socket{}
	go s.serve(listener, target)
	direct = newEngine(t)
	t.Setenv("DOCKER_HOST", "unix://"+path)
	e, err := New(t.Context(), direct.options)
	must(t, err)
	t.Cleanup(func() { e.Close() })
	must(t, e.Ensure(t.Context(), nil))
	return e, direct, s
}

func TestABrokenConnectionIsTakenUpAgain(t *testing.T) {
	e, direct, socket := engineBehind(t)
	ref := busybox(t, direct.cli)
	id := startPod(t, e, sandboxOf(testPod("web")))
	main := startContainer(t, e, id, sleeper(ref))
	signals := got(e.Watch(t.Context()))(t)
	for range 3 {
		socket.cut()
		must(t, e.Route(t.Context(), runtime.Routes{})) // the gateway's stream comes back too
	}
	eventually(t, "the events are heard again", e.cache.isLive)
	for len(signals) > 0 {
		<-signals
	}
	must(t, direct.cli.ContainerKill(t.Context(), main, "SIGKILL"))
	select {
	case <-signals:
	case <-time.After(10 * time.Second):
		t.Fatal("no signal after the connection was cut")
	}
	eventually(t, "State tells of the kill", func() bool { return podIn(t, e, id).Containers[0].State == runtime.Exited })
}

func TestStateAsksTheEngineNothing(t *testing.T) {
	e, _, socket := engineBehind(t)
	startPod(t, e, sandboxOf(testPod("web")))
	eventually(t, "the events of the start have been looked at", func() bool {
		before := socket.asked.Load()
		time.Sleep(500 * time.Millisecond)
		return e.cache.isLive() && socket.asked.Load() == before
	})
	before := socket.asked.Load()
	for range 1000 {
		if pods := state(t, e).Pods; len(pods) != 1 {
			t.Fatalf("%+v", pods)
		}
	}
	if bytes := socket.asked.Load() - before; bytes != 0 {
		t.Errorf("1000 calls of State sent %d bytes to the engine", bytes)
	}
}
