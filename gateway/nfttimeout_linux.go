package gateway

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The kernel remembers a TCP connection for ten seconds after a reset, and takes a new one from the same port of the client for
// the same: it leads it to the old backend, which may be about to end, or gone. When a program ends it resets the connections
// whose next request has just arrived, so this is not rare in a rollout. Therefore a connection that was reset is forgotten at
// once:
//
//	ct timeout resets { protocol tcp; policy = { close: 0 } }
//	chain fresh { type nat hook prerouting priority dstnat - 1; meta l4proto tcp ct timeout set "resets" }
//
// Chains of type nat see the first packet of a connection only: the others pass by.
const (
	resetsTimeout = "resets"
	freshChain    = "fresh"
	// established is the kernel's own timeout of connections on which nothing is sent, five days in seconds; the library's is
	// shorter.
	established = 5 * 24 * 60 * 60
)

// forgetResets installs that. A kernel without CONFIG_NF_CONNTRACK_TIMEOUT refuses it, and all else works without.
func (n *nft) forgetResets(conn *nftables.Conn) error {
	conn.AddObj(&nftables.NamedObj{Table: n.table, Name: resetsTimeout, Type: nftables.ObjTypeCtTimeout,
		Obj: &expr.CtTimeout{L3Proto: unix.NFPROTO_IPV4, L4Proto: unix.IPPROTO_TCP,
			Policy: expr.CtStatePolicyTimeout{expr.CtStateTCPCLOSE: 0, expr.CtStateTCPESTABLISHED: established}}})
	before := *nftables.ChainPriorityNATDest - 1
	chain := conn.AddChain(&nftables.Chain{Table: n.table, Name: freshChain, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPrerouting, Priority: &before})
	conn.FlushChain(chain)
	conn.AddRule(&nftables.Rule{Table: n.table, Chain: chain, Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg0},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg0, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Objref{Type: unix.NFT_OBJECT_CT_TIMEOUT, Name: resetsTimeout},
	}})
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("set a timeout for connections that were reset: %w", err)
	}
	return nil
}
