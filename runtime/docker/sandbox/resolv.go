package sandbox

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// resolvConf is the file through which every container of the pod finds names. Docker makes it anew at each start and
// shares this one file with the containers that join, so it is overwritten in place.
const resolvConf = "/etc/resolv.conf"

// maxNameservers is how many name servers a C library asks (resolv.conf(5)); upstream leaves the rest out, too
// (MaxDNSNameservers in pkg/apis/core/validation).
const maxNameservers = 3

// writeResolvConf writes the resolver's configuration to path, unless there is nothing to say.
func (c *config) writeResolvConf(path string) error {
	if len(c.nameservers)+len(c.search)+len(c.options) == 0 {
		return nil
	}
	said := *c
	if c.extend {
		text, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read resolver configuration: %w", err)
		}
		said = c.after(readResolvConf(string(text)))
	}
	if err := os.WriteFile(path, []byte(said.resolvConf()), 0o644); err != nil {
		return fmt.Errorf("write resolver configuration: %w", err)
	}
	return nil
}

// readResolvConf takes the lines that we write out of a file (upstream: parseResolvConf in pkg/kubelet/network/dns).
func readResolvConf(text string) config {
	var c config
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "nameserver":
			c.nameservers = append(c.nameservers, words[1])
		case "search":
			c.search = words[1:]
		case "options":
			c.options = words[1:]
		}
	}
	return c
}

// after puts what was asked for behind what is there (upstream: appendDNSConfig). An option replaces one of its name.
func (c *config) after(there config) config {
	there.nameservers = appendNew(there.nameservers, c.nameservers)
	there.search = appendNew(there.search, c.search)
	for _, option := range c.options {
		name, _, _ := strings.Cut(option, ":")
		same := func(other string) bool { n, _, _ := strings.Cut(other, ":"); return n == name }
		if i := slices.IndexFunc(there.options, same); i >= 0 {
			there.options[i] = option
			continue
		}
		there.options = append(there.options, option)
	}
	return there
}

func appendNew(list, more []string) []string {
	for _, s := range more {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// resolvConf renders resolv.conf(5) in the order in which the kubelet writes it.
func (c *config) resolvConf() string {
	var b strings.Builder
	if len(c.search) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(c.search, " "))
	}
	for _, server := range c.nameservers[:min(len(c.nameservers), maxNameservers)] {
		fmt.Fprintf(&b, "nameserver %s\n", server)
	}
	if len(c.options) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(c.options, " "))
	}
	return b.String()
}
