package docker

import (
	"context"
	"fmt"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"golang.org/x/sync/errgroup"

	"github.com/podyard/podyard/runtime"
)

// CreateSandbox implements runtime.Sandboxes.
func (e *Engine) CreateSandbox(ctx context.Context, config runtime.SandboxConfig) (string, error) {
	object := "pod " + config.Pod.Namespace + "/" + config.Pod.Name
	if config.Pod.Spec.HostNetwork {
		return "", fmt.Errorf("create %s: hostNetwork is not supported: %w", object, runtime.ErrInvalid)
	}
	shared := e.ensured()
	if !shared.ready() {
		return "", fmt.Errorf("create %s: %w", object, errNotEnsured)
	}
	if err := e.synced(ctx); err != nil {
		return "", err
	}
	if err := e.checkVolumes(ctx, config.Volumes); err != nil {
		return "", fmt.Errorf("create %s: %w", object, err)
	}
	ip, err := e.reserveAddress(shared.network)
	if err != nil {
		return "", fmt.Errorf("create %s: %w", object, err)
	}
	defer e.releaseAddress(ip)
	spec, err := e.names.sandboxSpec(config, shared, ip, e.learned())
	if err != nil {
		return "", fmt.Errorf("create %s: %w", object, err)
	}
	id, err := e.create(ctx, spec)
	if cerrdefs.IsNotFound(err) && strings.Contains(err.Error(), "No such image") {
		// Somebody pruned the image since Ensure made it.
		if _, err := e.ensureInfra(ctx, func(string) {}); err != nil {
			return "", err
		}
		id, err = e.create(ctx, spec)
	}
	return id, wrap("create", object, err)
}

// create creates a container and remembers it. If the name is taken by the very same thing, that is returned.
func (e *Engine) create(ctx context.Context, s spec) (string, error) {
	for wait := 10 * time.Millisecond; ; wait *= 2 {
		created, err := e.cli.ContainerCreate(ctx, s.config, s.host, s.network, nil, s.name)
		if err == nil {
			return created.ID, e.look(ctx, created.ID)
		}
		if !cerrdefs.IsConflict(err) {
			return "", err
		}
		id, existingErr := e.existing(ctx, s)
		if !cerrdefs.IsNotFound(existingErr) || wait > longestConflict {
			return id, existingErr
		}
		// Another creation has reserved the name and not come to its end, or a removal has not freed it yet.
		sleep(ctx, wait)
		if ctx.Err() != nil {
			return "", err
		}
	}
}

// longestConflict is the last pause after a name was taken by what cannot be found.
const longestConflict = 3 * time.Second

// existing finds what has the name that was to be given. It counts if it is ours, in the same role, of the same pod, and
// in the same sandbox.
func (e *Engine) existing(ctx context.Context, s spec) (string, error) {
	found, err := e.cli.ContainerInspect(ctx, s.name)
	if err != nil {
		return "", err
	}
	for _, label := range []string{labelInstance, labelRole, labelPodUID, labelSandbox} {
		if have, want := found.Config.Labels[label], s.config.Labels[label]; have != want {
			return "", fmt.Errorf("the name %s is taken by container %s, whose label %s is %q and not %q",
				s.name, short(found.ID), label, have, want)
		}
	}
	return found.ID, e.look(ctx, found.ID)
}

// StartSandbox implements runtime.Sandboxes.
func (e *Engine) StartSandbox(ctx context.Context, id string) error {
	sandbox, err := e.known(ctx, id, roleSandbox)
	if err != nil {
		return err
	}
	err = e.cli.ContainerStart(ctx, id, container.StartOptions{})
	if err != nil && strings.Contains(err.Error(), "Address already in use") {
		err = e.startElsewhere(ctx, id)
	}
	if lookErr := e.look(ctx, id); err == nil {
		err = lookErr
	}
	if err == nil {
		err = e.awaitEmptyDirs(ctx, sandbox)
	}
	return wrapStart(sandbox.object(), err)
}

// longestChmod is how long a sandbox may take to make its emptyDirs writable. It takes some milliseconds.
const longestChmod = 30 * time.Second

// awaitEmptyDirs waits until the process in the sandbox has made every emptyDir writable for all, so that no container
// starts before. Looking is cheap (2 ms), and as a rule once is enough.
func (e *Engine) awaitEmptyDirs(ctx context.Context, sandbox *entry) error {
	ctx, cancel := context.WithTimeout(ctx, longestChmod)
	defer cancel()
	for name, v := range sandbox.volumes {
		if v.Kind != runtime.EmptyDir || v.Memory {
			continue
		}
		for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
			found, err := e.cli.ContainerStatPath(ctx, sandbox.id, insideSandbox(name))
			if err != nil {
				return fmt.Errorf("make emptyDir %s writable: %w", name, err)
			}
			if found.Mode.Perm() == 0o777 {
				break
			}
			sleep(ctx, wait)
		}
	}
	return nil
}

// startElsewhere gives a sandbox another address: somebody else in the network has the one that was allotted.
func (e *Engine) startElsewhere(ctx context.Context, id string) error {
	ip, err := e.reserveAddress(e.ensured().network)
	if err != nil {
		return err
	}
	defer e.releaseAddress(ip)
	name := e.names.network()
	if err := e.cli.NetworkDisconnect(ctx, name, id, true); err != nil {
		return err
	}
	endpoint := &network.EndpointSettings{IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: ip.String()}}
	if err := e.cli.NetworkConnect(ctx, name, id, endpoint); err != nil {
		return err
	}
	if err := e.cli.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		return err
	}
	return e.look(ctx, id)
}

// RemoveSandbox implements runtime.Sandboxes. Of a sandbox that is gone, it removes what is left.
func (e *Engine) RemoveSandbox(ctx context.Context, id string) error {
	uid, volumes, err := e.remains(ctx, id)
	if err != nil || uid == "" {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	for _, c := range e.cache.inSandbox(id) {
		group.Go(func() error { return wrap("remove", c.object(), e.remove(groupCtx, c.id)) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := e.remove(ctx, id); err != nil {
		return wrap("remove", "sandbox "+short(id), err)
	}
	e.written.forget(id)
	if !volumes || e.uidInUse(uid) {
		return nil
	}
	return e.removePodVolumes(ctx, uid)
}

// remains tells whose a sandbox, or what is left of it, is, and whether it may have volumes. The UID is empty if nothing
// of ours is left.
func (e *Engine) remains(ctx context.Context, id string) (uid string, volumes bool, err error) {
	if err := e.synced(ctx); err != nil {
		return "", false, err
	}
	sandbox, err := e.refresh(ctx, id)
	if err != nil {
		return "", false, err
	}
	if sandbox != nil && sandbox.role == roleSandbox {
		return string(sandbox.pod.Manifest.UID), len(sandbox.volumes) > 0, nil
	}
	for _, c := range e.cache.inSandbox(id) {
		return string(c.owner.UID), true, nil
	}
	return "", false, nil
}

// uidInUse: another sandbox has been made for the same pod, and uses its volumes.
func (e *Engine) uidInUse(uid string) bool {
	for _, en := range e.cache.all() {
		if en.role == roleSandbox && string(en.pod.Manifest.UID) == uid {
			return true
		}
	}
	return false
}

// remove kills and removes one container of ours with its anonymous volumes. One that is gone, or on its way, is fine.
func (e *Engine) remove(ctx context.Context, id string) error {
	err := e.cli.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
	switch {
	case cerrdefs.IsNotFound(err):
		err = nil
	case cerrdefs.IsConflict(err) && strings.Contains(err.Error(), "already in progress"):
		err = e.waitFor(ctx, id, container.WaitConditionRemoved)
	}
	if err != nil {
		return err
	}
	return e.look(ctx, id)
}

// waitFor waits until a container has stopped or is gone.
func (e *Engine) waitFor(ctx context.Context, id string, condition container.WaitCondition) error {
	done, errs := e.cli.ContainerWait(ctx, id, condition)
	select {
	case <-done:
		return nil
	case err := <-errs:
		if cerrdefs.IsNotFound(err) {
			return nil
		}
		return err
	}
}
