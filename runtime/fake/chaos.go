package fake

import (
	"time"

	"github.com/podyard/podyard/runtime"
)

// KillContainer ends a running container with an exit code, as a crash or an operator would.
func (e *Engine) KillContainer(id string, code int) {
	e.locked(func() {
		if c := e.containers[id]; c != nil {
			e.exit(c, code, false)
		}
	})
}

// KillSandbox ends a sandbox as "docker kill" does: it stays down, and its containers run on without a network.
func (e *Engine) KillSandbox(id string) {
	e.locked(func() {
		if s := e.sandboxes[id]; s != nil {
			e.endSandbox(s)
		}
	})
}

// RestartSandbox ends a sandbox by a crash, on which its restart policy brings it back at once. Its containers run on
// in the network namespace that is gone; only the newer StartedAt tells.
func (e *Engine) RestartSandbox(id string) {
	e.locked(func() {
		if s := e.sandboxes[id]; s != nil && s.phase == runtime.Running {
			e.endSandbox(s)
			e.runSandbox(s)
		}
	})
}

// RemoveBehindBack removes a container or sandbox as "docker rm --force" does. The containers and volumes of a sandbox
// stay.
func (e *Engine) RemoveBehindBack(id string) {
	e.locked(func() {
		if c := e.containers[id]; c != nil {
			e.removeContainer(c)
		}
		if s := e.sandboxes[id]; s != nil {
			e.endSandbox(s)
			e.loseSandbox(s)
		}
	})
}

// RestartEngine stops everything, is down for Options.Downtime, and comes back with the sandboxes that ran, by their
// restart policy. Containers have none and stay exited. An engine that is down already is left alone.
func (e *Engine) RestartEngine() {
	e.locked(func() {
		if e.down {
			return
		}
		back := e.goDown()
		time.AfterFunc(e.options.Downtime, func() { e.locked(func() { e.comeBack(back) }) })
	})
}

func (e *Engine) goDown() (ran []*sandbox) {
	e.down = true
	e.epoch++
	for _, c := range e.sortedContainers() {
		e.exit(c, shutdownCode(c.program), false)
	}
	for _, s := range e.sortedSandboxes() {
		if s.phase == runtime.Running {
			ran = append(ran, s)
			e.endSandbox(s)
		}
	}
	return ran
}

func shutdownCode(p Program) int {
	if p.IgnoreTERM {
		return killed
	}
	return p.StopCode
}

func (e *Engine) comeBack(sandboxes []*sandbox) {
	e.down = false
	for _, s := range sandboxes {
		if s.phase == runtime.Exited && e.sandboxes[s.id] == s {
			e.runSandbox(s)
		}
	}
	e.touch()
}

// DropEvents makes Watch silent, or lets it speak again; what happened in between is never signalled.
func (e *Engine) DropEvents(drop bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dropEvents = drop
}

// Reconnect makes the engine look as it does to a new daemon: which images were asked for and when they were pulled is
// known only to the process that did.
func (e *Engine) Reconnect() {
	e.locked(func() {
		clear(e.asked)
		for ref, image := range e.local {
			image.PulledAt = time.Time{}
			e.local[ref] = image
		}
		e.touch()
	})
}
