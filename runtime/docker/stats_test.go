package docker

import (
	"testing"

	"github.com/docker/docker/api/types/container"
)

// TestTheWorkingSetIsWithoutInactiveFiles: the two names are those of cgroup v1 and v2. The first version has the second
// name, too, for the cgroup without those below it.
func TestTheWorkingSetIsWithoutInactiveFiles(t *testing.T) {
	for _, c := range []struct {
		stats map[string]uint64
		want  int64
	}{
		{map[string]uint64{"inactive_file": 30}, 70},
		{map[string]uint64{"total_inactive_file": 40, "inactive_file": 30}, 60},
		{map[string]uint64{"inactive_file": 130}, 0},
		{nil, 100},
	} {
		if got := workingSet(container.MemoryStats{Usage: 100, Stats: c.stats}); got != c.want {
			t.Errorf("of 100 bytes, %v: working set %d, want %d", c.stats, got, c.want)
		}
	}
}
