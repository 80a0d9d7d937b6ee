package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/podyard/podyard/runtime"
)

// VolumeUsage implements runtime.Sandboxes. The helper in the sandbox counts; see runtime/docker/usage.
func (e *Engine) VolumeUsage(ctx context.Context, id string, volumes []string) (map[string]int64, error) {
	sandbox, err := e.known(ctx, id, roleSandbox)
	if err != nil {
		return nil, err
	}
	object := "volumes of " + sandbox.object()
	volumes = slices.Compact(slices.Sorted(slices.Values(volumes)))
	command := []string{infraBinary, "volume-usage"}
	for _, name := range volumes {
		if v, ok := sandbox.volumes[name]; !ok || v.Kind != runtime.EmptyDir {
			return nil, fmt.Errorf("measure %s: %s is not an emptyDir of it: %w", object, name, runtime.ErrInvalid)
		}
		command = append(command, insideSandbox(name))
	}
	if !sandbox.running {
		return nil, fmt.Errorf("measure %s: the sandbox is not running", object)
	}
	out := map[string]int64{}
	if len(volumes) == 0 {
		return out, nil
	}
	lines, err := e.helper(ctx, id, command)
	if err != nil {
		return nil, wrap("measure", object, err)
	}
	if len(lines) != len(volumes) {
		return nil, fmt.Errorf("measure %s: %d answers for %d volumes", object, len(lines), len(volumes))
	}
	for i, name := range volumes {
		if out[name], err = strconv.ParseInt(lines[i], 10, 64); err != nil {
			return nil, fmt.Errorf("measure %s: %w", object, err)
		}
	}
	return out, nil
}

// helper runs a command in a sandbox and returns the words of its output. The command has a standard input that is open as
// long as we listen, so that it ends by itself when we do not any more.
func (e *Engine) helper(ctx context.Context, id string, command []string) ([]string, error) {
	open, end := io.Pipe()
	defer end.Close()
	var stdout, stderr bytes.Buffer
	code, err := e.command(ctx, id, runtime.ExecOptions{Command: command, Stdin: open}, &stdout, &stderr)
	if err == nil && code != 0 {
		err = errors.New(strings.TrimSpace(stderr.String()))
	}
	return strings.Fields(stdout.String()), err
}
