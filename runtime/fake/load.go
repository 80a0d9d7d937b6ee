package fake

import (
	"context"
	"errors"
	"time"

	"github.com/podyard/podyard/runtime"
)

// Load is what the containers of an image use while they run.
type Load struct {
	// CPU in thousandths of a core is the work that all of them share equally; Memory in bytes is what each takes.
	CPU, Memory int64
}

// SetLoad makes the containers of an image use so much from now on.
func (e *Engine) SetLoad(image string, load Load) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.work(image)
	e.loads[image] = load
}

// work counts the CPU time of an image's containers up to now: before one begins or ends, or their load changes.
func (e *Engine) work(image string) {
	load, there := e.loads[image]
	if !there {
		return
	}
	var running []*container
	for _, c := range e.containers {
		if c.config.Image == image && c.state == runtime.Running {
			running = append(running, c)
		}
	}
	for _, c := range running {
		c.cpu += time.Since(c.worked) * time.Duration(load.CPU) / 1000 / time.Duration(len(running))
		c.worked = time.Now()
	}
}

// ContainerStats implements runtime.Containers.
func (e *Engine) ContainerStats(ctx context.Context, id string) (stats runtime.Stats, err error) {
	err = e.do(ctx, "ContainerStats", id, func() error {
		c := e.containers[id]
		switch {
		case c == nil:
			return runtime.ErrNotFound
		case c.state != runtime.Running:
			return errors.New("it is not running")
		}
		e.work(c.config.Image)
		stats = runtime.Stats{At: now(), CPU: c.cpu, Memory: e.loads[c.config.Image].Memory}
		return nil
	})
	return stats, err
}
