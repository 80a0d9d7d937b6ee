package publisher

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
)

// config is what the command line asks for.
type config struct {
	gatewayMAC net.HardwareAddr
	// ready is a file that is made when the gateway has the address; empty for none.
	ready string
}

// parse reads the command line; its errors say what is wrong with which flag.
func parse(args []string) (config, error) {
	var c config
	flags := flag.NewFlagSet("publish", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Func("gateway-mac", "hardware address of the gateway", func(value string) (err error) {
		c.gatewayMAC, err = net.ParseMAC(value)
		if err == nil && len(c.gatewayMAC) != 6 {
			err = errors.New("it is not an Ethernet address")
		}
		return err
	})
	flags.StringVar(&c.ready, "ready", "", "file to make when the gateway has the address")
	if err := flags.Parse(args); err != nil {
		return config{}, err
	}
	if flags.NArg() > 0 {
		return config{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if c.gatewayMAC == nil {
		return config{}, errors.New("--gateway-mac: want the gateway's hardware address")
	}
	return c, nil
}
