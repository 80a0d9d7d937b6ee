package fake

import (
	"time"

	"github.com/podyard/podyard/runtime"
)

// killed is the exit code of what SIGKILL ended.
const killed = 128 + 9

func (e *Engine) runSandbox(s *sandbox) {
	s.phase, s.started, s.finished = runtime.Running, now(), time.Time{}
	e.touch()
}

func (e *Engine) endSandbox(s *sandbox) {
	if s.phase != runtime.Running {
		return
	}
	s.phase, s.finished = runtime.Exited, now()
	e.unmount(s)
	e.touch()
}

func (e *Engine) runContainer(c *container) {
	e.work(c.config.Image)
	c.run++
	c.cpu, c.worked = 0, time.Now()
	c.state, c.started, c.finished = runtime.Running, now(), time.Time{}
	c.exitCode, c.oomKilled, c.err, c.message = 0, false, "", ""
	c.done = make(chan struct{})
	if p := c.program; p.ExitAfter > 0 {
		code := p.ExitCode
		if p.OOMKilled && code == 0 {
			code = killed
		}
		if c.config.Attempt < p.FailFirst {
			code = 1
		}
		e.exitAfter(c, p.ExitAfter, code, p.OOMKilled)
	}
	e.touch()
}

// exitAfter ends this run of the container at a later time, unless it has ended by then.
func (e *Engine) exitAfter(c *container, d time.Duration, code int, oomKilled bool) {
	run := c.run
	time.AfterFunc(d, func() {
		e.locked(func() {
			if c.run == run {
				e.exit(c, code, oomKilled)
			}
		})
	})
}

func (e *Engine) exit(c *container, code int, oomKilled bool) {
	if c.state != runtime.Running {
		return
	}
	e.work(c.config.Image)
	c.state, c.finished, c.exitCode, c.oomKilled = runtime.Exited, now(), code, oomKilled
	c.message = lastWords(c)
	close(c.done)
	e.unmount(c.sandbox)
	e.touch()
}

// stop sends SIGTERM and arranges for SIGKILL. The channel is closed when the container has ended; nil means it had.
func (e *Engine) stop(id string, grace time.Duration) (<-chan struct{}, error) {
	c := e.containers[id]
	switch {
	case c == nil:
		return nil, runtime.ErrNotFound
	case c.state != runtime.Running:
		return nil, nil
	case grace <= 0:
		e.exit(c, killed, false)
	case c.program.IgnoreTERM || c.program.StopTime >= grace:
		e.exitAfter(c, grace, killed, false)
	default:
		e.exitAfter(c, c.program.StopTime, c.program.StopCode, false)
	}
	return c.done, nil
}

// unmount empties the memory volumes of a pod of which nothing runs any more, as a tmpfs goes with its last mount.
func (e *Engine) unmount(s *sandbox) {
	if s.phase == runtime.Running {
		return
	}
	for _, c := range e.containers {
		if c.sandbox == s && c.state == runtime.Running {
			return
		}
	}
	for _, v := range s.config.Volumes {
		if held := e.volumes[volumeName(s.key, v)]; v.Memory && held != nil {
			held.files, held.filled = map[string][]byte{}, 0
		}
	}
}
