package gateway

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
)

// probeTable exists only inside one transaction.
const probeTable = "podyard_probe"

// probeBalancing asks the kernel whether it takes every kind of rule that we may need.
func probeBalancing() error {
	conn, err := connect()
	if err != nil {
		return fmt.Errorf("open netlink socket: %w", err)
	}
	none := netip.MustParsePrefix("127.0.0.0/32")
	n := newNftables(none, []netip.Prefix{none}, false, nil)
	n.table.Name = probeTable
	n.rules, n.elements = map[front]rule{}, map[front]string{}
	n.chains, n.sets = map[string]bool{}, map[string]bool{}
	if err := n.addBase(conn); err != nil {
		return err
	}
	n.programFront(conn, rule{front: front{none.Addr(), tcp, 1}, owner: "probe", affinity: time.Second,
		backends: []netip.AddrPort{netip.AddrPortFrom(none.Addr(), 1), netip.AddrPortFrom(none.Addr(), 2)}})
	conn.DelTable(n.table)
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("probe nftables: %w", err)
	}
	return nil
}

// probeReturnRoute asks for what package sandbox installs: a connection's mark taken from and given to a packet, in a
// chain that routes anew, and the hardware address of the sender.
func probeReturnRoute() error {
	conn, err := connect()
	if err != nil {
		return fmt.Errorf("open netlink socket: %w", err)
	}
	table := conn.AddTable(&nftables.Table{Name: probeTable, Family: nftables.TableFamilyIPv4})
	chain := conn.AddChain(&nftables.Chain{Name: "output", Table: table, Type: nftables.ChainTypeRoute,
		Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityMangle})
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
		load(expr.PayloadBaseLLHeader, 6, 6, 1),
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: make([]byte, 6)},
		&expr.Ct{Key: expr.CtKeyDIRECTION, Register: 1},
		&expr.Ct{Key: expr.CtKeyMARK, Register: 1},
		&expr.Immediate{Register: 1, Data: binaryutil.NativeEndian.PutUint32(1)},
		&expr.Ct{Key: expr.CtKeyMARK, Register: 1, SourceRegister: true},
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1, SourceRegister: true},
	}})
	conn.DelTable(table)
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("probe return route: %w", err)
	}
	return nil
}

// dropTable removes our rules, if there are any.
func dropTable() {
	conn, err := connect()
	if err != nil {
		return
	}
	conn.DelTable(&nftables.Table{Name: tableName, Family: nftables.TableFamilyIPv4})
	_ = conn.Flush() // not there, or no nftables at all
}
