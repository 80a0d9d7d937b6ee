package deploy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/history"
	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
)

// asItRan is the set of a revision with its images named by the bytes that ran then, where their references may mean others now:
// a tag has moved, or the registry would be asked. Objects that are applied already are left alone, so that none of their
// pods is replaced.
func (d *Deployer) asItRan(ctx context.Context, r history.Revision, set *manifests.Set) (*manifests.Set, error) {
	var applied map[manifests.Ref]*manifests.Object
	if a := d.current(); a != nil {
		applied = byRef(a.set)
	}
	var gone []string
	var failed error
	pinned, err := set.Pin(func(o *manifests.Object, c *corev1.Container) string {
		ran := r.Images[c.Image]
		if same := applied[o.Ref]; ran == "" || same != nil && bytes.Equal(rawYAML(same), rawYAML(o)) {
			return ""
		}
		moved, err := d.hasMoved(ctx, c, ran)
		if err != nil {
			failed = err
		}
		if !moved {
			return ""
		}
		if strings.Contains(ran, "@") { // a registry may have it
			return ran
		}
		if _, err := d.options.Runtime.ImageStatus(ctx, ran); err != nil {
			gone = append(gone, c.Image)
			return ""
		}
		return ran
	})
	if err != nil || failed != nil {
		return nil, errors.Join(err, failed)
	}
	if len(gone) > 0 {
		d.log.Warn("images of the revision are not on the host any more, their tags are used", "revision", r.Revision, "images", gone)
	}
	return pinned, nil
}

// hasMoved tells whether a container could get other bytes than those that ran.
func (d *Deployer) hasMoved(ctx context.Context, c *corev1.Container, ran string) (bool, error) {
	if c.ImagePullPolicy == corev1.PullAlways {
		return true, nil
	}
	now, err := d.options.Runtime.ImageStatus(ctx, c.Image)
	if errors.Is(err, runtime.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for image %s: %w", c.Image, err)
	}
	return now.ID != ran && now.Digest != ran, nil
}

// DefaultKeepImages is Options.KeepImages where nothing else is said.
const DefaultKeepImages = 10

// keepPatience bounds how long the engine may take to keep images.
const keepPatience = 30 * time.Second

// keepImages keeps what the newest revisions ran, so that a rollback needs no registry.
func (d *Deployer) keepImages(ctx context.Context) {
	contents := map[string]bool{}
	left, before := d.options.KeepImages, uint64(0)
	for left > 0 {
		page, err := d.options.Store.List(left, before)
		if err != nil {
			d.log.Warn("images of revisions not kept", "err", err)
			return
		}
		if len(page) == 0 {
			break
		}
		for _, r := range page {
			before = r.Number
			if len(r.Images) == 0 {
				continue
			}
			left--
			for _, content := range r.Images {
				contents[content] = true
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, keepPatience)
	defer cancel()
	if err := d.options.Runtime.KeepImages(ctx, slices.Sorted(maps.Keys(contents))); err != nil && ctx.Err() == nil {
		d.log.Warn("images of revisions not kept", "err", err)
	}
}
