package fake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/podyard/podyard/runtime"
)

type container struct {
	id      string
	sandbox *sandbox
	config  runtime.ContainerConfig
	imageID string
	program Program

	state                      runtime.ContainerState
	created, started, finished time.Time
	exitCode                   int
	oomKilled                  bool
	err, message               string

	// cpu is the time it has used since it started, counted up to worked.
	cpu    time.Duration
	worked time.Time
	// run counts starts, so that a timer of an earlier one does nothing. done is closed at the end of this one.
	run  int
	done chan struct{}
	// files written outside of any mount.
	files map[string][]byte
}

func (c *container) name() string { return c.sandbox.name() + "/" + c.config.Name }

func (c *container) observe() runtime.Container {
	return runtime.Container{
		ID: c.id, Name: c.config.Name, Attempt: c.config.Attempt, State: c.state,
		CreatedAt: c.created, StartedAt: c.started, FinishedAt: c.finished,
		ExitCode: c.exitCode, OOMKilled: c.oomKilled, Error: c.err,
		Image: c.config.Image, ImageID: c.imageID, Backoff: c.config.Backoff, Ephemeral: c.config.Ephemeral,
		Message: c.message,
	}
}

// CreateContainer implements runtime.Containers.
func (e *Engine) CreateContainer(ctx context.Context, sandboxID string, config runtime.ContainerConfig) (id string, err error) {
	err = e.do(ctx, "CreateContainer", e.nameIn(sandboxID, config.Name), func() (err error) {
		s := e.sandboxes[sandboxID]
		if s == nil || s.phase == runtime.Missing {
			return fmt.Errorf("sandbox: %w", runtime.ErrNotFound)
		}
		id, err = e.createContainer(s, config)
		return err
	})
	if err != nil {
		return "", err
	}
	return id, nil
}

// nameIn is the name of a container before it has an ID.
func (e *Engine) nameIn(sandboxID, name string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.name(sandboxID) + "/" + name
}

func (e *Engine) createContainer(s *sandbox, config runtime.ContainerConfig) (string, error) {
	for _, c := range e.containers {
		if c.sandbox.key != s.key || c.config.Name != config.Name || c.config.Attempt != config.Attempt {
			continue
		}
		if c.sandbox != s {
			return "", fmt.Errorf("the name of attempt %d is in use in a sandbox that is gone", config.Attempt)
		}
		return c.id, nil
	}
	imageID, program, err := e.content(config)
	if err != nil {
		return "", err
	}
	if err := checkMounts(s, config.Mounts); err != nil {
		return "", err
	}
	if err := e.checkTarget(s, config.Target); err != nil {
		return "", err
	}
	config.Env, config.Mounts = slices.Clone(config.Env), slices.Clone(config.Mounts)
	c := &container{
		sandbox: s, config: config, imageID: imageID, program: program,
		state: runtime.Created, created: now(), files: map[string][]byte{},
	}
	c.id = e.newID(c.name())
	e.containers[c.id] = c
	e.touch()
	return c.id, nil
}

// checkTarget: the container whose processes another is to see must be of the same pod.
func (e *Engine) checkTarget(s *sandbox, target string) error {
	if target == "" {
		return nil
	}
	c := e.containers[target]
	switch {
	case c == nil:
		return fmt.Errorf("target: %w", runtime.ErrNotFound)
	case c.sandbox != s:
		return fmt.Errorf("target is a container of another pod: %w", runtime.ErrInvalid)
	}
	return nil
}

// StartContainer implements runtime.Containers.
func (e *Engine) StartContainer(ctx context.Context, id string) error {
	return e.do(ctx, "StartContainer", id, func() error {
		c := e.containers[id]
		if c == nil {
			return runtime.ErrNotFound
		}
		if c.state == runtime.Running {
			return nil
		}
		if c.sandbox.phase != runtime.Running {
			return e.failStart(c, 128, "cannot join network of a non running container: "+c.sandbox.id)
		}
		if c.program.StartError != "" {
			return e.failStart(c, 127, c.program.StartError)
		}
		e.runContainer(c)
		return nil
	})
}

// failStart leaves the container as dockershim reported one that would not start: exited, at the time of its creation,
// with the engine's words (kubernetes v1.23 pkg/kubelet/dockershim/docker_container.go, ContainerStatus).
func (e *Engine) failStart(c *container, code int, reason string) error {
	c.state, c.exitCode, c.err = runtime.Exited, code, reason
	c.started, c.finished = c.created, c.created
	e.touch()
	return errors.New(reason)
}

// StopContainer implements runtime.Containers. Once it has begun, the engine goes through with it even if the caller
// goes away, as Docker does.
func (e *Engine) StopContainer(ctx context.Context, id string, grace time.Duration) error {
	var done <-chan struct{}
	call, fault, epoch, latency := e.begin("StopContainer", id)
	err := fault.before(ctx)
	if err == nil {
		err = sleep(ctx, latency+fault.delay())
	}
	if err == nil {
		err = e.apply(epoch, func() (err error) {
			done, err = e.stop(id, grace)
			return err
		})
	}
	if err == nil && done != nil {
		err = wait(ctx, done)
	}
	if lost := fault.after(ctx); lost != nil {
		err = lost
	}
	return e.end(call, err)
}

func wait(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// RemoveContainer implements runtime.Containers. A running container is killed.
func (e *Engine) RemoveContainer(ctx context.Context, id string) error {
	return e.do(ctx, "RemoveContainer", id, func() error {
		if c := e.containers[id]; c != nil {
			e.removeContainer(c)
		}
		return nil
	})
}

func (e *Engine) removeContainer(c *container) {
	e.exit(c, killed, false)
	delete(e.containers, c.id)
	e.dropIfEmpty(c.sandbox)
	e.touch()
}
