package sandbox

import (
	"fmt"
	"os"
	"strings"
)

// resolvConf is the file through which every container of the pod finds names. Docker makes it anew at each start and
// shares this one file with the containers that join, so it is overwritten in place.
const resolvConf = "/etc/resolv.conf"

// writeResolvConf writes the resolver's configuration to path, unless no name server was given.
func (c *config) writeResolvConf(path string) error {
	if len(c.nameservers) == 0 {
		return nil
	}
	if err := os.WriteFile(path, []byte(c.resolvConf()), 0o644); err != nil {
		return fmt.Errorf("write resolver configuration: %w", err)
	}
	return nil
}

// resolvConf renders resolv.conf(5) in the order in which the kubelet writes it.
func (c *config) resolvConf() string {
	var b strings.Builder
	if len(c.search) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(c.search, " "))
	}
	for _, server := range c.nameservers {
		fmt.Fprintf(&b, "nameserver %s\n", server)
	}
	if len(c.options) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(c.options, " "))
	}
	return b.String()
}
