package docker

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/volume"

	"github.com/podyard/podyard/runtime"
)

// prepareVolumes checks what a pod's volumes need on the engine's host and makes the persistent ones. It returns the
// configuration with what was found out, and the files that are to be written once the sandbox runs.
func (e *Engine) prepareVolumes(ctx context.Context, config runtime.SandboxConfig) (runtime.SandboxConfig, []firstFiles, error) {
	files, err := firstPayloads(config)
	if err != nil {
		return config, nil, err
	}
	if err := e.checkHostPaths(ctx, config); err != nil {
		return config, nil, err
	}
	config.Volumes = slices.Clone(config.Volumes)
	for i := range config.Volumes {
		v := &config.Volumes[i]
		v.Memory = v.Memory && !e.cache.engineExtras().losesMemory
		if v.Kind != runtime.Persistent {
			continue
		}
		if err := e.ensureClaim(ctx, v); err != nil {
			return config, nil, err
		}
	}
	return config, files, nil
}

// ensureClaim makes a persistent volume or finds it as it was made. One that was adopted tells where its bytes are.
func (e *Engine) ensureClaim(ctx context.Context, v *runtime.Volume) error {
	if v.Adopted {
		found, err := e.cli.VolumeInspect(ctx, v.Claim)
		if cerrdefs.IsNotFound(err) {
			return &engineError{fmt.Errorf("volume %s is not on the engine, and Podyard does not make volumes that it adopts", v.Claim), runtime.ErrNotFound}
		}
		if found.Options != nil { // without the mount's options, where a password may be
			v.Options = map[string]string{"type": found.Options["type"], "device": found.Options["device"]}
		}
		return wrap("inspect", "volume "+v.Claim, err)
	}
	ticket := e.claims.ticket()
	// The engine returns one that is there as it is, whatever it is.
	found, err := e.cli.VolumeCreate(ctx, volume.CreateOptions{
		Name: v.Claim, Driver: "local", DriverOpts: v.Options, Labels: e.names.claimLabels(*v),
	})
	if err != nil {
		return wrap("make", "volume "+v.Claim, err)
	}
	if found.Labels[labelInstance] != e.options.Instance {
		return fmt.Errorf("volume %s exists and is not of this Podyard instance: %w", v.Claim, runtime.ErrInvalid)
	}
	if different := differences(found.Options, v.Options); len(different) > 0 {
		return fmt.Errorf("volume %s was made with another %s than is asked for now; move its data and remove it, or ask for what it was: %w",
			v.Claim, strings.Join(different, ", "), runtime.ErrInvalid)
	}
	e.noteClaim(v.Claim, ticket, &found)
	return nil
}

// RemoveVolume implements runtime.Volumes. The engine refuses to remove what a container has, stopped or not.
func (e *Engine) RemoveVolume(ctx context.Context, name string) error {
	found, err := e.cli.VolumeInspect(ctx, name)
	switch {
	case cerrdefs.IsNotFound(err):
		e.noteClaim(name, e.claims.ticket(), nil)
		return nil
	case err != nil:
		return wrap("inspect", "volume "+name, err)
	case e.names.claimOf(&found) == nil:
		return fmt.Errorf("volume %s is not of this Podyard instance: %w", name, runtime.ErrInvalid)
	}
	return e.removeVolume(ctx, name)
}

// differences are the options that two volumes do not share, by name: their values may hold a password.
func differences(a, b map[string]string) []string {
	var out []string
	for _, name := range []string{"type", "device", "o"} {
		if a[name] != b[name] {
			out = append(out, name)
		}
	}
	return out
}

// claimLabels are those that were asked for, and ours.
func (n names) claimLabels(v runtime.Volume) map[string]string {
	labels := maps.Clone(v.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, n.labels(roleVolume))
	labels[labelPersistent] = "true"
	return labels
}

// claimOf is a persistent volume of this instance as State tells of it; nil for others.
func (n names) claimOf(v *volume.Volume) *runtime.PersistentVolume {
	if v.Labels[labelInstance] != n.instance || v.Labels[labelPersistent] != "true" {
		return nil
	}
	labels := maps.Clone(v.Labels)
	for _, ours := range []string{labelInstance, labelRole, labelPersistent} {
		delete(labels, ours)
	}
	out := &runtime.PersistentVolume{Name: v.Name, Labels: labels}
	if created, err := time.Parse(time.RFC3339, v.CreatedAt); err == nil {
		out.CreatedAt = created.UTC()
	}
	return out
}

// claims remembers the persistent volumes, in the way of cache: an answer does not replace a later one.
type claims struct {
	mu    sync.Mutex
	known map[string]runtime.PersistentVolume
	// others are the volumes that are not ours.
	others  map[string]bool
	tickets map[string]uint64
	next    uint64
}

func (c *claims) ticket() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next++
	return c.next
}

// put remembers an answer; nil means that the volume is gone, or not a claim's of ours: then other tells whether it is
// somebody else's.
func (c *claims) put(name string, ticket uint64, found *runtime.PersistentVolume, other bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known, c.others, c.tickets = map[string]runtime.PersistentVolume{}, map[string]bool{}, map[string]uint64{}
	}
	if ticket < c.tickets[name] {
		return
	}
	c.tickets[name] = ticket
	delete(c.known, name)
	delete(c.others, name)
	switch {
	case found != nil:
		c.known[name] = *found
	case other:
		c.others[name] = true
	}
}

func (c *claims) has(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.known[name]
	return ok || c.others[name]
}

// names are those of all volumes that are remembered.
func (c *claims) names() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.AppendSeq(slices.Collect(maps.Keys(c.known)), maps.Keys(c.others))
}

// otherNames are those of the volumes that are not ours, sorted.
func (c *claims) otherNames() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.others))
}

// snapshot is sorted by name; the labels are shared and never changed.
func (c *claims) snapshot() []runtime.PersistentVolume {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.SortedFunc(maps.Values(c.known), func(a, b runtime.PersistentVolume) int { return cmp.Compare(a.Name, b.Name) })
}

func (e *Engine) noteClaim(name string, ticket uint64, found *volume.Volume) {
	if found == nil {
		e.claims.put(name, ticket, nil, false)
		return
	}
	e.claims.put(name, ticket, e.names.claimOf(found), found.Labels[labelInstance] != e.options.Instance)
}

// lookAtClaims lists the persistent volumes, and those of others.
func (e *Engine) lookAtClaims(ctx context.Context) error {
	ticket := e.claims.ticket()
	list, err := e.volumes(ctx, filters.NewArgs())
	if err != nil {
		return err
	}
	here := map[string]bool{}
	for _, v := range list {
		here[v.Name] = true
		e.noteClaim(v.Name, ticket, v)
	}
	for _, old := range e.claims.names() {
		if !here[old] {
			e.noteClaim(old, ticket, nil)
		}
	}
	return nil
}

// lookAtClaim asks for one volume that an event told of.
func (e *Engine) lookAtClaim(ctx context.Context, name string) error {
	ticket := e.claims.ticket()
	found, err := e.cli.VolumeInspect(ctx, name)
	if cerrdefs.IsNotFound(err) {
		e.noteClaim(name, ticket, nil)
		return nil
	}
	if err != nil {
		return wrap("inspect", "volume "+name, err)
	}
	e.noteClaim(name, ticket, &found)
	return nil
}

// tellsOfClaim tells whether an event makes a look at a volume worth while: one that we know of is gone, or one that we do not
// know was made, and not for a pod of ours.
func (e *Engine) tellsOfClaim(m events.Message) bool {
	if m.Action == events.ActionDestroy {
		return e.claims.has(m.Actor.ID)
	}
	return !e.claims.has(m.Actor.ID) && !e.names.isPodVolume(m.Actor.ID)
}
