package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// chooseBalancer returns the kernel's where nftables works or is asked for, else the proxy.
func chooseBalancer(ctx context.Context, opts AgentOptions) (choice, error) {
	if opts.Backend == BackendUserspace {
		return userspace(ctx, opts, ""), nil
	}
	err := enableForwarding()
	if err == nil {
		err = probeBalancing()
	}
	if err == nil {
		return kernel(opts), nil
	}
	if opts.Backend == BackendNftables {
		return choice{}, err
	}
	return userspace(ctx, opts, err.Error()), nil
}

// kernel balances by nftables. The sandboxes run on the same kernel, so what it cannot do here their return route
// cannot do there.
func kernel(opts AgentOptions) choice {
	c := choice{backend: BackendNftables, masquerade: opts.Masquerade}
	if err := probeReturnRoute(); err != nil {
		c.masquerade, c.reason = true, err.Error()
	}
	n := newNftables(opts.PodCIDR, opts.served(), c.masquerade, opts.Log)
	n.hostIP = opts.HostIP
	c.balancer = n
	return c
}

// userspace balances in this process. Rules that an agent with the other backend left would come first, so they go.
func userspace(ctx context.Context, opts AgentOptions, reason string) choice {
	dropTable()
	return choice{balancer: newProxy(ctx, opts.Log), backend: BackendUserspace, reason: reason, masquerade: true}
}

// addLocalRoute makes every address of the range local ("AnyIP"): the gateway answers ARP for it, and a port without a
// Service refuses connections instead of letting them time out.
func addLocalRoute(cidr netip.Prefix) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	dst := &net.IPNet{IP: cidr.Masked().Addr().AsSlice(), Mask: net.CIDRMask(cidr.Bits(), 32)}
	return netlink.RouteReplace(&netlink.Route{LinkIndex: lo.Attrs().Index, Dst: dst, Type: unix.RTN_LOCAL,
		Scope: netlink.SCOPE_HOST, Table: unix.RT_TABLE_LOCAL})
}

const forwarding = "/proc/sys/net/ipv4/ip_forward"

// enableForwarding makes sure that the namespace forwards packets. The container is created so; /proc/sys is read-only
// in it, so this can rarely repair what it finds.
func enableForwarding() error {
	value, err := os.ReadFile(forwarding)
	if err != nil {
		return fmt.Errorf("check IP forwarding: %w", err)
	}
	if strings.TrimSpace(string(value)) != "0" {
		return nil
	}
	if err := os.WriteFile(forwarding, []byte("1"), 0); err != nil {
		return errors.Join(errors.New("net.ipv4.ip_forward is 0 in the gateway's network namespace"), err)
	}
	return nil
}
