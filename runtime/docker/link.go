package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/podyard/podyard/gateway"
	"github.com/podyard/podyard/runtime"
)

// disconnectTimeout is how long the removal of a pod waits for the agent to take note of it.
const disconnectTimeout = time.Second

// link is the connection to the gateway's agent, with what it serves.
type link struct {
	agentLink[*gateway.Client]
	// fallbacks are the agent's flags with the host's name servers; nil while they are not known. agentLink's mending guards them.
	fallbacks []string
	// routing keeps it to one Route at a time, so that the last one wanted is the last one applied.
	routing sync.Mutex
	// wanted is what the last Route was called with; nil before. routes is what State tells. agentLink's mu guards them.
	wanted *wanted
	routes runtime.Routes
}

// wanted is what Route was called with. A table tells less of a Service than its manifest does.
type wanted struct {
	routes runtime.Routes
	table  gateway.Table
}

// Route implements runtime.Router. The proxy for Ingresses follows the Services' addresses, and hinders them in nothing.
func (e *Engine) Route(ctx context.Context, routes runtime.Routes) error {
	e.link.routing.Lock()
	defer e.link.routing.Unlock()
	w := &wanted{copyRoutes(routes), gateway.NewTable(routes.Services, routes.Endpoints)}
	w.table.Publications = servedPublications(e.cache.all())
	e.link.want(w)
	client, err := e.apply(ctx, func(gateway.Table) gateway.Table { return w.table })
	if err != nil {
		return fmt.Errorf("route: %w", err)
	}
	e.link.inForce(client, w)
	e.routeIngresses(ctx, routes)
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
	publications := servedPublications(e.cache.all())
	if w := e.link.wants(); w != nil {
		now := *w
		now.table.Publications = publications
		e.link.want(&now)
	}
	if client := e.link.current(); client != nil && reflect.DeepEqual(client.Table().Publications, publications) {
		return nil
	}
	_, err := e.apply(ctx, func(table gateway.Table) gateway.Table {
		table.Publications = publications
		return table
	})
	return err
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

// noteAgents wakes the supervisor of what a container that changed is part of.
func (e *Engine) noteAgents(old, now *entry) {
	for _, en := range []*entry{old, now} {
		if en == nil {
			continue
		}
		if old != nil && now != nil && old.running == now.running && old.started.Equal(now.started) {
			return
		}
		switch en.role {
		case roleHolder, roleAgent:
			e.link.wake()
			return
		case roleIngressHolder, roleIngressAgent:
			e.ingress.wake()
			return
		}
	}
}

// superviseGateway starts the supervisor, unless it runs.
func (e *Engine) superviseGateway() {
	supervise(e, &e.link.agentLink, keeper[*gateway.Client]{what: "the gateway", mend: e.mendGateway, greet: e.greetGateway})
}

// leaveGateway stops the supervisor, so that the gateway can be taken down.
func (e *Engine) leaveGateway() {
	e.link.leave()
	e.link.mu.Lock()
	defer e.link.mu.Unlock()
	e.link.wanted, e.link.routes = nil, runtime.Routes{}
}

// greetGateway gives the agent the table that it ought to have.
func (e *Engine) greetGateway(ctx context.Context, stream io.ReadWriteCloser) (*gateway.Client, error) {
	client, err := gateway.NewClient(ctx, stream)
	if err != nil {
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
