package docker

import (
	"errors"
	"fmt"
	"testing"

	"github.com/docker/docker/api/types/mount"
	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

// old is Docker 20.10.
var old = facts{}

// told is what the engine is told of the only mount: "bind|volume SOURCE TARGET OPTIONS".
func told(t *testing.T, v sandboxVolume, m runtime.Mount, f facts) string {
	t.Helper()
	s := convertContainer(t, sandboxEntry(testPod("web"), v), runtime.ContainerConfig{Name: "main", Image: "a", Mounts: []runtime.Mount{m}}, f)
	if len(s.host.Binds)+len(s.host.Mounts) != 1 {
		t.Fatalf("%+v %v", s.host.Mounts, s.host.Binds)
	}
	if len(s.host.Binds) == 1 {
		return "old bind " + s.host.Binds[0]
	}
	one := s.host.Mounts[0]
	out := fmt.Sprintf("%s %s %s", one.Type, one.Source, one.Target)
	if one.ReadOnly {
		out += " ro"
	}
	if o := one.BindOptions; o != nil {
		out += words(*o)
	}
	if o := one.VolumeOptions; o != nil && o.Subpath != "" {
		out += " subpath=" + o.Subpath
	}
	return out
}

func words(o mount.BindOptions) (out string) {
	for _, w := range []struct {
		word string
		set  bool
	}{
		{string(o.Propagation), o.Propagation != ""}, {"create", o.CreateMountpoint},
		{"forced", o.ReadOnlyForceRecursive}, {"shallow", o.ReadOnlyNonRecursive},
	} {
		if w.set {
			out += " " + w.word
		}
	}
	return out
}

func TestMountsInTheEnginesWords(t *testing.T) {
	const rw, ro = false, true
	host := func(kind corev1.HostPathType) sandboxVolume {
		return sandboxVolume{Volume: runtime.Volume{Name: "v", Kind: runtime.HostPath, HostPath: "/srv", HostPathType: kind}, Source: "/srv"}
	}
	disk := sandboxVolume{Volume: runtime.Volume{Name: "v", Kind: runtime.Persistent, Claim: "data"}, Source: "/engine/data"}
	for _, c := range []struct {
		name        string
		volume      sandboxVolume
		mount       runtime.Mount
		before, now string
	}{
		{"hostPath", host(""), runtime.Mount{}, "old bind /srv:/m", "bind /srv /m create"},
		{"hostPath to read", host(""), runtime.Mount{ReadOnly: ro}, "old bind /srv:/m:ro", "bind /srv /m ro create shallow"},
		{"hostPath that has been checked", host(corev1.HostPathFile), runtime.Mount{}, "bind /srv /m", "bind /srv /m"},
		{"hostPath and what is mounted there later", host(corev1.HostPathDirectory), runtime.Mount{Propagation: corev1.MountPropagationHostToContainer},
			"bind /srv /m rslave", "bind /srv /m rslave"},
		{"hostPath, both ways", host(""), runtime.Mount{Propagation: corev1.MountPropagationBidirectional}, "old bind /srv:/m:rshared", "bind /srv /m rshared create"},
		{"hostPath, explicitly not", host(corev1.HostPathDirectory), runtime.Mount{Propagation: corev1.MountPropagationNone}, "bind /srv /m", "bind /srv /m"},
		{"part of a hostPath", host(corev1.HostPathDirectory), runtime.Mount{SubPath: "x"}, "old bind /srv/x:/m", "bind /srv/x /m create"},
		{"hostPath, recursively if possible", host(corev1.HostPathDirectory), runtime.Mount{ReadOnly: ro, Recursive: corev1.RecursiveReadOnlyIfPossible},
			"bind /srv /m ro", "bind /srv /m ro"},
		{"hostPath, recursively", host(corev1.HostPathDirectory), runtime.Mount{ReadOnly: ro, Recursive: corev1.RecursiveReadOnlyEnabled}, "refused", "bind /srv /m ro forced"},
		{"volume", disk, runtime.Mount{ReadOnly: rw}, "volume data /m", "volume data /m"},
		{"volume and what is mounted there later", disk, runtime.Mount{Propagation: corev1.MountPropagationHostToContainer},
			"bind /engine/data /m rslave", "bind /engine/data /m rslave"},
		{"part of a volume", disk, runtime.Mount{SubPath: "a/b", ReadOnly: ro}, "old bind /engine/data/a/b:/m:ro", "volume data /m ro subpath=a/b"},
		{"volume, recursively", disk, runtime.Mount{ReadOnly: ro, Recursive: corev1.RecursiveReadOnlyEnabled}, "refused", "bind /engine/data /m ro forced"},
		{"part of a volume, recursively", disk, runtime.Mount{ReadOnly: ro, SubPath: "a", Recursive: corev1.RecursiveReadOnlyEnabled}, "refused", "refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.mount.Volume, c.mount.Path = "v", "/m"
			for f, want := range map[*facts]string{&old: c.before, &modern: c.now} {
				if want == "refused" {
					config := runtime.ContainerConfig{Name: "main", Image: "a", Mounts: []runtime.Mount{c.mount}}
					if _, err := (names{"podyard"}).containerSpec(sandboxEntry(testPod("web"), c.volume), config, lookedUp{}, *f); !errors.Is(err, runtime.ErrInvalid) {
						t.Errorf("%v; want it refused", err)
					}
				} else if got := told(t, c.volume, c.mount, *f); got != want {
					t.Errorf("the engine is told %q; want %q", got, want)
				}
			}
		})
	}
}

func TestAPartOfAHostPathThatTheSandboxDoesNotSeeIsRefused(t *testing.T) {
	v := sandboxVolume{Volume: runtime.Volume{Name: "v", Kind: runtime.HostPath, HostPath: "/srv"}}
	config := runtime.ContainerConfig{Name: "main", Image: "a", Mounts: []runtime.Mount{{Volume: "v", Path: "/m", SubPath: "x"}}}
	if _, err := (names{"podyard"}).containerSpec(sandboxEntry(testPod("web"), v), config, lookedUp{}, modern); !errors.Is(err, runtime.ErrInvalid) {
		t.Errorf("%v; want it refused: nobody could look for symbolic links", err)
	}
}
