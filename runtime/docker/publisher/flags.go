package publisher

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"github.com/podyard/podyard/gateway"
)

// config is what the command line asks for.
type config struct {
	gateway.Publication
	// proxy: forward in userspace.
	proxy bool
	// ready is a file that is made when the ports lead to the Service.
	ready string
}

// parse reads the command line; its errors say what is wrong with which flag.
func parse(args []string) (config, error) {
	var c config
	flags := flag.NewFlagSet("publish", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.TextVar(&c.To, "to", netip.Addr{}, "address of the Service")
	flags.Func("port", "PROTOCOL:PORT:PORT, here and of the Service (repeat)", func(value string) error {
		port, err := parsePort(value)
		c.Ports = append(c.Ports, port)
		return err
	})
	flags.Func("source", "where clients may come from (repeat)", func(value string) error {
		source, err := netip.ParsePrefix(value)
		c.Sources = append(c.Sources, source)
		return err
	})
	flags.BoolVar(&c.Masquerade, "masquerade", false, "hide clients' addresses")
	flags.BoolVar(&c.proxy, "proxy", false, "forward in userspace")
	flags.StringVar(&c.ready, "ready", "", "file to make when the ports lead to the Service")
	if err := flags.Parse(args); err != nil {
		return config{}, err
	}
	if flags.NArg() > 0 {
		return config{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return c, c.validate()
}

func (c *config) validate() error {
	if !c.To.Is4() {
		return errors.New("--to: want an IPv4 address")
	}
	if len(c.Ports) == 0 {
		return errors.New("--port: want at least one")
	}
	for _, source := range c.Sources {
		if !source.Addr().Is4() {
			return fmt.Errorf("--source: %s is not IPv4", source)
		}
	}
	return nil
}

// parsePort reads "tcp:30080:80".
func parsePort(value string) (gateway.PublishedPort, error) {
	parts := strings.Split(value, ":")
	if len(parts) != 3 || parts[0] != "tcp" && parts[0] != "udp" {
		return gateway.PublishedPort{}, errors.New("want tcp or udp and two ports, as in tcp:30080:80")
	}
	port, err := parseNumber(parts[1])
	if err != nil {
		return gateway.PublishedPort{}, err
	}
	to, err := parseNumber(parts[2])
	return gateway.PublishedPort{Protocol: parts[0], Port: port, ToPort: to}, err
}

func parseNumber(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err == nil && n == 0 {
		err = errors.New("port 0")
	}
	return uint16(n), err
}
