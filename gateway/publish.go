package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
)

// Publication leads ports of a network namespace to the address of a Service. The namespace is that of a container whose ports
// the engine publishes, so the ports are the host's.
type Publication struct {
	To    netip.Addr
	Ports []PublishedPort
	// Sources are where clients may come from; none means anywhere. Others are refused.
	Sources []netip.Prefix
	// Masquerade hides the clients' addresses from the gateway, which then need not know of the publication.
	Masquerade bool
}

// PublishedPort leads from a port of the namespace to one of the Service, both by Protocol, "tcp" or "udp".
type PublishedPort struct {
	Protocol     string
	Port, ToPort uint16
}

// Forward does what Install does in this process, until ctx ends, where the kernel cannot. The gateway sees the publication as
// the client. ready is called when the ports are open.
func (p Publication) Forward(ctx context.Context, log *slog.Logger, ready func() error) error {
	proxy := newProxy(ctx, log)
	defer proxy.close()
	if err := proxy.apply(ctx, p.rules()); err != nil {
		return fmt.Errorf("forward to %s: %w", p.To, err)
	}
	if err := ready(); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// rules are those of the proxy: each port is a front on all addresses, with the Service as its only backend.
func (p Publication) rules() []rule {
	var rules []rule
	for _, port := range p.Ports {
		rules = append(rules, rule{
			front:    front{netip.IPv4Unspecified(), port.Protocol, port.Port},
			owner:    "publication",
			backends: []netip.AddrPort{netip.AddrPortFrom(p.To, port.ToPort)},
			sources:  p.Sources,
		})
	}
	return rules
}
