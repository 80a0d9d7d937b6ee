package gateway

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"syscall"

	"github.com/podyard/podyard/wire"
)

// Main is the gateway agent, `podyard gateway …`: Run on standard input and output until SIGTERM.
//
//	--ip IP                  serve DNS here; required
//	--pod-cidr CIDR          addresses of sandboxes; required
//	--host-ip IP             the host's address among them, which has no return route
//	--service-cidr CIDR      addresses of Services; required
//	--publication-cidr CIDR  addresses of publications; required
//	--state FILE             keep the table here
//	--upstream IP[:PORT]     name server for other names (repeat; default: those of /etc/resolv.conf)
//	--fallback IP[:PORT]     name server to ask while nobody listens at the upstreams (repeat)
//	--backend NAME           auto, nftables or userspace
//	--masquerade             hide clients' addresses from the backends
//
// The exit code is 0 after SIGTERM, 2 for a wrong command line and 1 if the agent cannot serve.
func Main(args []string) int {
	opts, err := parse(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "podyard gateway:", err)
		return 2
	}
	opts.Version = wire.Version()
	opts.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := Run(ctx, opts, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "podyard gateway:", err)
		return 1
	}
	return 0
}

// parse reads the command line.
func parse(args []string) (AgentOptions, error) {
	var opts AgentOptions
	flags := flag.NewFlagSet("gateway", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.TextVar(&opts.GatewayIP, "ip", netip.Addr{}, "address of DNS")
	flags.TextVar(&opts.PodCIDR, "pod-cidr", netip.Prefix{}, "addresses of sandboxes")
	flags.TextVar(&opts.HostIP, "host-ip", netip.Addr{}, "address of the host")
	flags.TextVar(&opts.ServiceCIDR, "service-cidr", netip.Prefix{}, "addresses of Services")
	flags.TextVar(&opts.PublicationCIDR, "publication-cidr", netip.Prefix{}, "addresses of publications")
	flags.StringVar(&opts.StateFile, "state", "", "file that keeps the table")
	flags.StringVar(&opts.Backend, "backend", "auto", "auto, nftables or userspace")
	flags.BoolVar(&opts.Masquerade, "masquerade", false, "hide clients' addresses")
	flags.Func("upstream", "name server for other names", func(server string) error {
		opts.Upstreams = append(opts.Upstreams, server)
		return nil
	})
	flags.Func("fallback", "name server instead of upstreams where nobody listens", func(server string) error {
		opts.Fallbacks = append(opts.Fallbacks, server)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return opts, err
	}
	if flags.NArg() > 0 {
		return opts, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if opts.Backend == "auto" {
		opts.Backend = ""
	}
	if err := opts.validate(); err != nil {
		return opts, fmt.Errorf("wrong flags: %w", err)
	}
	_, err := forwarderOf(opts)
	return opts, err
}
