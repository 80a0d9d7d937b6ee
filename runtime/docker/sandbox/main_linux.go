package sandbox

import (
	"fmt"
	"os"
)

// Main is process 1 of a sandbox, `podyard sandbox …`. It must be called before anything else in main, since all that is
// allotted before the pause takes over is time lost at each pod's start. It does not return when all goes well.
//
//	--hold                  do nothing but wait: the gateway's holder
//	--nameserver IP,…       write /etc/resolv.conf, with …
//	--search DOMAIN,…       … this search list …
//	--option WORD,…         … and these options
//	--emptydir PATH         make PATH writable for everybody, as the kubelet does (repeat)
//	--gateway IP            answer flows that come from the gateway through it; with …
//	--gateway-mac MAC       … its hardware address
//
// The exit code is 2 for a wrong command line and 1 for a step that failed. A kernel without nf_tables is only reported:
// the gateway finds out the same about the same kernel, and hides the clients' addresses instead.
func Main(args []string) int {
	c, err := parse(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "podyard sandbox:", err)
		return 2
	}
	if err := c.run(); err != nil {
		fmt.Fprintln(os.Stderr, "podyard sandbox:", err)
	}
	return 1
}

// run carries out the steps and becomes the pause. It returns only on failure.
func (c *config) run() error {
	if c.hold {
		return pause()
	}
	if err := c.writeResolvConf(resolvConf); err != nil {
		return err
	}
	if err := c.openEmptyDirs(); err != nil {
		return err
	}
	if err := c.installReturnRoute(); err != nil {
		fmt.Fprintln(os.Stderr, "podyard sandbox:", err)
	}
	return pause()
}

// openEmptyDirs gives emptyDir volumes the kubelet's mode, whatever user the containers run as: perm in
// pkg/volume/emptydir/empty_dir.go.
func (c *config) openEmptyDirs() error {
	for _, path := range c.emptyDirs {
		// Not os.Mkdir's mode, from which the umask would be taken.
		if err := os.Chmod(path, 0o777); err != nil {
			return fmt.Errorf("open emptyDir volume: %w", err)
		}
	}
	return nil
}
