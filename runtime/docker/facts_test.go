package docker

import (
	"testing"

	"github.com/docker/docker/api/types/system"
)

func TestWhatAnEngineCan(t *testing.T) {
	for _, c := range []struct {
		version, api                      string
		liveRestore, loses, annotatesShim bool
	}{
		{"20.10.24+dfsg1", "1.41", false, false, false},
		{"20.10.24+dfsg1", "1.41", true, true, false},
		{"24.0.5", "1.43", true, true, true},
		{"24.0.6", "1.43", true, false, true},
		{"28.5.2+dfsg4", "1.51", true, false, true},
	} {
		f := factsOf(system.Info{ServerVersion: c.version, LiveRestoreEnabled: c.liveRestore}, c.api)
		if f.losesMemory != c.loses || f.annotations != c.annotatesShim {
			t.Errorf("%s, live-restore %v: loses memory %v, want %v; annotations %v, want %v",
				c.version, c.liveRestore, f.losesMemory, c.loses, f.annotations, c.annotatesShim)
		}
	}
}
