//go:build !linux

package manifests

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"time"
)

func executable() (string, error) { return os.Executable() }

// runFenced runs the child without environment. Only Linux has the other fences; elsewhere Podyard is a client.
func runFenced(ctx context.Context, command []string, input []byte, out, errOut *bounded) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env, cmd.Dir = []string{}, "/"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), out, errOut
	cmd.WaitDelay = time.Second
	return cmd.Run()
}

func fenceSelf(args []string) error {
	_, _, err := childLimits(args)
	return err
}
