package docker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
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
	shared := e.ensured()
	if !shared.ready() {
		return "", fmt.Errorf("create %s: %w", object, errNotEnsured)
	}
	if err := e.synced(ctx); err != nil {
		return "", err
	}
	if err := e.checkRuntime(config.RuntimeHandler); err != nil {
		return "", fmt.Errorf("create %s: %w", object, err)
	}
	config, files, err := e.prepareVolumes(ctx, config)
	if err != nil {
		return "", fmt.Errorf("create %s: %w", object, err)
	}
	var ip netip.Addr
	if !config.Pod.Spec.HostNetwork {
		if ip, err = e.reserveAddress(shared.network); err != nil {
			return "", fmt.Errorf("create %s: %w", object, err)
		}
		defer e.releaseAddress(ip)
	}
	spec, err := e.names.sandboxSpec(config, shared, ip, e.learned())
	if err != nil {
		return "", fmt.Errorf("create %s: %w", object, err)
	}
	id, err := e.createFromInfra(ctx, spec)
	if err == nil {
		e.keepFirst(id, files)
	}
	return id, wrap("create", object, err)
}

// createFromInfra makes the infra image once more if somebody has pruned it since Ensure.
func (e *Engine) createFromInfra(ctx context.Context, s spec) (string, error) {
	id, err := e.create(ctx, s)
	if cerrdefs.IsNotFound(err) && strings.Contains(err.Error(), "No such image") {
		if _, err := e.ensureInfra(ctx, func(string) {}); err != nil {
			return "", err
		}
		return e.create(ctx, s)
	}
	return id, err
}

// checkRuntime refuses an OCI runtime that the engine does not know. It would say so itself only at the start.
func (e *Engine) checkRuntime(handler string) error {
	has := e.cache.engineExtras().runtimes
	if handler == "" || slices.Contains(has, handler) {
		return nil
	}
	return fmt.Errorf("the engine has no runtime %s, it has %s: %w", handler, strings.Join(has, ", "), runtime.ErrInvalid)
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
	err = e.launch(ctx, id, !sandbox.started.IsZero())
	if err != nil && strings.Contains(err.Error(), "Address already in use") {
		err = e.startElsewhere(ctx, id)
	}
	if leftBehind(err) {
		return wrapStart(sandbox.object(), errors.Join(errLeftBehind, e.RemoveSandbox(ctx, id)))
	}
	err = e.explainPort(ctx, sandbox, err)
	if lookErr := e.look(ctx, id); err == nil {
		err = lookErr
	}
	if err == nil {
		err = e.openVolumes(ctx, id)
	}
	return wrapStart(sandbox.object(), explainMount(sandbox, err))
}

// openVolumes brings the volumes of a sandbox that runs into the state in which containers are to find them.
func (e *Engine) openVolumes(ctx context.Context, id string) error {
	sandbox, err := e.known(ctx, id, roleSandbox)
	if err != nil {
		return err
	}
	if err := e.writeFirst(ctx, sandbox); err != nil {
		return err
	}
	return e.awaitVolumes(ctx, sandbox)
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
	sandbox := e.cache.get(id)
	if err := e.remove(ctx, id); err != nil {
		return wrap("remove", "sandbox "+short(id), err)
	}
	e.disconnect(ctx, sandbox)
	e.written.forget(id)
	e.ready.forget(id)
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
	sandbox := e.cache.get(id)
	if sandbox == nil {
		if sandbox, err = e.refresh(ctx, id); err != nil {
			return "", false, err
		}
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
	e.noteGone(id, e.cache.ticket())
	return nil
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

// StopSandbox implements runtime.Sandboxes.
func (e *Engine) StopSandbox(ctx context.Context, id string) error {
	sandbox, err := e.known(ctx, id, roleSandbox)
	if err != nil {
		return err
	}
	if err := e.stop(ctx, id, 0); err != nil {
		return wrap("stop", sandbox.object(), err)
	}
	e.disconnect(ctx, sandbox)
	return e.look(ctx, id)
}
