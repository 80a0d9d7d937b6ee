package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/podyard/podyard/gateway"
	"github.com/podyard/podyard/runtime"
)

// greeting is how long an agent may take to answer the first message before it is restarted.
const greeting = 5 * time.Second

// disconnectTimeout is how long the removal of a pod waits for the agent to take note of it.
const disconnectTimeout = time.Second

// link is the connection to the gateway's agent. One goroutine keeps it up from the first Ensure to Close.
type link struct {
	// mending keeps it to one repair of the gateway's containers at a time.
	mending sync.Mutex
	// routing keeps it to one Route at a time, so that the last one wanted is the last one applied.
	routing sync.Mutex
	// kick wakes the supervisor when one of the gateway's containers changed.
	kick chan struct{}

	mu     sync.Mutex
	agent  string
	client *gateway.Client
	// changed is closed, and replaced, when client changes.
	changed chan struct{}
	// wanted is what the last Route was called with; nil before. routes is what State tells.
	wanted *wanted
	routes runtime.Routes
	// stop ends the supervisor; ended is closed when it has.
	stop  context.CancelFunc
	ended chan struct{}
	// err is why there is no client.
	err error
}

// wanted is what Route was called with. A table tells less of a Service than its manifest does.
type wanted struct {
	routes runtime.Routes
	table  gateway.Table
}

// Route implements runtime.Router.
func (e *Engine) Route(ctx context.Context, routes runtime.Routes) error {
	e.link.routing.Lock()
	defer e.link.routing.Unlock()
	w := &wanted{copyRoutes(routes), gateway.NewTable(routes.Services, routes.Endpoints)}
	w.table.Publications = e.publishers()
	e.link.want(w)
	client, err := e.apply(ctx, func(gateway.Table) gateway.Table { return w.table })
	if err != nil {
		return fmt.Errorf("route: %w", err)
	}
	e.link.inForce(client, w)
	return nil
}

// apply changes the table in force, by a new agent if the one that is there goes away.
func (e *Engine) apply(ctx context.Context, change func(gateway.Table) gateway.Table) (*gateway.Client, error) {
	for {
		client, err := e.link.get(ctx)
		if err != nil {
			return nil, err
		}
		err = client.Apply(ctx, change(client.Table()))
		if !errors.Is(err, gateway.ErrClosed) {
			return client, err
		}
		e.link.lose(client, err)
	}
}

// routePublications tells the gateway which publications there are now.
func (e *Engine) routePublications(ctx context.Context) error {
	e.link.routing.Lock()
	defer e.link.routing.Unlock()
	publishers := e.publishers()
	if w := e.link.wants(); w != nil {
		now := *w
		now.table.Publications = publishers
		e.link.want(&now)
	}
	if client := e.link.current(); client != nil && slices.Equal(client.Table().Publications, publishers) {
		return nil
	}
	_, err := e.apply(ctx, func(table gateway.Table) gateway.Table {
		table.Publications = publishers
		return table
	})
	return err
}

// publishers are the addresses of all publications, sorted.
func (e *Engine) publishers() []gateway.Publisher {
	var out []gateway.Publisher
	for _, en := range e.cache.all() {
		if en.publication != nil && en.publication.address.IsValid() {
			out = append(out, gateway.Publisher{IP: en.publication.address, MAC: mac(en.publication.address)})
		}
	}
	slices.SortFunc(out, func(a, b gateway.Publisher) int { return a.IP.Compare(b.IP) })
	return slices.Compact(out)
}

func copyRoutes(routes runtime.Routes) runtime.Routes {
	var out runtime.Routes
	for _, s := range routes.Services {
		out.Services = append(out.Services, s.DeepCopy())
	}
	for _, s := range routes.Endpoints {
		out.Endpoints = append(out.Endpoints, s.DeepCopy())
	}
	return out
}

func (l *link) want(w *wanted) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wanted = w
}

func (l *link) wants() *wanted {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.wanted
}

// get returns the client, and waits for one while the agent is away.
func (l *link) get(ctx context.Context) (*gateway.Client, error) {
	for {
		l.mu.Lock()
		client, changed, supervised, err := l.client, l.changed, l.stop != nil, l.err
		l.mu.Unlock()
		switch {
		case client != nil:
			return client, nil
		case !supervised:
			return nil, errNotEnsured
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		}
	}
}

// current is the client, or nil while the agent is away.
func (l *link) current() *gateway.Client {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.client
}

// set installs a client, or none and why.
func (l *link) set(client *gateway.Client, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.replace(client, err)
}

func (l *link) replace(client *gateway.Client, err error) {
	l.client, l.err = client, err
	close(l.changed)
	l.changed = make(chan struct{})
	if client != nil {
		l.routes = l.routesOf(client)
	}
}

// lose drops a client that turned out to be broken, unless there is another by now. Closing it wakes the supervisor.
func (l *link) lose(client *gateway.Client, err error) {
	client.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client == client {
		l.replace(nil, err)
	}
}

// inForce notes what the gateway serves now.
func (l *link) inForce(client *gateway.Client, w *wanted) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client == client {
		l.routes = w.routes
	}
}

// routesOf is what Route was called with, or what the agent says if an earlier daemon called it.
func (l *link) routesOf(client *gateway.Client) runtime.Routes {
	table := client.Table()
	if l.wanted != nil && table.Equal(l.wanted.table) {
		return l.wanted.routes
	}
	services, endpoints := table.Routes()
	return runtime.Routes{Services: services, Endpoints: endpoints}
}

func (l *link) snapshot() runtime.Routes {
	l.mu.Lock()
	defer l.mu.Unlock()
	return runtime.Routes{Services: slices.Clone(l.routes.Services), Endpoints: slices.Clone(l.routes.Endpoints)}
}

func (l *link) setAgent(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.agent = id
}

func (l *link) agentID() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.agent
}

// disconnect has connections to a sandbox end that is gone. If the agent is away, they time out.
func (e *Engine) disconnect(ctx context.Context, sandbox *entry) {
	if sandbox == nil || sandbox.pod == nil || sandbox.pod.Manifest.Spec.HostNetwork {
		return
	}
	ip, err := netip.ParseAddr(sandbox.pod.IP)
	client := e.link.current()
	if err != nil || client == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, disconnectTimeout)
	defer cancel()
	if err := client.Gone(ctx, ip); err != nil {
		e.log.Warn("connections to a pod that is gone will time out", "pod", sandbox.object(), "err", err)
	}
}

// noteGateway wakes the supervisor if what changed is part of the gateway.
func (e *Engine) noteGateway(old, now *entry) {
	for _, en := range []*entry{old, now} {
		if en == nil || en.role != roleHolder && en.role != roleAgent {
			continue
		}
		if old != nil && now != nil && old.running == now.running && old.started.Equal(now.started) {
			return
		}
		select {
		case e.link.kick <- struct{}{}:
		default:
		}
		return
	}
}

// superviseGateway starts the supervisor, unless it runs.
func (e *Engine) superviseGateway() {
	e.link.mu.Lock()
	defer e.link.mu.Unlock()
	if e.link.stop != nil {
		return
	}
	ctx, stop := context.WithCancel(e.life)
	ended := make(chan struct{})
	e.link.stop, e.link.ended = stop, ended
	e.work.Go(func() {
		defer close(ended)
		e.supervise(ctx)
	})
}

// leaveGateway stops the supervisor, so that the gateway can be taken down.
func (e *Engine) leaveGateway() {
	e.link.mu.Lock()
	stop, ended := e.link.stop, e.link.ended
	e.link.mu.Unlock()
	if stop != nil {
		stop()
		<-ended
	}
	e.link.mu.Lock()
	defer e.link.mu.Unlock()
	e.link.stop, e.link.wanted, e.link.routes = nil, nil, runtime.Routes{}
}

// supervise keeps a client attached: it mends the gateway, attaches, serves until something changes, and again.
func (e *Engine) supervise(ctx context.Context) {
	wait := firstRetry
	for {
		client, err := e.attach(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			e.log.Warn("the gateway does not answer", "err", err)
			e.link.set(nil, err)
			sleep(ctx, wait)
			wait = min(2*wait, lastRetry)
			if err := e.mendGateway(ctx, func(string) {}); err != nil && ctx.Err() == nil {
				e.log.Warn("the gateway cannot be mended", "err", err)
			}
			continue
		}
		wait = firstRetry
		e.link.set(client, nil)
		e.signal()
		e.serve(ctx, client)
		e.link.lose(client, client.Err())
	}
}

// serve returns when the client's stream has ended, the gateway could not be mended, or ctx has ended. The agent runs on
// in a dead namespace when the holder has died, hence the look at both.
func (e *Engine) serve(ctx context.Context, client *gateway.Client) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-client.Done():
			if ctx.Err() == nil {
				_ = e.mendGateway(ctx, func(string) {}) // attach finds out
			}
			return
		case <-e.link.kick:
			if err := e.mendGateway(ctx, func(string) {}); err != nil {
				return
			}
		}
	}
}

// attach greets the agent and brings it up to date. An agent that runs and does not answer is restarted.
func (e *Engine) attach(ctx context.Context) (*gateway.Client, error) {
	id := e.link.agentID()
	attached, err := e.cli.ContainerAttach(ctx, id, container.AttachOptions{Stream: true, Stdin: true, Stdout: true})
	if err != nil {
		return nil, wrap("attach to", "the gateway's agent", err)
	}
	hello, cancel := context.WithTimeout(ctx, greeting)
	defer cancel()
	client, err := gateway.NewClient(hello, demultiplex(attached))
	if err != nil {
		if hello.Err() != nil && ctx.Err() == nil {
			_, _ = e.restart(ctx, id)
		}
		return nil, err
	}
	if w := e.link.wants(); w != nil && !client.Table().Equal(w.table) {
		if err := client.Apply(ctx, w.table); err != nil {
			client.Close()
			return nil, err
		}
	}
	return client, nil
}

// attachment reads the agent's standard output and writes its standard input.
type attachment struct {
	*io.PipeReader
	types.HijackedResponse
}

// demultiplex takes standard output out of the stream in which Docker sends both outputs.
func demultiplex(attached types.HijackedResponse) *attachment {
	reader, writer := io.Pipe()
	go func() {
		_, err := stdcopy.StdCopy(writer, io.Discard, attached.Reader)
		if err == nil {
			err = io.EOF
		}
		writer.CloseWithError(err)
	}()
	return &attachment{reader, attached}
}

func (a *attachment) Read(data []byte) (int, error) { return a.PipeReader.Read(data) }

func (a *attachment) Write(data []byte) (int, error) { return a.Conn.Write(data) }

// Close ends both directions.
func (a *attachment) Close() error {
	a.HijackedResponse.Close()
	return a.PipeReader.Close()
}
