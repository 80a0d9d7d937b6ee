package sandbox

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
)

// config is what the command line asks for.
type config struct {
	// hold: nothing but the pause.
	hold bool
	// gateway and gatewayMAC name the container whose flows are answered through it; both or neither.
	gateway    netip.Addr
	gatewayMAC net.HardwareAddr
	// nameservers, search and options are the lines of resolv.conf. Without a name server it is not written.
	nameservers, search, options []string
	// emptyDirs are mount paths in this container.
	emptyDirs []string
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
	flags.Func("emptydir", "path of an emptyDir volume (repeat)", func(path string) error {
		c.emptyDirs = append(c.emptyDirs, path)
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
	if len(c.nameservers) == 0 && len(c.search)+len(c.options) > 0 {
		return errors.New("--search and --option need a --nameserver")
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
