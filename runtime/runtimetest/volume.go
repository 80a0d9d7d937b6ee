package runtimetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/podyard/podyard/runtime"
)

var volumeChecks = []Check{
	{Name: "files on disk are written and replaced as a whole", run: func(f *fixture) { files(f, false) }},
	{Name: "files in memory are written and replaced as a whole", run: func(f *fixture) { files(f, true) }},
	{Name: "files may lie in directories", run: directories},
	{Name: "a path outside of the volume is refused", run: outside},
	{Name: "a volume that the pod has not, or that is no Files, is not written", run: wrongVolume},
	{Name: "containers of a pod share an emptyDir", run: func(f *fixture) { share(f, false) }},
	{Name: "containers of a pod share an emptyDir in memory", run: func(f *fixture) { share(f, true) }},
	{Name: "a mount that is read-only cannot be written", run: readOnly},
	{Name: "a subPath shows a part of a volume", run: subPath},
	{Name: "volumes outlive the container that wrote them", run: nextAttempt},
	{Name: "files that a sandbox is created with are there when it has started", run: firstFiles},
	{Name: "persistent volumes are in the state with their labels", run: persistent},
	{Name: "a persistent volume that exists is not made anew with other options", run: otherOptions},
	{Name: "a persistent volume is removed when no pod has it", run: removed},
	{Name: "an adopted volume must exist", run: adoptedMustExist},
	{Name: "emptyDir: its usage is what is in it", run: usage},
}

// write replaces a volume by files of these names and texts.
func (f *fixture) write(pod string, v runtime.Volume, namesAndTexts ...string) {
	f.Helper()
	v.Files = nil
	for i := 0; i < len(namesAndTexts); i += 2 {
		v.Files = append(v.Files, runtime.File{Path: namesAndTexts[i], Data: []byte(namesAndTexts[i+1]), Mode: 0o644})
	}
	f.must(f.Runtime.WriteVolume(f.ctx, pod, v))
}

func (f *fixture) lists(id, dir, want string) {
	f.Helper()
	if got := strings.Join(strings.Fields(f.exec(id, "ls", dir)), " "); got != want {
		f.Errorf("%s holds the files %q; want %q", dir, got, want)
	}
}

func files(f *fixture, memory bool) {
	v := runtime.Volume{Name: "config", Kind: runtime.Files, Memory: memory}
	pod := f.pod("web", v)
	f.write(pod, v, "greeting", "hello", "old", "goes", "empty", "")
	id := f.run(pod, "main", Behaviour{Kind: Sleep}, runtime.Mount{Volume: "config", Path: "/config", ReadOnly: true})
	f.reads(id, "/config/greeting", "hello")
	f.reads(id, "/config/empty", "")
	f.lists(id, "/config", "empty greeting old")

	f.write(pod, v, "greeting", "hello again", "new", "comes")
	f.reads(id, "/config/greeting", "hello again")
	f.lists(id, "/config", "greeting new")
	f.write(pod, v, "greeting", "hello again", "new", "comes")
	f.lists(id, "/config", "greeting new")
	f.write(pod, v)
	f.lists(id, "/config", "")
}

func directories(f *fixture) {
	v := runtime.Volume{Name: "config", Kind: runtime.Files}
	pod := f.pod("web", v)
	f.write(pod, v, "app/main.conf", "a", "app/conf.d/extra.conf", "b", "top", "c")
	id := f.run(pod, "main", Behaviour{Kind: Sleep}, runtime.Mount{Volume: "config", Path: "/config"})
	f.reads(id, "/config/app/main.conf", "a")
	f.reads(id, "/config/app/conf.d/extra.conf", "b")
	f.write(pod, v, "app/main.conf", "d")
	f.reads(id, "/config/app/main.conf", "d")
	f.lacks(id, "/config/app/conf.d/extra.conf")
	f.lists(id, "/config", "app")
}

func outside(f *fixture) {
	v := runtime.Volume{Name: "config", Kind: runtime.Files}
	pod := f.pod("web", v)
	id := f.run(pod, "main", Behaviour{Kind: Sleep}, runtime.Mount{Volume: "config", Path: "/config"})
	for _, path := range []string{"../outside", "/outside", "a/../../outside", "..", ""} {
		v.Files = []runtime.File{{Path: "good", Data: []byte("x")}, {Path: path, Data: []byte("x")}}
		if err := f.Runtime.WriteVolume(f.ctx, pod, v); err == nil {
			f.Errorf("WriteVolume accepts the path %q", path)
		}
	}
	f.lists(id, "/config", "")
}

func wrongVolume(f *fixture) {
	pod := f.pod("web", runtime.Volume{Name: "scratch", Kind: runtime.EmptyDir})
	for _, v := range []runtime.Volume{
		{Name: "other", Kind: runtime.Files}, {Name: "scratch", Kind: runtime.EmptyDir},
	} {
		v.Files = []runtime.File{{Path: "key", Data: []byte("x"), Mode: 0o644}}
		if err := f.Runtime.WriteVolume(f.ctx, pod, v); err == nil {
			f.Errorf("WriteVolume accepts the volume %s of kind %s", v.Name, v.Kind)
		}
	}
}

// share copies a file from container to container: the only writing that every runtime knows is cp.
func share(f *fixture, memory bool) {
	config := runtime.Volume{Name: "config", Kind: runtime.Files}
	pod := f.pod("web", config, runtime.Volume{Name: "scratch", Kind: runtime.EmptyDir, Memory: memory})
	f.write(pod, config, "greeting", "hello")
	one := f.run(pod, "one", Behaviour{Kind: Sleep},
		runtime.Mount{Volume: "config", Path: "/config"}, runtime.Mount{Volume: "scratch", Path: "/out"})
	two := f.run(pod, "two", Behaviour{Kind: Sleep}, runtime.Mount{Volume: "scratch", Path: "/in"})
	f.exec(one, "cp", "/config/greeting", "/out/greeting")
	f.reads(two, "/in/greeting", "hello")
	f.exec(two, "cp", "/in/greeting", "/in/copy")
	f.lists(one, "/out", "copy greeting")
}

func readOnly(f *fixture) {
	config := runtime.Volume{Name: "config", Kind: runtime.Files}
	pod := f.pod("web", config, runtime.Volume{Name: "scratch", Kind: runtime.EmptyDir})
	f.write(pod, config, "greeting", "hello")
	id := f.run(pod, "main", Behaviour{Kind: Sleep}, runtime.Mount{Volume: "config", Path: "/config", ReadOnly: true},
		runtime.Mount{Volume: "scratch", Path: "/scratch", ReadOnly: true})
	for _, dir := range []string{"/config", "/scratch"} {
		if _, _, code := f.try(id, "cp", "/config/greeting", dir+"/copy"); code == 0 {
			f.Errorf("%s is mounted read-only and can be written", dir)
		}
	}
}

func subPath(f *fixture) {
	config := runtime.Volume{Name: "config", Kind: runtime.Files}
	pod := f.pod("web", config)
	f.write(pod, config, "main.conf", "main", "conf.d/extra.conf", "extra")
	id := f.run(pod, "main", Behaviour{Kind: Sleep},
		runtime.Mount{Volume: "config", Path: "/tmp/app.conf", SubPath: "main.conf"},
		runtime.Mount{Volume: "config", Path: "/tmp/conf.d", SubPath: "conf.d"})
	f.reads(id, "/tmp/app.conf", "main")
	f.reads(id, "/tmp/conf.d/extra.conf", "extra")
	f.lists(id, "/tmp/conf.d", "extra.conf")
}

func nextAttempt(f *fixture) {
	volumes := []runtime.Volume{
		{Name: "config", Kind: runtime.Files, Memory: true}, {Name: "scratch", Kind: runtime.EmptyDir},
		{Name: "memory", Kind: runtime.EmptyDir, Memory: true},
	}
	pod := f.pod("web", volumes...)
	f.write(pod, volumes[0], "greeting", "hello")
	config := f.containerConfig("main", Behaviour{Kind: Sleep}, runtime.Mount{Volume: "config", Path: "/config"},
		runtime.Mount{Volume: "scratch", Path: "/scratch"}, runtime.Mount{Volume: "memory", Path: "/memory"})
	id := f.start(pod, config)
	for _, dir := range []string{"scratch", "memory"} {
		f.exec(id, "cp", "/config/greeting", fmt.Sprintf("/%s/greeting", dir))
	}
	f.must(f.Runtime.StopContainer(f.ctx, id, 0))
	config.Attempt = 1
	id = f.start(pod, config)
	for _, dir := range []string{"config", "scratch", "memory"} {
		f.reads(id, fmt.Sprintf("/%s/greeting", dir), "hello")
	}
}

func firstFiles(f *fixture) {
	file := func(path, text string) []runtime.File {
		return []runtime.File{{Path: path, Data: []byte(text), Mode: 0o644}}
	}
	volumes := []runtime.Volume{
		{Name: "disk", Kind: runtime.Files, Files: file("app/greeting", "hello")},
		{Name: "memory", Kind: runtime.Files, Memory: true, Files: file("secret", "hush")},
	}
	pod := f.pod("web", volumes...)
	id := f.run(pod, "main", Behaviour{Kind: Sleep}, runtime.Mount{Volume: "disk", Path: "/disk"}, runtime.Mount{Volume: "memory", Path: "/memory"})
	f.reads(id, "/disk/app/greeting", "hello")
	f.reads(id, "/memory/secret", "hush")
	for _, v := range volumes {
		f.must(f.Runtime.WriteVolume(f.ctx, pod, v))
	}
	f.reads(id, "/memory/secret", "hush")
	f.write(pod, volumes[0], "app/greeting", "hello again")
	f.reads(id, "/disk/app/greeting", "hello again")

	volumes[0].Files[0].Path = "../outside"
	if _, err := f.Runtime.CreateSandbox(f.ctx, f.config("evil", volumes...)); !errors.Is(err, runtime.ErrInvalid) {
		f.Errorf("a sandbox with a file outside of its volume: %v; want ErrInvalid", err)
	}
}

// claim is a persistent volume of the namespace, with a label.
func (f *fixture) claim(name string) runtime.Volume {
	return runtime.Volume{Name: name, Kind: runtime.Persistent, Claim: f.namespace + "-" + name, Labels: map[string]string{"claim": f.namespace + "/" + name}}
}

// findVolume returns a persistent volume of the state, or nil.
func (f *fixture) findVolume(claim string) *runtime.PersistentVolume {
	f.Helper()
	volumes := f.state().Volumes
	if !slices.IsSortedFunc(volumes, func(a, b runtime.PersistentVolume) int { return strings.Compare(a.Name, b.Name) }) {
		f.Errorf("the volumes are not sorted: %+v", volumes)
	}
	if i := slices.IndexFunc(volumes, func(v runtime.PersistentVolume) bool { return v.Name == claim }); i >= 0 {
		return &volumes[i]
	}
	return nil
}

func persistent(f *fixture) {
	v := f.claim("data")
	begin := time.Now().Add(-2 * time.Second) // engines count in seconds
	pod := f.sandbox("web", v, runtime.Volume{Name: "tmp", Kind: runtime.EmptyDir})
	found := f.findVolume(v.Claim)
	if found == nil || !maps.Equal(found.Labels, v.Labels) || found.CreatedAt.Before(begin) {
		f.Fatalf("the state has the volume as %+v; want the labels %v", found, v.Labels)
	}
	v.Labels = map[string]string{"claim": "another"}
	f.sandbox("other", v)
	if again := f.findVolume(v.Claim); again == nil || !maps.Equal(again.Labels, found.Labels) || !again.CreatedAt.Equal(found.CreatedAt) {
		f.Errorf("a second pod turned the volume from %+v into %+v", found, again)
	}
	f.must(f.Runtime.RemoveSandbox(f.ctx, pod))
	if f.findVolume(v.Claim) == nil {
		f.Error("the volume went with its pod")
	}
	for _, other := range f.state().Volumes {
		if strings.HasSuffix(other.Name, "_tmp") {
			f.Errorf("the state has an emptyDir as %+v", other)
		}
	}
}

func otherOptions(f *fixture) {
	v := f.claim("data")
	f.sandbox("web", v)
	v.Options = map[string]string{"type": "none", "o": "bind", "device": "/srv/elsewhere"}
	_, err := f.Runtime.CreateSandbox(f.ctx, f.config("other", v))
	if !errors.Is(err, runtime.ErrInvalid) || !strings.Contains(err.Error(), v.Claim) {
		f.Errorf("the same volume with another device: %v; want ErrInvalid that names %s", err, v.Claim)
	}
}

func adoptedMustExist(f *fixture) {
	v := f.claim("photos")
	v.Adopted = true
	if _, err := f.Runtime.CreateSandbox(f.ctx, f.config("web", v)); !errors.Is(err, runtime.ErrNotFound) || !strings.Contains(err.Error(), v.Claim) {
		f.Errorf("an adopted volume that is not there: %v; want ErrNotFound that names %s", err, v.Claim)
	}
	if f.findVolume(v.Claim) != nil {
		f.Error("it was made")
	}
}

func usage(f *fixture) {
	config := runtime.Volume{Name: "config", Kind: runtime.Files}
	pod := f.pod("web", config, runtime.Volume{Name: "disk", Kind: runtime.EmptyDir}, runtime.Volume{Name: "memory", Kind: runtime.EmptyDir, Memory: true})
	f.write(pod, config, "large", strings.Repeat("x", 1<<20))
	id := f.run(pod, "main", Behaviour{Kind: Sleep}, runtime.Mount{Volume: "config", Path: "/config"},
		runtime.Mount{Volume: "disk", Path: "/disk"}, runtime.Mount{Volume: "memory", Path: "/memory"})
	measure := func() map[string]int64 {
		out, err := f.Runtime.VolumeUsage(f.ctx, pod, []string{"memory", "disk"})
		f.must(err)
		if len(out) != 2 {
			f.Fatalf("the usage is %v; want two volumes", out)
		}
		return out
	}
	before := measure()
	f.exec(id, "cp", "/config/large", "/disk/large")
	f.exec(id, "cp", "/config/large", "/memory/large")
	for name, bytes := range measure() {
		if grown := bytes - before[name]; grown < 1<<20 || grown > 1<<20+64<<10 {
			f.Errorf("a file of 1 MiB makes %s larger by %d bytes", name, grown)
		}
	}
	for _, name := range []string{"config", "other"} {
		if _, err := f.Runtime.VolumeUsage(f.ctx, pod, []string{name}); !errors.Is(err, runtime.ErrInvalid) {
			f.Errorf("the usage of %s, which is no emptyDir of the pod: %v; want ErrInvalid", name, err)
		}
	}
	if _, err := f.Runtime.VolumeUsage(f.ctx, f.sandbox("idle"), nil); err == nil {
		f.Error("the usage of a sandbox that does not run was told")
	}
}

func removed(f *fixture) {
	data := f.claim("data")
	pod := f.pod("web", data)
	if err := f.Runtime.RemoveVolume(f.ctx, data.Claim); err == nil || f.findVolume(data.Claim) == nil {
		f.Errorf("a volume that a pod has is removed: %v", err)
	}
	f.must(f.Runtime.RemoveSandbox(f.ctx, pod))
	for range 2 {
		f.must(f.Runtime.RemoveVolume(f.ctx, data.Claim))
	}
	if f.findVolume(data.Claim) != nil {
		f.Error("the volume is still in the state")
	}
}
