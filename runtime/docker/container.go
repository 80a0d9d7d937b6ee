package docker

import (
	"context"
	"fmt"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/podyard/podyard/runtime"
)

// CreateContainer implements runtime.Containers.
func (e *Engine) CreateContainer(ctx context.Context, sandboxID string, config runtime.ContainerConfig) (string, error) {
	sandbox, err := e.known(ctx, sandboxID, roleSandbox)
	if err != nil {
		return "", fmt.Errorf("create container %s: %w", config.Name, err)
	}
	object := fmt.Sprintf("container %s/%s/%s", sandbox.pod.Manifest.Namespace, sandbox.pod.Manifest.Name, config.Name)
	found, err := e.lookUp(ctx, sandbox, config)
	if err != nil {
		return "", fmt.Errorf("create %s: %w", object, err)
	}
	spec, err := e.names.containerSpec(sandbox, config, found, e.learned())
	if err != nil {
		return "", fmt.Errorf("create %s: %w", object, err)
	}
	spec.host.PidsLimit = e.pidsLimit()
	id, err := e.create(ctx, spec)
	if cerrdefs.IsNotFound(err) {
		_, _ = e.ImageStatus(ctx, config.Image) // somebody removed it: State is to tell
	}
	return id, wrap("create", object, err)
}

// lookUp finds what a container needs from elsewhere: each only where it matters.
func (e *Engine) lookUp(ctx context.Context, sandbox *entry, config runtime.ContainerConfig) (found lookedUp, err error) {
	if err := e.checkTarget(ctx, sandbox, config.Target); err != nil {
		return lookedUp{}, err
	}
	security := effectiveSecurity(config.PodSecurity, config.SecurityContext)
	if found.seccomp, err = e.options.seccompProfile(security.SeccompProfile); err != nil {
		return lookedUp{}, err
	}
	if needsImageUser(security) {
		image, err := e.inspectImage(ctx, imageOf(config))
		if err != nil {
			return lookedUp{}, err
		}
		found.imageUser = image.User
	}
	found.message = e.messageFile(sandbox, config)
	return found, nil
}

// checkTarget: the container whose processes another is to see must be of the same pod.
func (e *Engine) checkTarget(ctx context.Context, sandbox *entry, target string) error {
	if target == "" {
		return nil
	}
	c, err := e.known(ctx, target, roleContainer)
	if err == nil && c.sandbox != sandbox.id {
		err = fmt.Errorf("target %s is a container of another pod: %w", short(target), runtime.ErrInvalid)
	}
	return err
}

// pidsLimit is the option, or nil for none.
func (e *Engine) pidsLimit() *int64 {
	if e.options.PidsLimit <= 0 {
		return nil
	}
	return &e.options.PidsLimit
}

// StartContainer implements runtime.Containers.
func (e *Engine) StartContainer(ctx context.Context, id string) error {
	c, err := e.known(ctx, id, roleContainer)
	if err != nil {
		return err
	}
	if err := e.prepare(ctx, c); err != nil {
		return wrapStart(c.object(), err)
	}
	err = e.launch(ctx, id, c.container.Attempt > 0)
	if lookErr := e.look(ctx, id); err == nil {
		err = lookErr
	}
	return wrapStart(c.object(), err)
}

// prepare makes what a container mounts of its sandbox and has to be there before it starts. Without a sandbox that runs,
// the engine says why it cannot start the container.
func (e *Engine) prepare(ctx context.Context, c *entry) error {
	if c.running {
		return nil
	}
	sandbox, err := e.known(ctx, c.sandbox, roleSandbox)
	if err != nil || !sandbox.running {
		return err
	}
	if err := e.awaitVolumes(ctx, sandbox); err != nil {
		return err
	}
	if err := e.makeSubPaths(ctx, sandbox, c.subPaths); err != nil {
		return err
	}
	return e.awaitMessage(ctx, sandbox, c.message.file)
}

// StopContainer implements runtime.Containers.
func (e *Engine) StopContainer(ctx context.Context, id string, grace time.Duration) error {
	c, err := e.known(ctx, id, roleContainer)
	if err != nil {
		return err
	}
	if err := e.stop(ctx, id, grace); err != nil {
		return wrap("stop", c.object(), err)
	}
	return e.look(ctx, id)
}

func (e *Engine) stop(ctx context.Context, id string, grace time.Duration) error {
	if seconds := wholeSeconds(grace); seconds > 0 {
		return e.cli.ContainerStop(ctx, id, container.StopOptions{Timeout: &seconds})
	}
	err := e.cli.ContainerKill(ctx, id, "SIGKILL")
	if cerrdefs.IsConflict(err) {
		return nil // it does not run
	}
	if err != nil {
		return err
	}
	return e.waitFor(ctx, id, container.WaitConditionNotRunning)
}

// RemoveContainer implements runtime.Containers. A running container is killed.
func (e *Engine) RemoveContainer(ctx context.Context, id string) error {
	c := e.cache.get(id)
	if c == nil {
		var err error
		if c, err = e.refresh(ctx, id); c == nil {
			return err
		}
	}
	if c.role != roleContainer {
		return fmt.Errorf("remove %s: not a container of a pod: %w", c.object(), runtime.ErrInvalid)
	}
	return wrap("remove", c.object(), e.remove(ctx, id))
}
