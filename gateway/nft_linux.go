package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
)

// The kernel's balancer. Table podyard holds:
//
//	map services  { type ipv4_addr . inet_proto . inet_service : verdict }    one element for each front
//	set hairpin   { type ipv4_addr . ipv4_addr }                              each backend's address, twice
//	chain prerouting, postrouting, input, output                              fixed rules: nftbase_linux.go
//	chain fresh, ct timeout resets                                            likewise: nfttimeout_linux.go
//	chain "sources NAMESPACE/NAME PROTO/PORT IP"                              admits clients of a publication, if not all
//	chain "service NAMESPACE/NAME PROTO/PORT IP"                              picks a backend: nftrule_linux.go
//	chain "backend NAMESPACE/NAME PROTO/PORT IP to IP:PORT"                   translates to it
//	set   "clients …", named like the backend                                 who stays with it (affinity)
//
// A change of a front replaces the rules of its chain in one transaction with everything else about that front. The
// table itself is never deleted: established connections live in conntrack, but affinity lives in the sets.
const (
	tableName     = "podyard"
	servicesMap   = "services"
	hairpinSet    = "hairpin"
	sourcesPrefix = "sources "
	servicePrefix = "service "
	backendPrefix = "backend "
	clientsPrefix = "clients "
)

const (
	// batchObjects bounds a transaction, which must fit a socket buffer: chains with what is in them, of 600 bytes on average,
	// and elements of the hairpin set. Each transaction waits for all cores of the machine, so a small change is a single one.
	batchObjects = 256
	// socketBuffer in bytes; the system's limit holds where we are not root on the host.
	socketBuffer = 8 << 20
	// ackTimeout bounds the wait for the kernel, should it send fewer answers than are expected.
	ackTimeout = 30 * time.Second
)

// nft knows what is in the kernel.
type nft struct {
	podCIDR netip.Prefix
	// served are the addresses that are local without being ours: those of Services and publications.
	served     []netip.Prefix
	masquerade bool
	// hostIP may be zero.
	hostIP netip.Addr
	log    *slog.Logger

	table    *nftables.Table
	services *nftables.Set
	hairpin  *nftables.Set

	// pending counts the objects of the transaction that is being written.
	pending int
	// loaded tells that what follows agrees with the kernel.
	loaded bool
	// swept tells that nothing is left of an earlier agent.
	swept bool
	// rules that are programmed exactly so. After a start it is empty although chains are there.
	rules map[front]rule
	// elements of the services map: the chain of each front.
	elements map[front]string
	// objects are the names of our chains and sets other than the fixed ones.
	chains, sets map[string]bool
	// addresses in the hairpin set.
	addresses map[netip.Addr]bool
}

func newNftables(podCIDR netip.Prefix, served []netip.Prefix, masquerade bool, log *slog.Logger) *nft {
	table := &nftables.Table{Name: tableName, Family: nftables.TableFamilyIPv4}
	return &nft{
		podCIDR: podCIDR, served: served, masquerade: masquerade, log: log,
		table: table,
		services: &nftables.Set{Table: table, Name: servicesMap, IsMap: true, DataType: nftables.TypeVerdict,
			KeyType: nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetProto, nftables.TypeInetService)},
		hairpin: &nftables.Set{Table: table, Name: hairpinSet,
			KeyType: nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeIPAddr)},
	}
}

// connect returns a connection whose every batch has a socket, and so a deadline, of its own.
func connect() (*nftables.Conn, error) {
	return nftables.New(nftables.WithSockOptions(func(c *netlink.Conn) error {
		// Errors mean no more than a smaller buffer.
		_ = c.SetReadBuffer(socketBuffer)
		_ = c.SetWriteBuffer(socketBuffer)
		return c.SetDeadline(time.Now().Add(ackTimeout))
	}))
}

func (n *nft) close() {}

// apply replaces the rules. An error leaves the kernel with a part of the changes; the next apply reads back which.
func (n *nft) apply(_ context.Context, rules []rule) error {
	err := n.program(rules)
	if err != nil {
		n.loaded = false
	}
	return err
}

func (n *nft) program(rules []rule) error {
	conn, err := n.open()
	if err != nil {
		return err
	}
	n.pending = 0
	changed, addresses := n.changed(rules), backendAddresses(rules)
	doubtful := n.doubtful(changed)
	if err := n.addAddresses(conn, addresses); err != nil {
		return fmt.Errorf("add hairpin addresses: %w", err)
	}
	if err := n.programFronts(conn, rules, changed); err != nil {
		return fmt.Errorf("program Services: %w", err)
	}
	if err := n.removeUnused(conn, doubtful, usedNames(n.rulesOf(changed))); err != nil {
		return fmt.Errorf("remove unused rules: %w", err)
	}
	if err := n.removeAddresses(conn, addresses); err != nil {
		return fmt.Errorf("remove hairpin addresses: %w", err)
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("program what changed: %w", err)
	}
	n.forgetFlows(changed)
	return nil
}

// added counts what the transaction holds, and ends it when that is enough. It must make sense by itself then.
func (n *nft) added(conn *nftables.Conn, objects int) error {
	if n.pending += objects; n.pending < batchObjects {
		return nil
	}
	n.pending = 0
	return conn.Flush()
}

// changed returns the fronts that are not programmed as rules say, in the order of the rules, then those without a rule.
func (n *nft) changed(rules []rule) []front {
	var fronts []front
	wanted := map[front]bool{}
	for _, r := range rules {
		wanted[r.front] = true
		if old, ok := n.rules[r.front]; !ok || !old.equal(r) {
			fronts = append(fronts, r.front)
		}
	}
	ruled := len(fronts)
	for f := range n.elements {
		if !wanted[f] {
			fronts = append(fronts, f)
		}
	}
	for f := range n.rules {
		if _, has := n.elements[f]; !has && !wanted[f] {
			fronts = append(fronts, f)
		}
	}
	slices.SortFunc(fronts[ruled:], front.compare)
	return fronts
}

// programFronts brings the changed fronts into force, some at a time.
func (n *nft) programFronts(conn *nftables.Conn, rules []rule, changed []front) error {
	byFront := map[front]rule{}
	for _, r := range rules {
		byFront[r.front] = r
	}
	for _, f := range changed {
		r, ok := byFront[f]
		if ok {
			n.programFront(conn, r)
		} else {
			n.dropFront(conn, f)
		}
		if err := n.added(conn, 1+len(r.backends)); err != nil {
			return fmt.Errorf("up to %s: %w", f, err)
		}
	}
	return nil
}

// dropFront has connections to the front refused. Its chains go later, with removeUnused.
func (n *nft) dropFront(conn *nftables.Conn, f front) {
	n.setElement(conn, f, "")
	delete(n.rules, f)
}

// programFront adds what is new, replaces the front's rules, and has the map lead to them. That of a publication leads to those
// of the Service, which come before.
func (n *nft) programFront(conn *nftables.Conn, r rule) {
	n.rules[r.front] = r
	chain := serviceChain(r)
	switch {
	case len(r.backends) == 0:
		chain = ""
	case !r.published():
		n.programService(conn, r)
	case len(r.sources) > 0:
		chain = sourcesChain(r)
		n.fill(conn, chain, admit(r.sources, serviceChain(r)))
	}
	n.setElement(conn, r.front, chain)
}

// programService fills the chains of a Service's own front.
func (n *nft) programService(conn *nftables.Conn, r rule) {
	for _, backend := range r.backends {
		n.programBackend(conn, r, backend)
	}
	n.fill(conn, serviceChain(r), n.pick(conn, r))
}

// programBackend fills the chain of one backend and, with affinity, makes sure of its set of clients.
func (n *nft) programBackend(conn *nftables.Conn, r rule, backend netip.AddrPort) {
	exprs := translate(backend)
	if r.affinity > 0 {
		set := n.clients(r, backend)
		_ = conn.AddSet(set, nil) // fails for anonymous sets only
		n.sets[set.Name] = true
		exprs = append(remember(set, r.affinity), exprs...)
	}
	n.fill(conn, backendChain(r, backend), [][]expr.Any{exprs})
}

// clients is the set of those who stay with a backend.
func (n *nft) clients(r rule, backend netip.AddrPort) *nftables.Set {
	return &nftables.Set{Table: n.table, Name: clientsSet(r, backend), KeyType: nftables.TypeIPAddr,
		Dynamic: true, HasTimeout: true, Timeout: r.affinity, Size: 1 << 16}
}

// fill replaces what is in a chain, within the transaction.
func (n *nft) fill(conn *nftables.Conn, name string, rules [][]expr.Any) {
	addChains(conn, n.table, []baseChain{{&nftables.Chain{Table: n.table, Name: name}, rules}})
	n.chains[name] = true
}

// setElement has the services map lead from the front to a chain, or nowhere.
func (n *nft) setElement(conn *nftables.Conn, f front, chain string) {
	old, has := n.elements[f]
	if old == chain {
		return
	}
	// Errors are those of anonymous sets and of attributes longer than 64 KiB; ours are neither.
	if has {
		_ = conn.SetDeleteElements(n.services, []nftables.SetElement{{Key: f.key()}})
		delete(n.elements, f)
	}
	if chain != "" {
		_ = conn.SetAddElements(n.services, []nftables.SetElement{{Key: f.key(), VerdictData: gotoChain(chain)}})
		n.elements[f] = chain
	}
}

func gotoChain(name string) *expr.Verdict { return &expr.Verdict{Kind: expr.VerdictGoto, Chain: name} }

// doubtful returns the names of chains and sets that may be needed no more once the fronts have changed: those of their old
// rules, and after a start all there are.
func (n *nft) doubtful(changed []front) map[string]bool {
	if !n.swept {
		n.swept = true
		all := maps.Clone(n.chains)
		maps.Copy(all, n.sets)
		return all
	}
	return usedNames(n.rulesOf(changed))
}

// rulesOf returns the rules that are programmed for the fronts.
func (n *nft) rulesOf(fronts []front) []rule {
	var rules []rule
	for _, f := range fronts {
		if r, ok := n.rules[f]; ok {
			rules = append(rules, r)
		}
	}
	return rules
}

// removeUnused deletes the chains and sets of those names that are not used: first the chains with sources, which refer to those
// of Services, which refer to those of backends, then these, then the sets to which they referred.
func (n *nft) removeUnused(conn *nftables.Conn, names, used map[string]bool) error {
	chains := keepNames(names, func(name string) bool { return n.chains[name] && !used[name] })
	slices.SortStableFunc(chains, func(a, b string) int { return strings.Compare(prefixOf(b), prefixOf(a)) })
	for _, name := range chains {
		chain := &nftables.Chain{Table: n.table, Name: name}
		conn.FlushChain(chain)
		conn.DelChain(chain)
		delete(n.chains, name)
		if err := n.added(conn, 1); err != nil {
			return err
		}
	}
	for _, name := range keepNames(names, func(name string) bool { return n.sets[name] && !used[name] }) {
		conn.DelSet(&nftables.Set{Table: n.table, Name: name})
		delete(n.sets, name)
		if err := n.added(conn, 1); err != nil {
			return err
		}
	}
	return nil
}

// prefixOf returns which kind of chain it is: "sources" sorts after "service", and that after "backend".
func prefixOf(chain string) string {
	kind, _, _ := strings.Cut(chain, " ")
	return kind
}

// usedNames returns the names of all chains and sets that the rules consist of. A publication's refers to the Service's.
func usedNames(rules []rule) map[string]bool {
	used := map[string]bool{}
	for _, r := range rules {
		if r.published() {
			used[sourcesChain(r)] = len(r.backends) > 0 && len(r.sources) > 0
			continue
		}
		if len(r.backends) > 0 {
			used[serviceChain(r)] = true
		}
		for _, backend := range r.backends {
			used[backendChain(r, backend)] = true
			used[clientsSet(r, backend)] = r.affinity > 0
		}
	}
	return used
}

// keepNames returns the names that are wanted, sorted.
func keepNames(names map[string]bool, want func(string) bool) []string {
	var kept []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if want(name) {
			kept = append(kept, name)
		}
	}
	return kept
}

// addAddresses puts the backends' addresses into the hairpin set, before any rule leads to them.
func (n *nft) addAddresses(conn *nftables.Conn, wanted map[netip.Addr]bool) error {
	var missing []nftables.SetElement
	for ip := range wanted {
		if !n.addresses[ip] {
			n.addresses[ip] = true
			missing = append(missing, nftables.SetElement{Key: pairKey(ip)})
		}
	}
	return n.inBatches(conn, missing, conn.SetAddElements)
}

// removeAddresses takes out those that are no backend any more.
func (n *nft) removeAddresses(conn *nftables.Conn, wanted map[netip.Addr]bool) error {
	var gone []nftables.SetElement
	for ip := range n.addresses {
		if !wanted[ip] {
			delete(n.addresses, ip)
			gone = append(gone, nftables.SetElement{Key: pairKey(ip)})
		}
	}
	return n.inBatches(conn, gone, conn.SetDeleteElements)
}

// inBatches changes the hairpin set. An attribute holds at most 64 KiB, an element takes about 24 bytes.
func (n *nft) inBatches(conn *nftables.Conn, elements []nftables.SetElement,
	change func(*nftables.Set, []nftables.SetElement) error) error {
	for batch := range slices.Chunk(elements, batchObjects) {
		if err := change(n.hairpin, batch); err != nil {
			return err
		}
		if err := n.added(conn, len(batch)); err != nil {
			return err
		}
	}
	return nil
}

func backendAddresses(rules []rule) map[netip.Addr]bool {
	addresses := map[netip.Addr]bool{}
	for _, r := range rules {
		for _, backend := range r.backends {
			addresses[backend.Addr()] = true
		}
	}
	return addresses
}
