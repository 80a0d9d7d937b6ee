package fake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"

	"github.com/podyard/podyard/runtime"
)

type volume struct {
	kind runtime.VolumeKind
	// owner of what lives as long as its pod; the zero key else.
	owner sandboxKey
	files map[string][]byte
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
		if v.kind != runtime.Persistent {
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
	default:
		return fmt.Sprintf("%s/%s/%s/%s", key.namespace, key.name, key.uid, v.Name)
	}
}

func (e *Engine) makeVolumes(key sandboxKey, volumes []runtime.Volume) error {
	for _, v := range volumes {
		if v.Kind == runtime.Persistent && e.foreign[foreignKey{"volume", v.Claim}] {
			return fmt.Errorf("volume %s is not ours: %w", v.Claim, runtime.ErrInvalid)
		}
	}
	for _, v := range volumes {
		name := volumeName(key, v)
		if e.volumes[name] != nil {
			continue
		}
		made := &volume{kind: v.Kind, files: map[string][]byte{}}
		if v.Kind == runtime.EmptyDir || v.Kind == runtime.Files {
			made.owner = key
		}
		e.volumes[name] = made
	}
	return nil
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
