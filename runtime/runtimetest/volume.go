package runtimetest

import (
	"fmt"
	"strings"

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
