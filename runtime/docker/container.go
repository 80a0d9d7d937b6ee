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
	user, err := e.imageUser(ctx, config)
	if err != nil {
		return "", fmt.Errorf("create %s: %w", object, err)
	}
	spec, err := e.names.containerSpec(sandbox, config, user, e.learned())
	if err != nil {
		return "", fmt.Errorf("create %s: %w", object, err)
	}
	id, err := e.create(ctx, spec)
	if cerrdefs.IsNotFound(err) {
		_, _ = e.ImageStatus(ctx, config.Image) // somebody removed it: State is to tell
	}
	return id, wrap("create", object, err)
}

// imageUser is the image's USER, asked for only where it matters.
func (e *Engine) imageUser(ctx context.Context, config runtime.ContainerConfig) (string, error) {
	if !needsImageUser(effectiveSecurity(config.PodSecurity, config.SecurityContext)) {
		return "", nil
	}
	image, err := e.inspectImage(ctx, imageOf(config))
	return image.User, err
}

// StartContainer implements runtime.Containers.
func (e *Engine) StartContainer(ctx context.Context, id string) error {
	c, err := e.known(ctx, id, roleContainer)
	if err != nil {
		return err
	}
	if len(c.subPaths) > 0 && !c.running {
		sandbox, err := e.known(ctx, c.sandbox, roleSandbox)
		if err != nil {
			return wrapStart(c.object(), err)
		}
		if err := e.makeSubPaths(ctx, sandbox, c.subPaths); err != nil {
			return wrapStart(c.object(), err)
		}
	}
	err = e.cli.ContainerStart(ctx, id, container.StartOptions{})
	if lookErr := e.look(ctx, id); err == nil {
		err = lookErr
	}
	return wrapStart(c.object(), err)
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
