package docker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"

	"github.com/podyard/podyard/runtime"
)

// images are the references that were pulled or asked for, as they were found last.
type images struct {
	mu    sync.Mutex
	known map[string]runtime.Image
}

func (i *images) snapshot() map[string]runtime.Image {
	i.mu.Lock()
	defer i.mu.Unlock()
	return maps.Clone(i.known)
}

// set keeps when the registry was asked last, as long as the content is the one it named. changed tells whether the
// content is other than it was.
func (i *images) set(ref string, found runtime.Image) (kept runtime.Image, changed bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	old, known := i.known[ref]
	if found.PulledAt.IsZero() && found.ID == old.ID {
		found.PulledAt = old.PulledAt
	}
	i.known[ref] = found
	return found, !known || found.ID != old.ID
}

// noteImage remembers what was found under a reference.
func (e *Engine) noteImage(ref string, found runtime.Image) runtime.Image {
	kept, changed := e.images.set(ref, found)
	if changed {
		e.signal()
	}
	return kept
}

// PullImage implements runtime.Images.
func (e *Engine) PullImage(ctx context.Context, ref string, credentials []runtime.Credential) (runtime.Image, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return runtime.Image{}, fmt.Errorf("pull image %s: %w: %w", ref, runtime.ErrInvalid, err)
	}
	if err := e.pull(ctx, ref, named, credentials); err != nil {
		_, _ = e.ImageStatus(ctx, ref) // what is here counts even if the registry did not answer
		return runtime.Image{}, wrap("pull", "image "+ref, err)
	}
	found, err := e.inspectImage(ctx, ref)
	if err != nil {
		return runtime.Image{}, err
	}
	found.PulledAt = time.Now()
	return e.noteImage(ref, found), nil
}

// pull tries one login after the other, as long as the registry refuses. Of several refusals the first is told: it is
// about the login that was meant.
func (e *Engine) pull(ctx context.Context, ref string, named reference.Named, credentials []runtime.Credential) error {
	auths, err := logins(ctx, named, credentials)
	if err != nil {
		return err
	}
	var refused error
	for _, auth := range auths {
		err := e.pullAs(ctx, ref, auth)
		if !isRefusal(err) {
			return err
		}
		if refused == nil {
			refused = err
		}
	}
	if tried := len(auths) - 1; tried > 0 {
		return fmt.Errorf("%w (refused with each of %d logins, and without)", refused, tried)
	}
	return refused
}

// refusals are the words of registries, and of the engine for them. The engine's status code is no help: before 28 it is
// 404 or 500.
var refusals = []string{"unauthorized", "authentication required", "no basic auth credentials", "denied", "forbidden"}

func isRefusal(err error) bool {
	if err == nil {
		return false
	}
	text := strings.ToLower(err.Error())
	return cerrdefs.IsUnauthorized(err) || cerrdefs.IsPermissionDenied(err) ||
		slices.ContainsFunc(refusals, func(word string) bool { return strings.Contains(text, word) })
}

func (e *Engine) pullAs(ctx context.Context, ref, auth string) error {
	progress, err := e.cli.ImagePull(ctx, ref, image.PullOptions{RegistryAuth: auth})
	if err != nil {
		return err
	}
	defer progress.Close()
	return streamError(progress)
}

// ImageStatus implements runtime.Images.
func (e *Engine) ImageStatus(ctx context.Context, ref string) (runtime.Image, error) {
	found, err := e.inspectImage(ctx, ref)
	if errors.Is(err, runtime.ErrNotFound) {
		e.noteImage(ref, runtime.Image{})
	}
	if err != nil {
		return runtime.Image{}, err
	}
	return e.noteImage(ref, found), nil
}

func (e *Engine) inspectImage(ctx context.Context, ref string) (runtime.Image, error) {
	found, err := e.cli.ImageInspect(ctx, ref)
	if err != nil {
		return runtime.Image{}, wrap("inspect", "image "+ref, err)
	}
	out := runtime.Image{ID: found.ID, Digest: digestOf(ref, found.RepoDigests)}
	if found.Config != nil {
		out.User = found.Config.User
	}
	return out, nil
}

// digestOf picks the digest of the repository that the reference names.
func digestOf(ref string, digests []string) string {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return ""
	}
	for _, d := range digests {
		if other, err := reference.ParseNormalizedNamed(d); err == nil && other.Name() == named.Name() {
			return d
		}
	}
	return ""
}

// lookAtImages finds out what became of the images that are known.
func (e *Engine) lookAtImages(ctx context.Context) error {
	for ref := range e.images.snapshot() {
		if _, err := e.ImageStatus(ctx, ref); err != nil && !errors.Is(err, runtime.ErrNotFound) {
			return err
		}
	}
	return nil
}
