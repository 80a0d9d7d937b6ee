package gateway

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The way back through publications. What one passes on still has its client's address, so the answer, routed by that,
// would not go through it and would come from an address that the client never called. Therefore connections are marked by
// the hardware address from which they came, and answers are routed by the mark:
//
//	map publishers { type ether_addr : mark }                            the mark of each publication
//	chain marks    { type filter hook prerouting priority mangle;        ct state new ct mark set ether saddr map @publishers
//	                                                                     ct mark != 0 ct direction reply meta mark set ct mark }
//	chain answers  { type route hook output priority mangle;             likewise, for what is refused here }
//	ip rule: fwmark MARK lookup MARK; ip route: table MARK default via PUBLICATION
const publishersMap = "publishers"

// rulePriority puts the rules before the main table's (32766).
const rulePriority = 100

// marksFrom is the mark, and the number of the routing table, of a publication whose address ends in 0.0. The other half of
// the address tells them apart: the pod network is a /16 at the most.
const marksFrom = 1 << 16

func (p Publisher) mark() uint32 {
	ip := p.IP.As4()
	return marksFrom + uint32(binary.BigEndian.Uint16(ip[2:]))
}

// publishers is what is in the kernel.
type publishers struct {
	set *nftables.Set
	// loaded tells that known agrees with the kernel.
	loaded bool
	// known are the marks by hardware address, routed those that have a rule and a route.
	known  map[string]uint32
	routed map[uint32]bool
}

func newPublishers(table *nftables.Table) publishers {
	return publishers{set: &nftables.Set{Table: table, Name: publishersMap, IsMap: true,
		KeyType: nftables.TypeEtherAddr, DataType: nftables.TypeMark}}
}

// admit makes answers go back through these publications, and forgets others. An error is treated as by apply.
func (n *nft) admit(list []Publisher) error {
	if !n.answers {
		return nil
	}
	conn, err := n.open()
	if err != nil {
		return err
	}
	if err := n.publishers.admit(conn, list); err != nil {
		n.publishers.loaded = false
		return err
	}
	return nil
}

func (p *publishers) admit(conn *nftables.Conn, list []Publisher) error {
	if !p.loaded {
		if err := p.load(conn); err != nil {
			return fmt.Errorf("read back publications: %w", err)
		}
	}
	wanted := map[string]uint32{}
	marks := map[uint32]bool{}
	for _, publisher := range list {
		mac, err := net.ParseMAC(publisher.MAC)
		if err != nil || !publisher.IP.Is4() {
			return fmt.Errorf("publication at %s, %s: want IPv4 and Ethernet addresses", publisher.IP, publisher.MAC)
		}
		wanted[string(mac)], marks[publisher.mark()] = publisher.mark(), true
		if err := p.route(publisher); err != nil {
			return fmt.Errorf("route answers through %s: %w", publisher.IP, err)
		}
	}
	if err := p.setMarks(conn, wanted); err != nil {
		return fmt.Errorf("mark connections by publication: %w", err)
	}
	return p.unroute(marks)
}

// load reads what an earlier agent left.
func (p *publishers) load(conn *nftables.Conn) error {
	p.known, p.routed = map[string]uint32{}, map[uint32]bool{}
	elements, err := conn.GetSetElements(p.set)
	if err != nil {
		return err
	}
	for _, e := range elements {
		if len(e.Key) >= 6 && len(e.Val) >= 4 {
			p.known[string(e.Key[:6])] = binary.NativeEndian.Uint32(e.Val)
		}
	}
	rules, err := netlink.RuleList(netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	for _, r := range rules {
		if r.Mark >= marksFrom && r.Table == int(r.Mark) {
			p.routed[r.Mark] = true
		}
	}
	p.loaded = true
	return nil
}

// setMarks changes the elements that differ, in one transaction.
func (p *publishers) setMarks(conn *nftables.Conn, wanted map[string]uint32) error {
	if maps.Equal(p.known, wanted) {
		return nil
	}
	for mac, mark := range p.known {
		if wanted[mac] != mark {
			_ = conn.SetDeleteElements(p.set, []nftables.SetElement{{Key: []byte(mac)}}) // fails for anonymous sets only
		}
	}
	for mac, mark := range wanted {
		if p.known[mac] != mark {
			element := nftables.SetElement{Key: []byte(mac), Val: binary.NativeEndian.AppendUint32(nil, mark)}
			_ = conn.SetAddElements(p.set, []nftables.SetElement{element})
		}
	}
	p.known = wanted
	return conn.Flush()
}

func (p *publishers) route(publisher Publisher) error {
	mark := publisher.mark()
	if p.routed[mark] {
		return nil
	}
	ip := net.IP(publisher.IP.AsSlice())
	towards, err := netlink.RouteGet(ip)
	if err != nil {
		return err
	}
	if err := netlink.RouteReplace(&netlink.Route{Table: int(mark), LinkIndex: towards[0].LinkIndex, Gw: ip}); err != nil {
		return err
	}
	if err := netlink.RuleAdd(ruleFor(mark)); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	p.routed[mark] = true
	return nil
}

// unroute removes the rules and routes of publications that are gone.
func (p *publishers) unroute(marks map[uint32]bool) error {
	for mark := range maps.Clone(p.routed) {
		if marks[mark] {
			continue
		}
		if err := netlink.RuleDel(ruleFor(mark)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove rule for mark %d: %w", mark, err)
		}
		_, all, _ := net.ParseCIDR("0.0.0.0/0")
		if err := netlink.RouteDel(&netlink.Route{Table: int(mark), Dst: all}); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("remove route of table %d: %w", mark, err)
		}
		delete(p.routed, mark)
	}
	return nil
}

func ruleFor(mark uint32) *netlink.Rule {
	rule := netlink.NewRule()
	rule.Family = netlink.FAMILY_V4
	rule.Mark, rule.Table, rule.Priority = mark, int(mark), rulePriority
	return rule
}

// chains mark connections and their answers.
func (p *publishers) chains(table *nftables.Table) []baseChain {
	return []baseChain{
		{&nftables.Chain{Table: table, Name: "marks", Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookPrerouting,
			Priority: nftables.ChainPriorityMangle}, [][]expr.Any{p.markConnection(), markAnswer()}},
		{&nftables.Chain{Table: table, Name: "answers", Type: nftables.ChainTypeRoute, Hooknum: nftables.ChainHookOutput,
			Priority: nftables.ChainPriorityMangle}, [][]expr.Any{markAnswer()}},
	}
}

// markConnection: ct state new ct mark set ether saddr map @publishers.
func (p *publishers) markConnection() []expr.Any {
	const sourceInEthernet = 6
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: reg0},
		&expr.Bitwise{SourceRegister: reg0, DestRegister: reg0, Len: 4,
			Mask: binary.NativeEndian.AppendUint32(nil, expr.CtStateBitNEW), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: reg0, Data: make([]byte, 4)},
		load(expr.PayloadBaseLLHeader, sourceInEthernet, 6, reg0),
		&expr.Lookup{SourceRegister: reg0, DestRegister: reg2, IsDestRegSet: true, SetName: publishersMap},
		&expr.Ct{Key: expr.CtKeyMARK, Register: reg2, SourceRegister: true},
	}
}

// markAnswer: ct mark != 0 ct direction reply meta mark set ct mark. No other rule here sets a mark.
func markAnswer() []expr.Any {
	const reply = 1
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeyMARK, Register: reg1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: reg1, Data: make([]byte, 4)},
		&expr.Ct{Key: expr.CtKeyDIRECTION, Register: reg0},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg0, Data: []byte{reply}},
		&expr.Meta{Key: expr.MetaKeyMARK, Register: reg1, SourceRegister: true},
	}
}
