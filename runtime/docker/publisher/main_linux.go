package publisher

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/podyard/podyard/runtime/docker/sandbox"
)

// Main is process 1 of a publication, `podyard publish …`. It does not return when all goes well and the kernel forwards.
//
//	--to IP                 the Service's address; required
//	--port PROTO:PORT:PORT  tcp or udp, the port here and that of the Service (repeat); required
//	--source CIDR           only clients from here may connect (repeat)
//	--masquerade            hide clients' addresses: the gateway cannot answer them through here
//	--proxy                 forward in userspace, without asking the kernel
//	--ready FILE            make FILE when the ports lead to the Service
//
// The exit code is 0 after SIGTERM, 2 for a wrong command line and 1 for a step that failed.
func Main(args []string) int {
	runtime.LockOSThread() // for the pause: see sandbox.Main
	c, err := parse(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "podyard publish:", err)
		return 2
	}
	if err := c.run(); err != nil {
		fmt.Fprintln(os.Stderr, "podyard publish:", err)
		return 1
	}
	return 0
}

// run has the kernel forward and becomes the pause, or forwards until SIGTERM.
func (c *config) run() error {
	if !c.proxy {
		err := c.Install()
		if err == nil {
			return c.wait()
		}
		fmt.Fprintln(os.Stderr, "podyard publish: nftables is not usable, ports are forwarded in userspace:", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	return c.Forward(ctx, slog.New(slog.NewTextHandler(os.Stderr, nil)), c.tell)
}

func (c *config) wait() error {
	if err := c.tell(); err != nil {
		return err
	}
	return sandbox.Pause()
}

// tell makes the file that tells that the ports lead to the Service.
func (c *config) tell() error {
	if c.ready == "" {
		return nil
	}
	if err := os.WriteFile(c.ready, nil, 0o644); err != nil {
		return fmt.Errorf("tell that the ports are open: %w", err)
	}
	return nil
}
