package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/podyard/podyard/runtime"
)

// ContainerStats implements runtime.Containers. The engine reads the cgroup once; asked in any other way it would wait for a
// second reading. Version 20.10 does so at the next full second of its collector, newer ones at once.
func (e *Engine) ContainerStats(ctx context.Context, id string) (runtime.Stats, error) {
	c, err := e.known(ctx, id, roleContainer)
	if err != nil {
		return runtime.Stats{}, fmt.Errorf("read statistics: %w", err)
	}
	answer, err := e.cli.ContainerStatsOneShot(ctx, id)
	if err != nil {
		return runtime.Stats{}, wrap("read statistics of", c.object(), err)
	}
	defer answer.Body.Close()
	var stats container.StatsResponse
	if err := json.NewDecoder(answer.Body).Decode(&stats); err != nil {
		return runtime.Stats{}, wrap("read statistics of", c.object(), err)
	}
	if stats.Read.IsZero() { // what the engine says of one that does not run
		return runtime.Stats{}, fmt.Errorf("read statistics of %s: it is not running", c.object())
	}
	return runtime.Stats{At: stats.Read, CPU: time.Duration(stats.CPUStats.CPUUsage.TotalUsage), Memory: workingSet(stats.MemoryStats)}, nil
}

// workingSet is usage without the cache of files that was not used lately, as cAdvisor counts it (container/libcontainer/
// handler.go, setMemoryStats). The name of that cache depends on the version of cgroups.
func workingSet(m container.MemoryStats) int64 {
	inactive, v1 := m.Stats["total_inactive_file"]
	if !v1 {
		inactive = m.Stats["inactive_file"]
	}
	return int64(m.Usage - min(inactive, m.Usage))
}
