package sandbox

import (
	"fmt"
	"os"
	"runtime"
)

// Main is process 1 of a sandbox, `podyard sandbox …`. It must be called before anything else in main, since all that is
// allotted before the pause takes over is time lost at each pod's start. It does not return when all goes well.
//
//	--hold                  do nothing but wait: the gateway's holder
//	--nameserver IP,…       write /etc/resolv.conf, with …
//	--search DOMAIN,…       … this search list …
//	--option WORD,…         … and these options
//	--extend                … after what the engine wrote there
//	--alias IP,NAME,…       add a line to /etc/hosts (repeat)
//	--message PATH          make the file PATH, which every user may write, unless it is there (repeat)
//	--emptydir PATH         make PATH writable for everybody, as the kubelet does (repeat)
//	--fsgroup ID            give to this group …
//	--own PATH              … this volume, to write (repeat)
//	--own-read PATH         … this volume, to read (repeat)
//	--on-root-mismatch      … but leave those of --own alone whose root is the group's
//	--ready FILE            make FILE when the volumes are set up; if it is there, leave them alone
//	--gateway IP            answer flows that come from the gateway through it; with …
//	--gateway-mac MAC       … its hardware address
//
// The exit code is 2 for a wrong command line and 1 for a step that failed. A kernel without nf_tables is only reported:
// the gateway finds out the same about the same kernel, and hides the clients' addresses instead.
func Main(args []string) int {
	// The pause must be executed by the first thread. By another, the kernel would first let that one end: for a moment
	// process 1 is a zombie, and runc, asked to run a command here, says that the container has stopped.
	runtime.LockOSThread()
	c, err := parse(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "podyard sandbox:", err)
		return 2
	}
	err = c.run()
	fmt.Fprintln(os.Stderr, "podyard sandbox:", err)
	return 1
}

// run carries out the steps and becomes the pause. It returns only on failure.
func (c *config) run() error {
	if c.hold {
		return Pause()
	}
	if err := c.writeResolvConf(resolvConf); err != nil {
		return err
	}
	if err := c.addAliases(hostsFile); err != nil {
		return err
	}
	if err := c.makeMessages(); err != nil {
		return err
	}
	if err := c.volumes.setUp(); err != nil {
		return err
	}
	if err := c.installReturnRoute(); err != nil {
		fmt.Fprintln(os.Stderr, "podyard sandbox:", err)
	}
	return Pause()
}
