package docker

import (
	"context"
	"fmt"
	"slices"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
)

// KeepImages implements runtime.Images. Each image has a tag of ours, named by its ID: docker image prune leaves alone what has a
// tag. One that only we have kept goes when we let go of it.
func (e *Engine) KeepImages(ctx context.Context, contents []string) error {
	wanted := map[string]bool{}
	for _, content := range contents {
		found, err := e.cli.ImageInspect(ctx, content)
		if cerrdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return wrap("inspect", "image "+content, err)
		}
		tag := e.names.kept(found.ID)
		wanted[tag] = true
		if !slices.Contains(found.RepoTags, tag) {
			if err := e.cli.ImageTag(ctx, found.ID, tag); err != nil {
				return wrap("keep", "image "+content, err)
			}
		}
	}
	_, err := e.letGo(ctx, func(tag string) bool { return !wanted[tag] })
	return err
}

// kept is the tag that keeps an image.
func (n names) kept(id string) string {
	return n.keptRepository() + ":" + strings.TrimPrefix(id, "sha256:")
}

func (n names) keptRepository() string { return fmt.Sprintf("podyard-kept-%s", n.instance) }

// letGo removes those of our tags that match, and returns them. One whose image a container is made of may stay: the engine
// refuses that where it is the last tag.
func (e *Engine) letGo(ctx context.Context, match func(tag string) bool) ([]string, error) {
	list, err := e.cli.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("reference", e.names.keptRepository()))})
	if err != nil {
		return nil, wrap("list", "images that are kept", err)
	}
	var gone []string
	for _, found := range list {
		for _, tag := range found.RepoTags {
			if !strings.HasPrefix(tag, e.names.keptRepository()+":") || !match(tag) {
				continue
			}
			_, err := e.cli.ImageRemove(ctx, tag, image.RemoveOptions{PruneChildren: true})
			switch {
			case cerrdefs.IsConflict(err), cerrdefs.IsNotFound(err):
			case err != nil:
				return gone, wrap("let go of", "image "+tag, err)
			default:
				gone = append(gone, tag)
			}
		}
	}
	slices.Sort(gone)
	return gone, nil
}
