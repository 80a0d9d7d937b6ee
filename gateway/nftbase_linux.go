package gateway

import (
	"net"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// baseChain is a chain with a hook and its fixed rules.
type baseChain struct {
	chain *nftables.Chain
	rules [][]expr.Any
}

// base returns the fixed chains.
func (n *nft) base() []baseChain {
	chain := func(name string, kind nftables.ChainType, hook *nftables.ChainHook, priority *nftables.ChainPriority) *nftables.Chain {
		return &nftables.Chain{Table: n.table, Name: name, Type: kind, Hooknum: hook, Priority: priority}
	}
	return []baseChain{
		{chain("prerouting", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest),
			[][]expr.Any{toService()}},
		{chain("postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource),
			n.masquerades()},
		{chain("input", nftables.ChainTypeFilter, nftables.ChainHookInput, nftables.ChainPriorityFilter),
			refuse(n.served)},
		{chain("output", nftables.ChainTypeFilter, nftables.ChainHookOutput, nftables.ChainPriorityFilter),
			[][]expr.Any{dropRedirect()}},
	}
}

// addBase adds the table, its map and set, and replaces the fixed rules.
func (n *nft) addBase(conn *nftables.Conn) error {
	conn.AddTable(n.table)
	for _, set := range []*nftables.Set{n.services, n.hairpin} {
		if err := conn.AddSet(set, nil); err != nil {
			return err
		}
	}
	addChains(conn, n.table, n.base())
	return nil
}

// addChains adds chains, within the transaction, and replaces their rules.
func addChains(conn *nftables.Conn, table *nftables.Table, chains []baseChain) {
	for _, b := range chains {
		conn.AddChain(b.chain)
		conn.FlushChain(b.chain)
		for _, exprs := range b.rules {
			conn.AddRule(&nftables.Rule{Table: table, Chain: b.chain, Exprs: exprs})
		}
	}
}

// toService: ip daddr . meta l4proto . th dport vmap @services.
func toService() []expr.Any {
	return []expr.Any{
		loadIP(offsetDestination, reg0),
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg1},
		loadPort(offsetDestinationPort, reg2),
		&expr.Lookup{SourceRegister: reg0, SetName: servicesMap, IsDestRegSet: true},
	}
}

// masquerades returns the rules that replace the client's address by the gateway's. They are for translated connections
// only, and not for those on lo, which are the engine's own DNS.
func (n *nft) masquerades() [][]expr.Any {
	if n.masquerade {
		return [][]expr.Any{masquerade()}
	}
	rules := [][]expr.Any{
		// A pod that is its own backend would drop a packet from itself.
		masquerade(loadIP(offsetSource, reg0), loadIP(offsetDestination, reg1),
			&expr.Lookup{SourceRegister: reg0, SetName: hairpinSet}),
		// What is no sandbox has no return route.
		masquerade(inPrefix(offsetDestination, n.podCIDR, expr.CmpOpNeq)...),
	}
	if n.hostIP.IsValid() {
		rules = append(rules, masquerade(inPrefix(offsetDestination, netip.PrefixFrom(n.hostIP, 32), expr.CmpOpEq)...))
	}
	return rules
}

// statusDNAT is IPS_DST_NAT (linux/netfilter/nf_conntrack_common.h).
const statusDNAT = 1 << 5

// masquerade: oif != lo ct status dnat … masquerade.
func masquerade(match ...expr.Any) []expr.Any {
	const indexOfLo = 1
	exprs := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyOIF, Register: reg0},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: reg0, Data: binaryutil.NativeEndian.PutUint32(indexOfLo)},
		&expr.Ct{Key: expr.CtKeySTATUS, Register: reg0},
		&expr.Bitwise{SourceRegister: reg0, DestRegister: reg0, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(statusDNAT), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: reg0, Data: make([]byte, 4)},
	}
	return append(append(exprs, match...), &expr.Masq{})
}

// inPrefix: ip saddr or daddr, by offset, compared to the prefix.
func inPrefix(offset uint32, prefix netip.Prefix, op expr.CmpOp) []expr.Any {
	return []expr.Any{
		loadIP(offset, reg0),
		&expr.Bitwise{SourceRegister: reg0, DestRegister: reg0, Len: 4,
			Mask: net.CIDRMask(prefix.Bits(), 32), Xor: make([]byte, 4)},
		&expr.Cmp{Op: op, Register: reg0, Data: prefix.Masked().Addr().AsSlice()},
	}
}

// refuse rejects what reached an address that is served without being translated, whoever may listen on all addresses here.
func refuse(served []netip.Prefix) [][]expr.Any {
	reject := func(proto byte, destination netip.Prefix, r *expr.Reject) []expr.Any {
		exprs := []expr.Any{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg0},
			&expr.Cmp{Op: expr.CmpOpEq, Register: reg0, Data: []byte{proto}},
		}
		return append(append(exprs, inPrefix(offsetDestination, destination, expr.CmpOpEq)...), r)
	}
	const portUnreachable = 3
	var rules [][]expr.Any
	for _, prefix := range served {
		rules = append(rules,
			reject(unix.IPPROTO_TCP, prefix, &expr.Reject{Type: unix.NFT_REJECT_TCP_RST}),
			reject(unix.IPPROTO_UDP, prefix, &expr.Reject{Type: unix.NFT_REJECT_ICMP_UNREACH, Code: portUnreachable}))
	}
	return rules
}

// dropRedirect keeps the kernel from telling a pod that the other pod is on its own link: the replies after that would go
// there untranslated. The kernel itself does so for packets that are no part of a translated connection, such as those
// of one that it has forgotten. The sysctl against it cannot be set on the interface of a container.
func dropRedirect() []expr.Any {
	const icmpRedirect = 5
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg0},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg0, Data: []byte{unix.IPPROTO_ICMP}},
		load(expr.PayloadBaseTransportHeader, 0, 1, reg0),
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg0, Data: []byte{icmpRedirect}},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}
}
