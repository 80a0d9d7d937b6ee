package docker

import (
	"context"
	"errors"

	"github.com/podyard/podyard/runtime"
)

// Publish implements runtime.Publisher.
func (e *Engine) Publish(ctx context.Context, p runtime.Publication) error {
	return errors.New("not yet")
}

// Unpublish implements runtime.Publisher.
func (e *Engine) Unpublish(ctx context.Context, namespace, name string) error {
	return errors.New("not yet")
}
