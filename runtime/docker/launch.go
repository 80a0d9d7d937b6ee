package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/docker/docker/api/types/container"
)

// launch starts a container. When the engine shuts down, it takes no new connections, but over those that are open it
// starts again what it has just stopped, and may forget that it did. So what runs again must wait until it is back.
func (e *Engine) launch(ctx context.Context, id string, again bool) error {
	if again {
		connection, err := e.cli.Dialer()(ctx)
		if err != nil {
			return fmt.Errorf("the engine takes no connections: %w", err)
		}
		connection.Close()
	}
	return e.cli.ContainerStart(ctx, id, container.StartOptions{})
}

// errLeftBehind: the engine cannot start the container any more. What it was has to be made anew.
var errLeftBehind = errors.New("the engine was stopped while it started this, and cannot start it any more")

// leftBehind recognises containerd's "task …: already exists". Engines before 23 are stuck with it for ever.
func leftBehind(err error) bool {
	return err != nil && strings.Contains(err.Error(), "task ") && strings.Contains(err.Error(), "already exists")
}
