package docker

import (
	"context"
	"errors"

	"github.com/podyard/podyard/runtime"
)

// Publish implements runtime.Publisher.
func (e *Engine) Publish(ctx context.Context, p runtime.Publication) error {
	if isIngress(p.Namespace, p.Name) {
		return e.publishIngress(ctx, p)
	}
	return errors.New("not yet")
}

// Unpublish implements runtime.Publisher.
func (e *Engine) Unpublish(ctx context.Context, namespace, name string) error {
	if isIngress(namespace, name) {
		return e.unpublishIngress(ctx)
	}
	return errors.New("not yet")
}
