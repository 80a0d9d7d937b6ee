package sandbox

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	mdnetlink "github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The return route. The gateway translates a Service's address into a pod's and keeps the client's address, so the pod's
// reply, sent straight to the client, would come from an address that the client never called. Therefore: connections
// whose first packet came from the gateway's hardware address are marked, and replies on them are routed to the gateway.
//
//	chain prerouting { type filter hook prerouting priority mangle; meta iiftype ether ct state new ether saddr MAC ct mark set 1 meta mark set 1 }
//	chain output     { type route hook output priority mangle; ct mark 1 ct direction reply meta mark set 1 }
//	ip rule: fwmark 1 lookup 100; ip route: table 100 default via GATEWAY
//
// With the sysctl net.ipv4.tcp_fwmark_accept, which runtime/docker sets, a TCP connection keeps the mark of its first packet: its
// replies are routed once and not each by itself, as those of the output chain are.
const (
	nftTable   = "podyard"
	mark       = 1
	routeTable = 100
	// rulePriority puts the rule before the main table's (32766); a fixed number makes a second start find it.
	rulePriority = 100
)

// ackTimeout bounds the wait for the kernel's answers: a kernel that sends fewer than expected must not hang the pod.
const ackTimeout = 10 * time.Second

// installReturnRoute installs the return route, once more if it is there.
func (c *config) installReturnRoute() error {
	if !c.gateway.IsValid() {
		return nil
	}
	if err := addReturnRules(c.gatewayMAC); err != nil {
		return fmt.Errorf("install return rules: %w", err)
	}
	if err := addReturnTable(net.IP(c.gateway.AsSlice())); err != nil {
		return fmt.Errorf("install return route: %w", err)
	}
	return nil
}

// addReturnRules replaces the two rules in one transaction.
func addReturnRules(mac net.HardwareAddr) error {
	conn, err := nftables.New(nftables.WithSockOptions(func(c *mdnetlink.Conn) error {
		return c.SetDeadline(time.Now().Add(ackTimeout))
	}))
	if err != nil {
		return err
	}
	table := conn.AddTable(&nftables.Table{Name: nftTable, Family: nftables.TableFamilyIPv4})
	prerouting := conn.AddChain(&nftables.Chain{Name: "prerouting", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityMangle})
	output := conn.AddChain(&nftables.Chain{Name: "output", Table: table, Type: nftables.ChainTypeRoute,
		Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityMangle})
	conn.FlushChain(prerouting)
	conn.FlushChain(output)
	conn.AddRule(&nftables.Rule{Table: table, Chain: prerouting, Exprs: markConnection(mac)})
	conn.AddRule(&nftables.Rule{Table: table, Chain: output, Exprs: markReply()})
	return conn.Flush()
}

// markConnection: meta iiftype ether ct state new ether saddr MAC ct mark set 1 meta mark set 1.
func markConnection(mac net.HardwareAddr) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFTYPE, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint16(unix.ARPHRD_ETHER)},
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(expr.CtStateBitNEW), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
		// The source address is 6 bytes into the Ethernet header.
		&expr.Payload{Base: expr.PayloadBaseLLHeader, Offset: 6, Len: 6, DestRegister: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: mac},
		&expr.Immediate{Register: 1, Data: binaryutil.NativeEndian.PutUint32(mark)},
		&expr.Ct{Key: expr.CtKeyMARK, Register: 1, SourceRegister: true},
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1, SourceRegister: true},
	}
}

// markReply: ct mark 1 ct direction reply meta mark set 1. In a chain of type route a new mark means a new route.
func markReply() []expr.Any {
	const reply = 1
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeyMARK, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(mark)},
		&expr.Ct{Key: expr.CtKeyDIRECTION, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{reply}},
		&expr.Immediate{Register: 1, Data: binaryutil.NativeEndian.PutUint32(mark)},
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1, SourceRegister: true},
	}
}

// addReturnTable makes marked packets go to the gateway.
func addReturnTable(gateway net.IP) error {
	link, err := linkTowards(gateway)
	if err != nil {
		return err
	}
	err = netlink.RouteReplace(&netlink.Route{Table: routeTable, LinkIndex: link, Gw: gateway})
	if err != nil {
		return fmt.Errorf("add default route by %s: %w", gateway, err)
	}
	rule := netlink.NewRule()
	rule.Family = netlink.FAMILY_V4
	rule.Mark, rule.Table, rule.Priority = mark, routeTable, rulePriority
	if err := netlink.RuleAdd(rule); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("add rule for mark %d: %w", mark, err)
	}
	return nil
}

// linkTowards returns the index of the interface on which an address is reached.
func linkTowards(ip net.IP) (int, error) {
	routes, err := netlink.RouteGet(ip)
	if err != nil {
		return 0, fmt.Errorf("find route to %s: %w", ip, err)
	}
	return routes[0].LinkIndex, nil
}
