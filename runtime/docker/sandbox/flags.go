package sandbox

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// config is what the command line asks for.
type config struct {
	// hold: nothing but the pause.
	hold bool
	// gateway and gatewayMAC name the container whose flows are answered through it; both or neither.
	gateway    netip.Addr
	gatewayMAC net.HardwareAddr
	// nameservers, search and options are the lines of resolv.conf. Without any it is not written. extend keeps what the
	// engine wrote there and adds them to it.
	nameservers, search, options []string
	extend                       bool
	// aliases are lines that are added to /etc/hosts.
	aliases []string
	// messages are the files for termination messages, paths in this container.
	messages []string
	// volumes are set up once in the life of the container; see volumes_linux.go.
	volumes volumes
}

// volumes are those in which something is to be done. All are mount paths in this container.
type volumes struct {
	// emptyDirs are opened to everybody.
	emptyDirs []string
	// writable and readable are given to the group, to write or only to read; nil for no group.
	writable, readable []string
	group              *int
	// onMismatch leaves alone what looks right at its root.
	onMismatch bool
	// ready is a file that is made when all is done. It is there already when the container starts again.
	ready string
}

// parse reads the command line; its errors say what is wrong with which flag.
func parse(args []string) (config, error) {
	var c config
	var gateway, mac string
	flags := flag.NewFlagSet("sandbox", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&c.hold, "hold", false, "only hold the namespaces")
	flags.StringVar(&gateway, "gateway", "", "IP address of the gateway")
	flags.StringVar(&mac, "gateway-mac", "", "hardware address of the gateway")
	flags.Func("nameserver", "name server (repeat, or separate by commas)", words(&c.nameservers))
	flags.Func("search", "search domain (repeat, or separate by commas)", words(&c.search))
	flags.Func("option", "resolver option (repeat, or separate by commas)", words(&c.options))
	c.volumes.define(flags)
	flags.BoolVar(&c.extend, "extend", false, "add to the resolver configuration that is there")
	flags.Func("alias", "line for /etc/hosts, an address and names separated by commas (repeat)", func(words string) error {
		c.aliases = append(c.aliases, words)
		return nil
	})
	flags.Func("message", "path of a file for a termination message (repeat)", func(path string) error {
		c.messages = append(c.messages, path)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return config{}, err
	}
	if flags.NArg() > 0 {
		return config{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if err := c.setGateway(gateway, mac); err != nil {
		return config{}, err
	}
	return c, c.validate()
}

// define declares the flags of volumes.
func (v *volumes) define(flags *flag.FlagSet) {
	list := func(name, usage string, into *[]string) {
		flags.Func(name, usage, func(path string) error {
			*into = append(*into, path)
			return nil
		})
	}
	list("emptydir", "path of an emptyDir volume (repeat)", &v.emptyDirs)
	list("own", "path of a volume that the group may write (repeat)", &v.writable)
	list("own-read", "path of a volume that the group may read (repeat)", &v.readable)
	flags.Func("fsgroup", "ID of the group that owns volumes", func(value string) error {
		group, err := strconv.Atoi(value)
		if err == nil && group < 0 {
			err = errors.New("it is negative")
		}
		v.group = &group
		return err
	})
	flags.BoolVar(&v.onMismatch, "on-root-mismatch", false, "leave volumes alone whose root is the group's")
	flags.StringVar(&v.ready, "ready", "", "file to make when the volumes are set up")
}

// setGateway takes the two flags that make sense only together.
func (c *config) setGateway(ip, mac string) (err error) {
	if ip == "" && mac == "" {
		return nil
	}
	if c.gateway, err = netip.ParseAddr(ip); err != nil {
		return fmt.Errorf("--gateway: %w", err)
	}
	if !c.gateway.Is4() {
		return fmt.Errorf("--gateway: %s is not an IPv4 address", ip)
	}
	if c.gatewayMAC, err = net.ParseMAC(mac); err != nil {
		return fmt.Errorf("--gateway-mac: %w", err)
	}
	if len(c.gatewayMAC) != 6 {
		return fmt.Errorf("--gateway-mac: %s is not an Ethernet address", mac)
	}
	return nil
}

// validate refuses what would write a broken file.
func (c *config) validate() error {
	for _, server := range c.nameservers {
		if _, err := netip.ParseAddr(server); err != nil {
			return fmt.Errorf("--nameserver: %w", err)
		}
	}
	for _, word := range append(append([]string(nil), c.search...), c.options...) {
		if strings.ContainsAny(word, " \t\r\n") {
			return fmt.Errorf("--search, --option: %q has white space in it", word)
		}
	}
	if c.volumes.group == nil && len(c.volumes.writable)+len(c.volumes.readable) > 0 {
		return errors.New("--own and --own-read need an --fsgroup")
	}
	if len(c.nameservers) == 0 && !c.extend && len(c.search)+len(c.options) > 0 {
		return errors.New("--search and --option need a --nameserver, or --extend")
	}
	for _, alias := range c.aliases {
		address, names, _ := strings.Cut(alias, ",")
		if _, err := netip.ParseAddr(address); err != nil {
			return fmt.Errorf("--alias: %w", err)
		}
		if names == "" || strings.ContainsAny(names, " \t\r\n#") {
			return fmt.Errorf("--alias: %q is no list of host names", names)
		}
	}
	return nil
}

// words returns a flag's setter that splits at commas and appends.
func words(list *[]string) func(string) error {
	return func(value string) error {
		for word := range strings.SplitSeq(value, ",") {
			if word != "" {
				*list = append(*list, word)
			}
		}
		return nil
	}
}
