package gateway

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/podyard/podyard/wire"
)

// AgentOptions say where an agent serves. PodCIDR, ServiceCIDR, PublicationCIDR and GatewayIP are required.
type AgentOptions struct {
	// PodCIDR holds the addresses of sandboxes, which have the return route. Backends outside it see the gateway's
	// address in place of the client's.
	PodCIDR netip.Prefix
	// HostIP is the host's address within PodCIDR, where pods in the host's network are: it has no return route. May be
	// zero.
	HostIP netip.Addr
	// ServiceCIDR holds the Service addresses. The gateway answers for all of it.
	ServiceCIDR netip.Prefix
	// PublicationCIDR holds the addresses of publications, likewise.
	PublicationCIDR netip.Prefix
	// GatewayIP is where DNS is served, on port 53.
	GatewayIP netip.Addr
	// StateFile keeps the last table; empty for none.
	StateFile string
	// Upstreams are name servers for all other names, "IP" or "IP:port"; none means those of /etc/resolv.conf.
	Upstreams []string
	// Fallbacks are asked instead while all Upstreams refuse connections: nobody listens there.
	Fallbacks []string
	// Backend is BackendNftables, BackendUserspace, or empty for the first that works.
	Backend string
	// Masquerade hides every client's address from the backends. The agent decides so by itself where the kernel has
	// not what the sandboxes' return route needs.
	Masquerade bool
	// Version is reported to the daemon.
	Version string
	// Log may be nil.
	Log *slog.Logger
}

// The backends.
const (
	BackendNftables  = "nftables"
	BackendUserspace = "userspace"
)

// balancer makes rules work. apply replaces all of them and leaves alone what stays the same; after an error the state
// is unknown and the next apply finds it out.
type balancer interface {
	apply(ctx context.Context, rules []rule) error
	// disconnect ends the connections to addresses where nothing is any more. It may be called beside apply.
	disconnect(gone map[netip.Addr]bool)
	// close ends what needs this process. Rules in the kernel stay.
	close()
}

// agent is one run of the agent.
type agent struct {
	opts AgentOptions
	log  *slog.Logger
	// hello is the part of the greeting that does not change.
	hello    Hello
	balancer balancer
	resolver *resolver

	mu    sync.Mutex
	table Table

	// jobs are greetings and tables, carried out in order; probes run beside them.
	jobs    chan request
	probes  chan struct{}
	answers *wire.Answers
	// gone are addresses to which connections are to be ended.
	gone chan netip.Addr
}

// maxProbes bounds the probes under way; more wait for their turn.
const maxProbes = 128

// Run serves until ctx ends, which is no error: first the table in the state file, then what daemons send on in.
// Answers go to out. The end of in ends nothing. Run may return while a read of in is still under way.
func Run(ctx context.Context, opts AgentOptions, in io.Reader, out io.Writer) error {
	a, err := newAgent(opts)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := a.prepare(ctx); err != nil {
		return err
	}
	defer a.balancer.close()
	a.restore(ctx)
	failed, err := a.resolver.serve(ctx, netip.AddrPortFrom(opts.GatewayIP, dnsPort))
	if err != nil {
		return err
	}
	a.log.Info("gateway agent serves", "backend", a.hello.Backend, "masquerade", a.hello.Masquerade)
	go a.read(ctx, in)
	go a.work(ctx)
	go a.disconnect(ctx)
	go a.answers.Write(ctx, out)
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return fmt.Errorf("serve DNS: %w", err)
	}
}

// newAgent checks the options and fills in defaults.
func newAgent(opts AgentOptions) (*agent, error) {
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("configure gateway agent: %w", err)
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	forwarder, err := forwarderOf(opts)
	if err != nil {
		return nil, fmt.Errorf("configure gateway agent: %w", err)
	}
	return &agent{
		opts:     opts,
		log:      opts.Log,
		hello:    Hello{Version: opts.Version},
		resolver: newResolver(opts, forwarder),
		table:    Table{Domain: DefaultDomain},
		jobs:     make(chan request, 16),
		probes:   make(chan struct{}, maxProbes),
		answers:  wire.NewAnswers(opts.Log),
		gone:     make(chan netip.Addr, maxGone),
	}, nil
}

// validate wants IPv4 throughout.
func (o *AgentOptions) validate() error {
	for _, p := range append(o.served(), o.PodCIDR) {
		if !p.IsValid() || !p.Addr().Is4() {
			return fmt.Errorf("%q is not an IPv4 prefix", p)
		}
	}
	if !o.GatewayIP.Is4() {
		return fmt.Errorf("%q is not an IPv4 address", o.GatewayIP)
	}
	for _, p := range o.served() {
		if p.Contains(o.GatewayIP) {
			return fmt.Errorf("gateway address %s lies in the served range %s", o.GatewayIP, p)
		}
	}
	switch o.Backend {
	case "", BackendNftables, BackendUserspace:
		return nil
	}
	return fmt.Errorf("unknown backend %q", o.Backend)
}

// served are the ranges for which the gateway answers.
func (o *AgentOptions) served() []netip.Prefix {
	return []netip.Prefix{o.ServiceCIDR.Masked(), o.PublicationCIDR.Masked()}
}

// prepare makes the addresses that are served local and picks the balancer.
func (a *agent) prepare(ctx context.Context) error {
	for _, cidr := range a.opts.served() {
		if err := addLocalRoute(cidr); err != nil {
			return fmt.Errorf("route %s here: %w", cidr, err)
		}
	}
	choice, err := chooseBalancer(ctx, a.opts)
	if err != nil {
		return fmt.Errorf("choose balancer: %w", err)
	}
	a.balancer = choice.balancer
	a.hello.Backend, a.hello.Reason, a.hello.Masquerade = choice.backend, choice.reason, choice.masquerade
	if choice.reason != "" {
		a.log.Warn("Services are not served in the best way", "backend", choice.backend, "masquerade", choice.masquerade, "err", choice.reason)
	}
	return nil
}

// choice is a balancer with what is said of it.
type choice struct {
	balancer   balancer
	backend    string
	reason     string
	masquerade bool
}

// restore serves the table of the state file. Whatever is wrong with it, the agent starts: a daemon will come.
func (a *agent) restore(ctx context.Context) {
	table, err := readState(a.opts.StateFile)
	if err == nil {
		err = a.apply(ctx, table)
	}
	if err != nil {
		a.log.Error("restore table", "err", err)
	}
}

// apply puts a table in force: first addresses, then names, so that no name leads nowhere.
func (a *agent) apply(ctx context.Context, table Table) error {
	if table.Domain == "" {
		table.Domain = DefaultDomain
	}
	if err := a.balancer.apply(ctx, compile(table)); err != nil {
		return fmt.Errorf("program Service addresses: %w", err)
	}
	a.resolver.setTable(table)
	a.mu.Lock()
	a.table = table
	a.mu.Unlock()
	return nil
}

// read takes requests from in until ctx ends.
func (a *agent) read(ctx context.Context, in io.Reader) {
	wire.Listen(ctx, in, func(line []byte) {
		r, err := decodeRequest(line)
		if err != nil {
			a.log.Warn("ignore input", "bytes", len(line), "err", wire.ErrNoMessage)
			return
		}
		a.dispatch(ctx, r)
	})
}

// dispatch queues a request. It waits while the queue is full.
func (a *agent) dispatch(ctx context.Context, r request) {
	switch {
	case r.Probe != nil:
		go a.probe(ctx, r)
		return
	case r.Gone != nil:
		a.noteGone(*r.Gone)
		a.answers.Add(response{ID: r.ID})
		return
	}
	select {
	case a.jobs <- r:
	case <-ctx.Done():
	}
}

// work carries out tables and greetings in the order in which they came.
func (a *agent) work(ctx context.Context) {
	for {
		select {
		case r := <-a.jobs:
			a.answers.Add(a.do(ctx, r))
		case <-ctx.Done():
			return
		}
	}
}

// do carries out one job.
func (a *agent) do(ctx context.Context, r request) response {
	if r.Hello != nil {
		hello := a.hello
		a.mu.Lock()
		hello.Table = a.table
		a.mu.Unlock()
		return response{ID: r.ID, Hello: &hello}
	}
	err := a.apply(ctx, *r.Apply)
	if err == nil {
		err = wire.WriteState(a.opts.StateFile, *r.Apply)
	}
	if err != nil {
		a.log.Error("apply table", "err", err)
		return response{ID: r.ID, Error: err.Error()}
	}
	return response{ID: r.ID}
}

// probe carries out one probe when there is room.
func (a *agent) probe(ctx context.Context, r request) {
	select {
	case a.probes <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-a.probes }()
	answer := r.Probe.run(ctx)
	a.answers.Add(response{ID: r.ID, Probe: &answer})
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
