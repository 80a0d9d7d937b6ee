package runtimetest

import (
	"io"
	"strings"

	"github.com/podyard/podyard/runtime"
)

var foreignChecks = []Check{
	{Name: "what is not ours is not in the state, and no verb touches it", run: foreign},
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
	if code, err := f.Runtime.Exec(f.ctx, other.ContainerID, []string{"true"}, io.Discard, io.Discard); err == nil {
		f.Errorf("a command ran in the foreign container, exit code %d", code)
	}
	config := f.config("web", runtime.Volume{Name: "data", Kind: runtime.Persistent, Claim: other.Volume})
	if _, err := f.Runtime.CreateSandbox(f.ctx, config); err == nil || !strings.Contains(err.Error(), other.Volume) {
		f.Errorf("CreateSandbox with a foreign volume says %v; want an error that names %s", err, other.Volume)
	}
	other.Check(f.T)
}
