package gateway

import (
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
)

// Install has the kernel of this network namespace do it, without this process. What was installed before is replaced. A
// packet from where no client may come from is not translated and meets a closed port.
func (p Publication) Install() error {
	if err := enableForwarding(); err != nil {
		return err
	}
	conn, err := connect()
	if err != nil {
		return fmt.Errorf("open netlink socket: %w", err)
	}
	if !p.Masquerade {
		p.Masquerade = probeReturnRoute() != nil // nor does the gateway find the way back then
	}
	table := &nftables.Table{Name: tableName, Family: nftables.TableFamilyIPv4}
	conn.AddTable(table)
	conn.DelTable(table)
	conn.AddTable(table)
	addChains(conn, table, p.chains(table))
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("install rules: %w", err)
	}
	return nil
}

// chains are the fixed chains of a publication.
func (p Publication) chains(table *nftables.Table) []baseChain {
	chain := func(name string, kind nftables.ChainType, hook *nftables.ChainHook, priority *nftables.ChainPriority) *nftables.Chain {
		return &nftables.Chain{Table: table, Name: name, Type: kind, Hooknum: hook, Priority: priority}
	}
	chains := []baseChain{
		{chain("prerouting", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest), p.translations()},
		{chain("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter), [][]expr.Any{dropUntranslated()}},
		{chain("output", nftables.ChainTypeFilter, nftables.ChainHookOutput, nftables.ChainPriorityFilter), [][]expr.Any{dropRedirect()}},
	}
	if p.Masquerade {
		chains = append(chains, baseChain{chain("postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting,
			nftables.ChainPriorityNATSource), [][]expr.Any{masquerade()}})
	}
	return chains
}

// translations are a rule for each port, or for each port and source.
func (p Publication) translations() [][]expr.Any {
	var rules [][]expr.Any
	for _, port := range p.Ports {
		lead := append(port.match(), translate(netip.AddrPortFrom(p.To, port.ToPort))...)
		if len(p.Sources) == 0 {
			rules = append(rules, lead)
		}
		for _, source := range p.Sources {
			rules = append(rules, append(inPrefix(offsetSource, source, expr.CmpOpEq), lead...))
		}
	}
	return rules
}

// match: meta l4proto PROTOCOL th dport PORT.
func (p PublishedPort) match() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg0},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg0, Data: []byte{protocolNumber(p.Protocol)}},
		loadPort(offsetDestinationPort, reg0),
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg0, Data: binaryutil.BigEndian.PutUint16(p.Port)},
	}
}

// dropUntranslated: ct status & dnat == 0 drop. Nothing else is to be forwarded here.
func dropUntranslated() []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATUS, Register: reg0},
		&expr.Bitwise{SourceRegister: reg0, DestRegister: reg0, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(statusDNAT), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg0, Data: make([]byte, 4)},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}
}
