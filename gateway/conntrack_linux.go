package gateway

import (
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// forgetFlows deletes the UDP flows that still lead where a changed front does not lead their client any more: one that goes on
// sending from the same port would never get elsewhere. TCP connections go on for as long as the pod does. A failure is
// logged: the flows end half a minute after their last packet.
func (n *nft) forgetFlows(changed []front) {
	stale := staleFlows{}
	for _, f := range changed {
		if f.proto == udp {
			stale[f] = n.rules[f]
		}
	}
	if len(stale) == 0 {
		return
	}
	if _, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, stale); err != nil {
		n.log.Warn("delete stale UDP flows", "err", err)
	}
}

// staleFlows matches flows to a front that its rule, if there is one, would not begin.
type staleFlows map[front]rule

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (s staleFlows) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	if flow.Forward.Protocol != unix.IPPROTO_UDP {
		return false
	}
	ip, _ := netip.AddrFromSlice(flow.Forward.DstIP.To4())
	r, ours := s[front{ip, udp, flow.Forward.DstPort}]
	client, _ := netip.AddrFromSlice(flow.Forward.SrcIP.To4())
	from, _ := netip.AddrFromSlice(flow.Reverse.SrcIP.To4())
	return ours && !r.leads(client, netip.AddrPortFrom(from, flow.Reverse.SrcPort))
}

// disconnect deletes the flows to pods that are gone. What a client sends on then begins a connection to another pod, which
// resets it.
//
// A connection that has ended is left alone. The kernel replaces it by itself when its client connects from the same port
// again (net/netfilter/nf_conntrack_proto_tcp.c, "Attempt to reopen a closed/aborted connection"), and deletes by address and
// port: between the look and the deletion, that may have become a new connection to another pod, whose client would wait
// in vain.
func (n *nft) disconnect(gone map[netip.Addr]bool) {
	if _, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, goneFlows(gone)); err != nil {
		n.log.Warn("delete flows to pods that are gone", "err", err)
	}
}

// goneFlows matches flows whose replies come from one of the addresses, unless they have ended.
type goneFlows map[netip.Addr]bool

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (g goneFlows) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	from, _ := netip.AddrFromSlice(flow.Reverse.SrcIP.To4())
	state, isTCP := flow.ProtoInfo.(*netlink.ProtoInfoTCP)
	return g[from] && !(isTCP && state.State == nl.TCP_CONNTRACK_TIME_WAIT)
}
