package docker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/volume"
	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

func TestVolumesInTheEnginesWords(t *testing.T) {
	nfs := map[string]string{"type": "nfs", "o": "addr=10.0.0.9", "device": ":/export"}
	bind := map[string]string{"type": "none", "o": "bind", "device": "/srv"}
	for _, c := range []struct {
		name    string
		volume  runtime.Volume
		group   *int64
		source  string
		options map[string]string
	}{
		{"emptyDir", runtime.Volume{Kind: runtime.EmptyDir, SizeLimit: 5}, nil, "podyard_podyard_UID_v", nil},
		{"in memory", runtime.Volume{Kind: runtime.EmptyDir, Memory: true}, nil, "podyard_podyard_UID_v", tmpfs("mode=1777")},
		{"in memory, bounded, of a group", runtime.Volume{Kind: runtime.EmptyDir, Memory: true, SizeLimit: 5}, new(int64(7)), "podyard_podyard_UID_v", tmpfs("mode=3777,size=5,gid=7")},
		{"files in memory", runtime.Volume{Kind: runtime.Files, Memory: true}, nil, "podyard_podyard_UID_v", tmpfs("mode=0755")},
		{"files in memory, of a group", runtime.Volume{Kind: runtime.Files, Memory: true}, new(int64(7)), "podyard_podyard_UID_v", tmpfs("mode=2755,gid=7")},
		{"nfs", runtime.Volume{Kind: runtime.NFS, Options: nfs}, new(int64(7)), "podyard_podyard_UID_v", nfs},
		{"claim", runtime.Volume{Kind: runtime.Persistent, Claim: "data"}, nil, "data", nil},
		{"claim of a path", runtime.Volume{Kind: runtime.Persistent, Claim: "data", Options: bind}, nil, "data", bind},
	} {
		pod := testPod("web")
		pod.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: c.group}
		c.volume.Name = "v"
		m := names{"podyard"}.mountOf(pod, c.volume, "/volumes/v")
		source := strings.Replace(c.source, "UID", string(pod.UID), 1)
		if m.Type != mount.TypeVolume || m.Source != source || !maps.Equal(m.VolumeOptions.DriverConfig.Options, c.options) || !m.VolumeOptions.NoCopy {
			t.Errorf("%s: %+v %+v; want %s with %v", c.name, m, m.VolumeOptions.DriverConfig, source, c.options)
		}
		persistent := c.volume.Kind == runtime.Persistent
		if labels := m.VolumeOptions.Labels; labels[labelInstance] != "podyard" || (labels[labelPersistent] != "") != persistent || (labels[labelPodUID] == "") != persistent {
			t.Errorf("%s: labels %v", c.name, labels)
		}
	}
	adopted := names{"podyard"}.mountOf(testPod("web"), runtime.Volume{Kind: runtime.Persistent, Claim: "photos", Adopted: true, Labels: map[string]string{"a": "b"}}, "/m")
	if o := adopted.VolumeOptions; o.DriverConfig != nil || len(o.Labels) != 0 || adopted.Source != "photos" {
		t.Errorf("an adopted volume: %+v", adopted)
	}
}

func tmpfs(options string) map[string]string {
	return map[string]string{"type": "tmpfs", "device": "tmpfs", "o": options}
}

func TestWhatTheSandboxDoesToVolumes(t *testing.T) {
	group, mismatch := new(int64(2000)), new(corev1.FSGroupChangeOnRootMismatch)
	readOnly := corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ReadOnly: true}}
	claim := runtime.Volume{Name: "v", Kind: runtime.Persistent, Claim: "data"}
	with := func(change func(*runtime.Volume)) runtime.Volume {
		v := claim
		change(&v)
		return v
	}
	for _, c := range []struct {
		name   string
		group  *int64
		policy *corev1.PodFSGroupChangePolicy
		source corev1.VolumeSource
		volume runtime.Volume
		want   string
	}{
		{"emptyDir", nil, nil, corev1.VolumeSource{}, runtime.Volume{Name: "v", Kind: runtime.EmptyDir}, "--emptydir=/volumes/v --ready=/.volumes-ready"},
		{"emptyDir in memory", group, nil, corev1.VolumeSource{}, runtime.Volume{Name: "v", Kind: runtime.EmptyDir, Memory: true}, ""},
		{"emptyDir of a group", group, nil, corev1.VolumeSource{}, runtime.Volume{Name: "v", Kind: runtime.EmptyDir},
			"--emptydir=/volumes/v --own=/volumes/v --fsgroup=2000 --ready=/.volumes-ready"},
		{"files", nil, nil, corev1.VolumeSource{}, runtime.Volume{Name: "v", Kind: runtime.Files}, ""},
		{"files of a group", group, nil, corev1.VolumeSource{}, runtime.Volume{Name: "v", Kind: runtime.Files}, "--own-read=/volumes/v --fsgroup=2000 --ready=/.volumes-ready"},
		{"claim", group, mismatch, corev1.VolumeSource{}, claim, "--own=/volumes/v --fsgroup=2000 --on-root-mismatch --ready=/.volumes-ready"},
		{"claim to read", group, nil, readOnly, claim, ""},
		{"claim of a hostPath", group, nil, corev1.VolumeSource{}, with(func(v *runtime.Volume) { v.HostPath = "/srv" }), ""},
		{"claim of a local path", group, nil, corev1.VolumeSource{}, with(func(v *runtime.Volume) { v.Options = map[string]string{"type": "none", "o": "bind", "device": "/srv"} }),
			"--own=/volumes/v --fsgroup=2000 --ready=/.volumes-ready"},
		{"claim on a server", group, nil, corev1.VolumeSource{}, with(func(v *runtime.Volume) { v.Options = map[string]string{"type": "nfs"} }), ""},
		{"hostPath", group, nil, corev1.VolumeSource{}, runtime.Volume{Name: "v", Kind: runtime.HostPath, HostPath: "/srv"}, ""},
		{"nfs", group, nil, corev1.VolumeSource{}, runtime.Volume{Name: "v", Kind: runtime.NFS}, ""},
	} {
		pod := testPod("web")
		pod.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: c.group, FSGroupChangePolicy: c.policy}
		pod.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: c.source}}
		if got := strings.Join(setUpFlags(sandboxOf(pod, c.volume)), " "); got != c.want {
			t.Errorf("%s: %q; want %q", c.name, got, c.want)
		}
	}
}

func TestAVolumeThatCannotBeMountedIsNamed(t *testing.T) {
	secret := "vers=3.0,username=u,password=hush: it has a blank"
	sandbox := &entry{volumes: map[string]sandboxVolume{
		"data":  {Volume: runtime.Volume{Options: map[string]string{"type": "none", "o": "bind", "device": "/srv/data"}}},
		"share": {Volume: runtime.Volume{Options: map[string]string{"type": "nfs", "o": "addr=10.0.0.9", "device": ":/export"}}},
		"cifs":  {Volume: runtime.Volume{Options: map[string]string{"type": "cifs", "o": secret, "device": "//host/share"}}},
	}}
	for _, c := range []struct{ engine, want string }{
		{"error while mounting volume '/var/lib/docker/volumes/x/_data': failed to mount local volume: mount /srv/data:/var/lib/docker/volumes/x/_data, flags: 0x1000: no such file or directory",
			`volume data: path "/srv/data" does not exist on the engine's host`},
		{"error while mounting volume '/var/lib/docker/volumes/y/_data': failed to mount local volume: mount :/export:/var/lib/docker/volumes/y/_data, data: addr=10.0.0.9: no such device",
			"volume share: mount :/export of type nfs: the kernel of the engine's host does not know this file system"},
		{"error while mounting volume '/var/lib/docker/volumes/y/_data': failed to mount local volume: mount :/export:/var/lib/docker/volumes/y/_data, data: addr=10.0.0.9: connection refused",
			"volume share: mount :/export: connection refused"},
		{"failed to mount local volume: mount //host/share:/mnt/docker/volumes/z/_data, flags: 0x1, data: " + secret + ": permission denied",
			"volume cifs: mount //host/share: permission denied"},
		{"failed to mount local volume: mount //other/share:/mnt/docker/volumes/z/_data, data: " + secret + ": permission denied",
			"mount //other/share: permission denied"},
		{"port is already allocated", "port is already allocated"},
	} {
		if got := explainMount(sandbox, errors.New(c.engine)); got.Error() != c.want {
			t.Errorf("%q; want %q", got, c.want)
		}
	}
}

func TestOptionsThatDifferAreNamedAndNotQuoted(t *testing.T) {
	a := map[string]string{"type": "cifs", "o": "password=hush", "device": "//host/share"}
	b := map[string]string{"type": "cifs", "o": "password=other", "device": "//host/share"}
	if got := differences(a, b); !slices.Equal(got, []string{"o"}) {
		t.Errorf("%v", got)
	}
	if got := differences(nil, map[string]string{}); len(got) != 0 {
		t.Errorf("none and none: %v", got)
	}
}

func TestFilesThatASandboxIsCreatedWithAreWrittenOnceForAll(t *testing.T) {
	e, _, socket := engineBehind(t)
	file := func(text string) []runtime.File {
		return []runtime.File{{Path: "file", Data: []byte(text), Mode: 0o644}}
	}
	config := sandboxOf(testPod("web"), runtime.Volume{Name: "one", Kind: runtime.Files, Files: file("1")},
		runtime.Volume{Name: "two", Kind: runtime.Files, Memory: true, Files: file("2")}, runtime.Volume{Name: "three", Kind: runtime.Files, Files: file("3")})
	id := got(e.CreateSandbox(t.Context(), config))(t)
	must(t, e.StartSandbox(t.Context(), id))
	eventually(t, "the events of the start have been looked at", func() bool {
		before := socket.asked.Load()
		time.Sleep(500 * time.Millisecond)
		return socket.asked.Load() == before
	})
	before := socket.asked.Load()
	for _, v := range config.Volumes {
		must(t, e.WriteVolume(t.Context(), id, v))
	}
	if bytes := socket.asked.Load() - before; bytes != 0 {
		t.Errorf("writing the same files sent %d bytes to the engine", bytes)
	}
}

func TestAClaimFollowsTheEnginesEvents(t *testing.T) {
	e := ensuredEngine(t)
	mine, other := "podyard-docker-test-mine-"+e.options.Instance, "podyard-docker-test-other-"+e.options.Instance
	listed := func() (out []string) {
		for _, v := range state(t, e).Volumes {
			out = append(out, v.Name)
		}
		return out
	}
	signals := got(e.Watch(t.Context()))(t)
	for name, labels := range map[string]map[string]string{
		other: nil, mine: e.names.claimLabels(runtime.Volume{Labels: map[string]string{"podyard.dev/claim": "shop/data"}}),
	} {
		got(e.cli.VolumeCreate(t.Context(), volume.CreateOptions{Name: name, Labels: labels}))(t)
		t.Cleanup(func() { _ = e.cli.VolumeRemove(context.Background(), name, true) })
	}
	eventually(t, "what another daemon made is in the state", func() bool { return slices.Equal(listed(), []string{mine}) })
	if labels := state(t, e).Volumes[0].Labels; !maps.Equal(labels, map[string]string{"podyard.dev/claim": "shop/data"}) {
		t.Errorf("its labels are %v", labels)
	}
	must(t, e.cli.VolumeRemove(t.Context(), mine, false))
	eventually(t, "what somebody removed is not in the state", func() bool { return len(listed()) == 0 })
	if len(signals) == 0 {
		t.Error("nobody was told")
	}
}

func TestTeardownLeavesWhatAVolumeShowsOfTheHost(t *testing.T) {
	e := ensuredEngine(t)
	ref := busybox(t, e.cli)
	at := "/tmp/podyard-docker-test-" + e.options.Instance
	host := func(script string) string {
		t.Helper()
		must(t, e.Ensure(t.Context(), nil))
		id := startPod(t, e, sandboxOf(testPod("host"), runtime.Volume{Name: "tmp", Kind: runtime.HostPath, HostPath: "/tmp"}))
		config := sleeper(ref)
		config.Mounts = []runtime.Mount{{Volume: "tmp", Path: "/tmp"}}
		out := sh(t, e, startContainer(t, e, id, config), script)
		must(t, e.RemoveSandbox(t.Context(), id))
		return out
	}
	host("mkdir " + at + " && echo precious >" + at + "/file")
	claim := runtime.Volume{Name: "data", Kind: runtime.Persistent, Claim: "podyard-docker-test-bind-" + e.options.Instance,
		Options: map[string]string{"type": "none", "o": "bind", "device": at}}
	startPod(t, e, sandboxOf(testPod("web"), claim))
	must(t, e.Teardown(t.Context(), true, nil))
	if _, err := e.cli.VolumeInspect(t.Context(), claim.Claim); err == nil {
		t.Error("the volume is left")
	}
	if out := host("cat " + at + "/file; rm -r " + at); out != "precious" {
		t.Errorf("the file on the host holds %q", out)
	}
}

func TestASandboxThatCannotSetUpItsVolumesSaysWhy(t *testing.T) {
	e := ensuredEngine(t)
	config := sandboxOf(testPod("web"), runtime.Volume{Name: "tmp", Kind: runtime.EmptyDir})
	spec := got(e.names.sandboxSpec(config, e.ensured(), got(e.reserveAddress(e.ensured().network))(t), e.learned()))(t)
	i := slices.Index(spec.config.Cmd, "--emptydir=/volumes/tmp")
	spec.config.Cmd[i] = "--emptydir=/not/there"
	id := got(e.create(t.Context(), spec))(t)
	if err := e.StartSandbox(t.Context(), id); err == nil || !strings.Contains(err.Error(), "chmod /not/there: no such file or directory") {
		t.Errorf("%v", err)
	}
}

// TestASandboxOfAnEarlierPodyardIsNotWaitedFor: its process does not know how to tell that it is ready.
func TestASandboxOfAnEarlierPodyardIsNotWaitedFor(t *testing.T) {
	e := ensuredEngine(t)
	ref := busybox(t, e.cli)
	config := sandboxOf(testPod("web"), runtime.Volume{Name: "tmp", Kind: runtime.EmptyDir})
	spec := got(e.names.sandboxSpec(config, e.ensured(), got(e.reserveAddress(e.ensured().network))(t), e.learned()))(t)
	spec.config.Cmd = slices.DeleteFunc(spec.config.Cmd, func(flag string) bool { return flag == readyFlag })
	id := got(e.create(t.Context(), spec))(t)
	must(t, e.StartSandbox(t.Context(), id))
	startContainer(t, e, id, sleeper(ref))
}

func TestNoCheckOfAHostPathIsLeft(t *testing.T) {
	e := ensuredEngine(t)
	left, err := e.names.hostPathSpec(testPod("left"), 0, hostPath{path: "/etc"}, e.ensured(), e.facts)
	must(t, err)
	got(e.create(t.Context(), left))(t) // as a daemon does that is killed then
	must(t, e.Ensure(t.Context(), nil))
	for i, kind := range []corev1.HostPathType{corev1.HostPathDirectory, corev1.HostPathFile} {
		pod := testPod(fmt.Sprintf("web-%d", i))
		_, err := e.CreateSandbox(t.Context(), sandboxOf(pod, runtime.Volume{Name: "etc", Kind: runtime.HostPath, HostPath: "/etc", HostPathType: kind}))
		if (err == nil) != (kind == corev1.HostPathDirectory) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	for _, en := range e.cache.all() {
		if en.role == roleCheck {
			t.Errorf("%s is left", en.name)
		}
	}
}
