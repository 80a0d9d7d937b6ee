package fake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/podyard/podyard/runtime"
)

// Push puts new content under a reference into the registry; what was pulled before stays as it is. A Local program
// comes to the host as well, as if it had been built there.
func (e *Engine) Push(ref string, program Program) {
	e.locked(func() { e.push(ref, program) })
}

func (e *Engine) push(ref string, program Program) {
	e.versions[ref]++
	e.registry[ref] = program
	if program.Local {
		id := e.keep(ref)
		e.local[ref] = runtime.Image{ID: id, User: program.User}
		e.touch()
	}
}

// keep brings the registry's content to the host and returns its ID.
func (e *Engine) keep(ref string) string {
	id := "sha256:" + digest(ref, e.versions[ref])
	e.programs[id] = e.registry[ref]
	return id
}

// RemoveImage removes an image from the host behind everybody's back. Containers that use it keep it.
func (e *Engine) RemoveImage(ref string) {
	e.locked(func() {
		delete(e.programs, e.local[ref].ID)
		delete(e.local, ref)
		e.touch()
	})
}

// KeepImages implements runtime.Images.
func (e *Engine) KeepImages(ctx context.Context, contents []string) error {
	return e.do(ctx, "KeepImages", "", func() error {
		e.kept = map[string]bool{}
		for _, content := range contents {
			if image, here := e.imageOf(content); here {
				e.kept[image.ID] = true
			}
		}
		return nil
	})
}

// Prune removes what no tag, no container and no KeepImages holds, as docker image prune does.
func (e *Engine) Prune() {
	e.locked(func() {
		held := maps.Clone(e.kept)
		if held == nil {
			held = map[string]bool{}
		}
		for _, image := range e.local {
			held[image.ID] = true
		}
		for _, c := range e.containers {
			held[c.imageID] = true
		}
		maps.DeleteFunc(e.programs, func(id string, _ Program) bool { return !held[id] })
		e.touch()
	})
}

// PullImage implements runtime.Images.
func (e *Engine) PullImage(ctx context.Context, ref string, credentials []runtime.Credential) (image runtime.Image, err error) {
	err = e.do(ctx, "PullImage", ref, func() error {
		e.asked[ref] = true
		if found, here := e.imageOf(ref); here && strings.Contains(ref, "@") {
			image = found // a digest means the same for ever
			return nil
		}
		program, known := e.registry[ref]
		if !known || program.Missing {
			return fmt.Errorf("manifest unknown: %w", runtime.ErrNotFound)
		}
		if program.PullError != "" {
			return errors.New(program.PullError)
		}
		id := e.keep(ref)
		image = runtime.Image{ID: id, Digest: repository(ref) + "@" + id, PulledAt: now(), User: program.User}
		e.local[ref] = image
		e.touch()
		return nil
	})
	if err != nil {
		return runtime.Image{}, err
	}
	return image, nil
}

// ImageStatus implements runtime.Images.
func (e *Engine) ImageStatus(ctx context.Context, ref string) (image runtime.Image, err error) {
	err = e.do(ctx, "ImageStatus", ref, func() error {
		e.asked[ref] = true
		found, ok := e.imageOf(ref)
		if !ok {
			return runtime.ErrNotFound
		}
		image = found
		return nil
	})
	if err != nil {
		return runtime.Image{}, err
	}
	return image, nil
}

// repository is a reference without its tag and digest.
func repository(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	if colon := strings.LastIndexByte(ref, ':'); colon > strings.LastIndexByte(ref, '/') {
		ref = ref[:colon]
	}
	return ref
}

// content finds what a container is to run: the pinned content, or what the reference means on this host.
func (e *Engine) content(config runtime.ContainerConfig) (id string, program Program, err error) {
	id = config.ImageID
	if id == "" {
		image, _ := e.imageOf(config.Image)
		id = image.ID
	}
	program, ok := e.programs[id]
	if !ok {
		return "", Program{}, fmt.Errorf("image %s: %w", config.Image, runtime.ErrNotFound)
	}
	return id, program, nil
}

// imageOf is what a reference, a digest or an ID means on the host.
func (e *Engine) imageOf(ref string) (runtime.Image, bool) {
	if image, ok := e.local[ref]; ok {
		return image, true
	}
	name, id, isDigest := strings.Cut(ref, "@")
	if !isDigest {
		name, id = "", ref
	}
	program, ok := e.programs[id]
	if !ok {
		return runtime.Image{}, false
	}
	image := runtime.Image{ID: id, User: program.User}
	if name != "" {
		image.Digest = ref
	}
	return image, true
}
