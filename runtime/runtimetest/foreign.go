package runtimetest

import (
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/podyard/podyard/runtime"
)

var foreignChecks = []Check{
	{Name: "what is not ours is not in the state, and no verb touches it", run: foreign},
	{Name: "an adopted volume is used and left as it is", run: adopted},
}

func foreign(f *fixture) {
	other := f.Foreign(f.T)
	for _, p := range f.state().Pods {
		for _, c := range p.Containers {
			if p.ID == other.ContainerID || c.ID == other.ContainerID {
				f.Errorf("the state holds the foreign container in %+v", p)
			}
		}
	}
	// Whether these say that they do nothing is left open; that they do nothing is not.
	for verb, err := range map[string]error{
		"StopContainer":   f.Runtime.StopContainer(f.ctx, other.ContainerID, 0),
		"RemoveContainer": f.Runtime.RemoveContainer(f.ctx, other.ContainerID),
		"RemoveSandbox":   f.Runtime.RemoveSandbox(f.ctx, other.ContainerID),
	} {
		if err != nil {
			f.Logf("%s: %v", verb, err)
		}
	}
	if code, err := f.Runtime.Exec(f.ctx, other.ContainerID, runtime.ExecOptions{Command: []string{"true"}}, io.Discard, io.Discard); err == nil {
		f.Errorf("a command ran in the foreign container, exit code %d", code)
	}
	config := f.config("web", runtime.Volume{Name: "data", Kind: runtime.Persistent, Claim: other.Volume})
	if _, err := f.Runtime.CreateSandbox(f.ctx, config); err == nil || !strings.Contains(err.Error(), other.Volume) {
		f.Errorf("CreateSandbox with a foreign volume says %v; want an error that names %s", err, other.Volume)
	}
	if err := f.Runtime.RemoveVolume(f.ctx, other.Volume); !errors.Is(err, runtime.ErrInvalid) {
		f.Errorf("RemoveVolume of a foreign volume says %v; want ErrInvalid", err)
	}
	other.Check(f.T)
}

func adopted(f *fixture) {
	other := f.Foreign(f.T)
	f.until("the state names the volume that is not ours", func() bool { return slices.Contains(f.state().OtherVolumes, other.Volume) })
	config := runtime.Volume{Name: "config", Kind: runtime.Files}
	photos := runtime.Volume{Name: "photos", Kind: runtime.Persistent, Claim: other.Volume, Adopted: true, Labels: map[string]string{"claim": "x"}}
	for _, name := range []string{"one", "two"} {
		pod := f.pod(name, config, photos)
		f.write(pod, config, "greeting", "hello")
		id := f.run(pod, "main", Behaviour{Kind: Sleep},
			runtime.Mount{Volume: "config", Path: "/config"}, runtime.Mount{Volume: "photos", Path: "/photos"})
		if name == "one" {
			f.exec(id, "cp", "/config/greeting", "/photos/greeting")
		}
		f.reads(id, "/photos/greeting", "hello")
		if f.findVolume(other.Volume) != nil {
			f.Error("the state has the adopted volume")
		}
		f.must(f.Runtime.RemoveSandbox(f.ctx, pod))
		if err := f.Runtime.RemoveVolume(f.ctx, other.Volume); !errors.Is(err, runtime.ErrInvalid) {
			f.Errorf("RemoveVolume of an adopted volume says %v; want ErrInvalid", err)
		}
	}
	other.Check(f.T)
}
