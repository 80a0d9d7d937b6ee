package gateway

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"

	"github.com/google/nftables"
)

// open connects, and sees to it that what is known agrees with the kernel.
func (n *nft) open() (*nftables.Conn, error) {
	conn, err := connect()
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	if n.loaded {
		return conn, nil
	}
	if err := n.load(conn); err != nil {
		return nil, fmt.Errorf("read back rules: %w", err)
	}
	return conn, nil
}

// load makes sure of the fixed part and reads what an earlier agent, or a failed transaction, left of the rest. Those
// rules are in force until the same call of apply replaces them, front by front.
func (n *nft) load(conn *nftables.Conn) error {
	if err := n.addBase(conn); err != nil {
		return err
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("add table %s: %w", tableName, err)
	}
	if err := n.forgetResets(conn); err != nil {
		n.log.Info("a client that was reset may be led to its old backend for ten seconds", "err", err)
	}
	n.rules = map[front]rule{}
	for _, step := range []func(*nftables.Conn) error{n.loadElements, n.loadChains, n.loadSets, n.loadAddresses} {
		if err := step(conn); err != nil {
			return err
		}
	}
	n.loaded, n.swept = true, false
	return nil
}

// loadElements reads which chain each front leads to.
func (n *nft) loadElements(conn *nftables.Conn) error {
	elements, err := conn.GetSetElements(n.services)
	if err != nil {
		return fmt.Errorf("list services: %w", err)
	}
	n.elements = map[front]string{}
	for _, e := range elements {
		if f, ok := frontOf(e.Key); ok {
			n.elements[f] = verdictChain(e.Val)
		}
	}
	return nil
}

// verdictChain reads the chain out of a verdict as the kernel dumps it: an attribute with the code (8 bytes), then one
// with the name, behind a header of 4 bytes.
func verdictChain(verdict []byte) string {
	if len(verdict) <= 12 {
		return ""
	}
	name, _, _ := bytes.Cut(verdict[12:], []byte{0})
	return string(name)
}

func (n *nft) loadChains(conn *nftables.Conn) error {
	chains, err := conn.ListChainsOfTableFamily(n.table.Family)
	if err != nil {
		return fmt.Errorf("list chains: %w", err)
	}
	n.chains = map[string]bool{}
	for _, c := range chains {
		kind, _, named := strings.Cut(c.Name, " ")
		ours := named && (kind == "sources" || kind == "service" || kind == "backend")
		if c.Table.Name == tableName && ours {
			n.chains[c.Name] = true
		}
	}
	return nil
}

func (n *nft) loadSets(conn *nftables.Conn) error {
	sets, err := conn.GetSets(n.table)
	if err != nil {
		return fmt.Errorf("list sets: %w", err)
	}
	n.sets = map[string]bool{}
	for _, s := range sets {
		if strings.HasPrefix(s.Name, clientsPrefix) {
			n.sets[s.Name] = true
		}
	}
	return nil
}

func (n *nft) loadAddresses(conn *nftables.Conn) error {
	elements, err := conn.GetSetElements(n.hairpin)
	if err != nil {
		return fmt.Errorf("list hairpin addresses: %w", err)
	}
	n.addresses = map[netip.Addr]bool{}
	for _, e := range elements {
		if len(e.Key) == 8 {
			ip, _ := netip.AddrFromSlice(e.Key[:4])
			n.addresses[ip] = true
		}
	}
	return nil
}
