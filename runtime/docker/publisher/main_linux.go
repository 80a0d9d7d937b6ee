package publisher

import (
	"fmt"
	"os"
	"runtime"

	"github.com/podyard/podyard/runtime/docker/sandbox"
)

// Main is process 1 of a publication, `podyard publish …`. It does not return when all goes well.
//
//	--gateway-mac MAC  hardware address of the gateway, which has this container's address from now on; required
//	--ready FILE       make FILE when it has
//
// The exit code is 2 for a wrong command line and 1 for a step that failed.
func Main(args []string) int {
	runtime.LockOSThread() // for the pause: see sandbox.Main
	c, err := parse(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "podyard publish:", err)
		return 2
	}
	err = c.run()
	fmt.Fprintln(os.Stderr, "podyard publish:", err)
	return 1
}

// run carries out the steps and becomes the pause. It returns only on failure.
func (c *config) run() error {
	addresses, err := takeAddresses()
	if err != nil {
		return err
	}
	if err := announce(addresses, c.gatewayMAC); err != nil {
		return err
	}
	if err := silence(addresses); err != nil {
		return err
	}
	if err := c.tell(); err != nil {
		return err
	}
	return sandbox.Pause()
}

// tell makes the file.
func (c *config) tell() error {
	if c.ready == "" {
		return nil
	}
	if err := os.WriteFile(c.ready, nil, 0o644); err != nil {
		return fmt.Errorf("tell that the gateway has the address: %w", err)
	}
	return nil
}
