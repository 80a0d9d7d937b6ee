package fake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/podyard/podyard/runtime"
)

type volume struct {
	kind runtime.VolumeKind
	// owner of what lives as long as its pod; the zero key else.
	owner sandboxKey
	files map[string][]byte
	// Of a persistent volume: what it was made with, and when; adopted ones are somebody else's.
	labels, options map[string]string
	created         time.Time
	adopted         bool
	// filled is what FillVolume put there.
	filled int64
}

// Volume is what tests see of a persistent volume.
type Volume struct {
	Name  string
	Files map[string]string
}

// Volumes returns the persistent volumes, sorted by name.
func (e *Engine) Volumes() []Volume {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []Volume
	for _, name := range slices.Sorted(maps.Keys(e.volumes)) {
		v := e.volumes[name]
		if v.kind != runtime.Persistent || v.adopted {
			continue
		}
		files := map[string]string{}
		for file, data := range v.files {
			files[file] = string(data)
		}
		out = append(out, Volume{name, files})
	}
	return out
}

// volumeName is the volume's name on the engine.
func volumeName(key sandboxKey, v runtime.Volume) string {
	switch v.Kind {
	case runtime.Persistent:
		return v.Claim
	case runtime.HostPath:
		return "host:" + v.HostPath
	case runtime.NFS:
		return "nfs:" + v.Options["o"] + v.Options["device"]
	default:
		return fmt.Sprintf("%s/%s/%s/%s", key.namespace, key.name, key.uid, v.Name)
	}
}

// makeVolumes makes those that are missing, all or none.
func (e *Engine) makeVolumes(key sandboxKey, volumes []runtime.Volume) error {
	for _, v := range volumes {
		if err := e.checkVolume(v); err != nil {
			return fmt.Errorf("volume %s: %w", v.Name, err)
		}
	}
	for _, v := range volumes {
		name := volumeName(key, v)
		if e.volumes[name] != nil {
			continue
		}
		made := &volume{kind: v.Kind, files: map[string][]byte{}}
		switch v.Kind {
		case runtime.EmptyDir, runtime.Files:
			made.owner = key
		case runtime.Persistent:
			made.labels, made.options, made.created, made.adopted = maps.Clone(v.Labels), maps.Clone(v.Options), now(), v.Adopted
		}
		e.volumes[name] = made
	}
	return nil
}

// checkVolume refuses what the engine could not make, or must not.
func (e *Engine) checkVolume(v runtime.Volume) error {
	if _, err := contents(v.Files); err != nil || v.Kind != runtime.Persistent {
		return err
	}
	foreign, held := e.foreign[foreignKey{"volume", v.Claim}], e.volumes[v.Claim]
	switch {
	case v.Adopted && !foreign && held == nil:
		return fmt.Errorf("%s is not on the engine: %w", v.Claim, runtime.ErrNotFound)
	case v.Adopted:
		return nil
	case foreign:
		return fmt.Errorf("%s is not ours: %w", v.Claim, runtime.ErrInvalid)
	case held != nil && !maps.Equal(held.options, v.Options):
		return fmt.Errorf("%s was made with other options: %w", v.Claim, runtime.ErrInvalid)
	}
	return nil
}

// observeVolumes are the persistent volumes, sorted by name.
func (e *Engine) observeVolumes() []runtime.PersistentVolume {
	var out []runtime.PersistentVolume
	for _, name := range slices.Sorted(maps.Keys(e.volumes)) {
		if v := e.volumes[name]; v.kind == runtime.Persistent && !v.adopted {
			out = append(out, runtime.PersistentVolume{Name: name, Labels: maps.Clone(v.labels), CreatedAt: v.created})
		}
	}
	return out
}

// observeOthers are the names of the volumes that somebody else has made, sorted.
func (e *Engine) observeOthers() []string {
	var out []string
	for key := range e.foreign {
		if key.kind == "volume" {
			out = append(out, key.name)
		}
	}
	slices.Sort(out)
	return out
}

// RemoveVolume implements runtime.Volumes.
func (e *Engine) RemoveVolume(ctx context.Context, name string) error {
	return e.do(ctx, "RemoveVolume", name, func() error {
		held := e.volumes[name]
		switch {
		case e.foreign[foreignKey{"volume", name}], held != nil && (held.kind != runtime.Persistent || held.adopted):
			return fmt.Errorf("it is not ours: %w", runtime.ErrInvalid)
		case held == nil:
			return nil
		}
		for _, s := range e.sandboxes {
			if user := slices.IndexFunc(s.config.Volumes, func(v runtime.Volume) bool { return volumeName(s.key, v) == name }); user >= 0 {
				return fmt.Errorf("pod %s has it", s.name())
			}
		}
		delete(e.volumes, name)
		e.touch()
		return nil
	})
}

// FillVolume makes an emptyDir of a pod as large as that, for VolumeUsage; what is in its files comes on top.
func (e *Engine) FillVolume(namespace, pod, name string, bytes int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.sandboxes {
		if s.key.namespace == namespace && s.key.name == pod {
			if held := e.mounted(s, name); held != nil {
				held.filled = bytes
			}
		}
	}
}

// writeFirst fills volumes with the files that the sandbox was created with.
func (e *Engine) writeFirst(s *sandbox) {
	for _, v := range s.config.Volumes {
		if files, err := contents(v.Files); err == nil && v.Kind == runtime.Files && len(files) > 0 {
			e.volumes[volumeName(s.key, v)].files = files
		}
	}
}

func (e *Engine) removeVolumes(owner sandboxKey) {
	maps.DeleteFunc(e.volumes, func(_ string, v *volume) bool { return v.owner == owner })
}

// WriteVolume implements runtime.Sandboxes.
func (e *Engine) WriteVolume(ctx context.Context, id string, v runtime.Volume) error {
	return e.do(ctx, "WriteVolume", id, func() error {
		s := e.sandboxes[id]
		if s == nil || s.phase == runtime.Missing {
			return runtime.ErrNotFound
		}
		if s.phase != runtime.Running {
			return errors.New("the sandbox is not running")
		}
		held := e.volumes[volumeName(s.key, v)]
		if held == nil || held.kind != runtime.Files {
			return fmt.Errorf("volume %s: %w", v.Name, runtime.ErrInvalid)
		}
		files, err := contents(v.Files)
		if err != nil {
			return fmt.Errorf("volume %s: %w", v.Name, err)
		}
		held.files = files
		return nil
	})
}

func contents(files []runtime.File) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, f := range files {
		if path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path || f.Path == "." || path.Clean("/"+f.Path) != "/"+f.Path {
			return nil, fmt.Errorf("path %q: %w", f.Path, runtime.ErrInvalid)
		}
		out[f.Path] = slices.Clone(f.Data)
	}
	return out, nil
}

func checkMounts(s *sandbox, mounts []runtime.Mount) error {
	for _, m := range mounts {
		if !slices.ContainsFunc(s.config.Volumes, func(v runtime.Volume) bool { return v.Name == m.Volume }) {
			return fmt.Errorf("mount of volume %s, which the pod has not: %w", m.Volume, runtime.ErrInvalid)
		}
	}
	return nil
}

// VolumeUsage implements runtime.Sandboxes. A file takes whole blocks.
func (e *Engine) VolumeUsage(ctx context.Context, id string, volumes []string) (map[string]int64, error) {
	out := map[string]int64{}
	err := e.do(ctx, "VolumeUsage", id, func() error {
		s := e.sandboxes[id]
		if s == nil || s.phase == runtime.Missing {
			return runtime.ErrNotFound
		}
		if s.phase != runtime.Running {
			return errors.New("the sandbox is not running")
		}
		for _, name := range volumes {
			held := e.mounted(s, name)
			if held == nil || held.kind != runtime.EmptyDir {
				return fmt.Errorf("volume %s is no emptyDir: %w", name, runtime.ErrInvalid)
			}
			out[name] = held.size()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

const blockSize = 4096

// size of the directory and of the files in it.
func (v *volume) size() int64 {
	size := v.filled + blockSize
	for _, data := range v.files {
		size += (int64(len(data)) + blockSize - 1) / blockSize * blockSize
	}
	return size
}
