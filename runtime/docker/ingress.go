package docker

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/podyard/podyard/ingress"
	"github.com/podyard/podyard/runtime"
)

// The proxy for Ingresses is two containers, as the gateway is. The holder owns the network namespace and the published ports;
// it is replaced only when those change. The agent serves; a new one takes over the listeners of the old one, which drains.

const (
	// ingressTimeout bounds how long Route waits for the agent, whatever is wrong with it.
	ingressTimeout = 5 * time.Second
	// ingressDrain is how long connections of an agent that was replaced may last; the engine waits ingressGrace longer.
	ingressDrain = 4 * time.Minute
	ingressGrace = 15 * time.Second
)

// ingressLink is the connection to the proxy's agent, with what it serves.
type ingressLink struct {
	agentLink[*ingress.Client]
	// publishing keeps it to one change of the holder at a time, applying to one change of what the agent serves.
	publishing, applying sync.Mutex

	// agentLink's mu guards these. wanted is what the last Route was called with; nil before. served is what State tells.
	wanted *runtime.Routes
	served []*networkingv1.Ingress
	// publication is what Publish was called with last; nil for none.
	publication *runtime.Publication
	// certificates are those that are obtained automatically, as the agent has told last.
	certificates []runtime.AutomaticCertificate
	// retiring are the agents that drain.
	retiring map[string]bool
}

func isIngress(namespace, name string) bool {
	return namespace == "" && name == runtime.IngressPublication
}

// publishIngress returns when the ports are open and what Route was called with last is served.
func (e *Engine) publishIngress(ctx context.Context, p runtime.Publication) error {
	if !e.ensured().ready() {
		return fmt.Errorf("publish Ingresses: %w", errNotEnsured)
	}
	if err := e.synced(ctx); err != nil {
		return err
	}
	e.ingress.publishing.Lock()
	defer e.ingress.publishing.Unlock()
	if holder := e.ingressHolder(); holder != nil && !reflect.DeepEqual(holder.ingress.Publication, p) {
		if err := e.removeIngress(ctx); err != nil {
			return err
		}
	}
	e.ingress.setPublication(&p)
	if err := e.mendIngress(ctx, func(string) {}); err != nil {
		return fmt.Errorf("publish Ingresses: %w", err)
	}
	e.superviseIngress()
	first, cancel := context.WithTimeout(ctx, firstAnswer)
	defer cancel()
	client, err := e.ingress.get(first)
	if err == nil {
		err = e.updateIngress(first, client)
	}
	if err != nil {
		return fmt.Errorf("publish Ingresses: reach the proxy's agent: %w", err)
	}
	return nil
}

// unpublishIngress leaves the volumes: certificates that were obtained are in one.
func (e *Engine) unpublishIngress(ctx context.Context) error {
	if err := e.synced(ctx); err != nil {
		return err
	}
	e.ingress.publishing.Lock()
	defer e.ingress.publishing.Unlock()
	e.ingress.setPublication(nil)
	return e.removeIngress(ctx)
}

// removeIngress removes both containers, and the agents that drain.
func (e *Engine) removeIngress(ctx context.Context) error {
	e.ingress.leave()
	for _, role := range []string{roleIngressAgent, roleIngressHolder} {
		for _, en := range e.cache.all() {
			if en.role != role {
				continue
			}
			if err := e.remove(ctx, en.id); err != nil {
				return wrap("remove", "container "+en.name, err)
			}
		}
	}
	return nil
}

// resumeIngress takes over the proxy that an earlier daemon has published, with an agent of the current image. What is wrong with
// it is no reason not to serve Services: Publish finds out.
func (e *Engine) resumeIngress(ctx context.Context, progress func(string)) {
	e.ingress.publishing.Lock()
	defer e.ingress.publishing.Unlock()
	holder := e.ingressHolder()
	if holder == nil {
		return
	}
	e.ingress.setPublication(&holder.ingress.Publication)
	err := e.mendIngress(ctx, progress)
	if err == nil {
		e.superviseIngress()
		first, cancel := context.WithTimeout(ctx, 2*greeting)
		defer cancel()
		_, err = e.ingress.get(first)
	}
	if err != nil {
		e.log.Warn("Ingresses are not served", "err", err)
	}
}

func (e *Engine) superviseIngress() {
	supervise(e, &e.ingress.agentLink, keeper[*ingress.Client]{
		what: "the proxy for Ingresses", mend: e.mendIngress, greet: e.greetIngress, attached: e.attachedIngress,
	})
}

// leaveIngress stops the supervisor and forgets everything.
func (e *Engine) leaveIngress() {
	e.ingress.leave()
	e.ingress.mu.Lock()
	defer e.ingress.mu.Unlock()
	e.ingress.wanted, e.ingress.served, e.ingress.publication, e.ingress.certificates = nil, nil, nil, nil
}

// mendIngress makes, starts or restarts whatever of the proxy is not as it should be, and remembers the agent.
func (e *Engine) mendIngress(ctx context.Context, progress func(string)) error {
	e.ingress.mending.Lock()
	defer e.ingress.mending.Unlock()
	p := e.ingress.published()
	if p == nil {
		return nil
	}
	holder, err := e.ensureIngressHolder(ctx, *p, progress)
	if err != nil {
		return wrap("start", "the proxy for Ingresses", err)
	}
	agent, err := e.ensureAgent(ctx, e.names.ingressAgentSpec(e.ensured(), holder.id), holder, "the proxy's agent", progress)
	if err != nil {
		return wrap("start", "the proxy's agent", err)
	}
	e.ingress.setAgent(agent.id)
	return nil
}

// ensureIngressHolder starts the holder. A port that is taken leaves it created, and the next try starts it.
func (e *Engine) ensureIngressHolder(ctx context.Context, p runtime.Publication, progress func(string)) (*entry, error) {
	holder, err := e.find(ctx, e.names.ingressHolder(), roleIngressHolder)
	if err != nil {
		return nil, err
	}
	if holder == nil {
		progress("starting the proxy for Ingresses")
		if holder, err = e.createGateway(ctx, e.names.ingressHolderSpec(p, e.ensured(), e.learned())); err != nil {
			return nil, err
		}
	}
	started, err := e.run(ctx, holder)
	if err == nil {
		return started, nil
	}
	_ = e.look(ctx, holder.id) // State tells the engine's words
	if portTaken(err) {
		return nil, &engineError{e.explainPort(ctx, holder, err), runtime.ErrPortTaken}
	}
	return nil, err
}

// greetIngress gives the agent the Config that it ought to have.
func (e *Engine) greetIngress(ctx context.Context, stream io.ReadWriteCloser) (*ingress.Client, error) {
	client, err := ingress.NewClient(ctx, stream)
	if err != nil {
		return nil, err
	}
	if err := e.updateIngress(ctx, client); err != nil {
		client.Close()
		return nil, err
	}
	return client, nil
}

// attachedIngress looks once more, since Route does not wait for an agent that is being greeted; then others may go.
func (e *Engine) attachedIngress(ctx context.Context, client *ingress.Client) {
	bounded, cancel := context.WithTimeout(ctx, ingressTimeout)
	defer cancel()
	if err := e.updateIngress(bounded, client); err != nil {
		e.log.Warn("Ingresses are not up to date", "err", err)
	}
	e.retireIngressAgents(ctx)
	e.work.Go(func() { e.watchCertificates(ctx, client) })
}

// retireIngressAgents has every agent but the current one drain, in the background, and removes it then.
func (e *Engine) retireIngressAgents(ctx context.Context) {
	current := e.ingress.agentID()
	for _, en := range e.cache.all() {
		if en.role != roleIngressAgent || en.id == current || !e.ingress.retire(en.id) {
			continue
		}
		e.work.Go(func() {
			defer e.ingress.retired(en.id)
			err := e.stop(e.life, en.id, ingressDrain+ingressGrace)
			if err == nil {
				err = e.remove(e.life, en.id)
			}
			if err != nil && e.life.Err() == nil {
				e.log.Warn("an old agent of the proxy for Ingresses is left", "err", err)
			}
		})
	}
}

// routeIngresses puts Ingresses in force with the routes of Services. An agent that is away, or does not answer, gets them when it
// is back.
func (e *Engine) routeIngresses(ctx context.Context, routes runtime.Routes) {
	e.ingress.want(routes)
	client := e.ingress.current()
	if client == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, ingressTimeout)
	defer cancel()
	if err := e.updateIngress(ctx, client); err != nil {
		e.log.Warn("Ingresses are not up to date", "err", err)
		e.ingress.lose(client, err)
	}
}

// updateIngress gives an agent what it ought to serve, unless it has it, or nobody has said yet what that is.
func (e *Engine) updateIngress(ctx context.Context, client *ingress.Client) error {
	e.ingress.applying.Lock()
	defer e.ingress.applying.Unlock()
	config, ok := e.ingress.config(e.options.Ingress)
	if !ok || client.Hello().Digest == config.Digest() {
		return nil
	}
	return client.Apply(ctx, config)
}

// config is what the agent ought to serve; false before the first Route.
func (l *ingressLink) config(settings ingress.Settings) (ingress.Config, bool) {
	l.mu.Lock()
	wanted, p := l.wanted, l.publication
	l.mu.Unlock()
	if wanted == nil || p == nil {
		return ingress.Config{}, false
	}
	settings.SourceRanges = p.SourceRanges
	for _, port := range p.Ports {
		switch port.Port {
		case 80:
			settings.HTTPPort = port.HostPort
		case 443:
			settings.HTTPSPort = port.HostPort
		}
	}
	var certificates []ingress.Certificate
	for key, c := range wanted.Certificates {
		namespace, name, _ := strings.Cut(key, "/")
		certificates = append(certificates, ingress.Certificate{Namespace: namespace, Secret: name, Chain: c.Chain, Key: c.Key})
	}
	return ingress.NewConfig(wanted.Ingresses, wanted.Services, wanted.Endpoints, certificates, settings), true
}

// want remembers what Route was called with. The objects are shared with who made them and do not change.
func (l *ingressLink) want(routes runtime.Routes) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wanted, l.served = &routes, routes.Ingresses
}

// note is called with a new client while mu is held: before the first Route, what it serves is what an earlier daemon wanted.
func (l *ingressLink) note(client *ingress.Client) {
	if l.wanted == nil {
		l.served = client.Hello().Ingresses
	}
	l.certificates = certificatesOf(client.Hello().Certificates)
}

// addTo completes what State tells of the routes.
func (l *ingressLink) addTo(routes runtime.Routes) runtime.Routes {
	l.mu.Lock()
	defer l.mu.Unlock()
	routes.Ingresses = slices.Clone(l.served)
	return routes
}

func (l *ingressLink) setPublication(p *runtime.Publication) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.publication = p
}

func (l *ingressLink) published() *runtime.Publication {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.publication
}

// retire is false if the agent drains already.
func (l *ingressLink) retire(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.retiring[id] {
		return false
	}
	if l.retiring == nil {
		l.retiring = map[string]bool{}
	}
	l.retiring[id] = true
	return true
}

func (l *ingressLink) retired(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.retiring, id)
}

// ingressHolder is the holder as it is remembered; nil if there is none.
func (e *Engine) ingressHolder() *entry {
	for _, en := range e.cache.all() {
		if en.role == roleIngressHolder {
			return en
		}
	}
	return nil
}

// publishedIngress is the Ingress publication, if there is one. Its ports are open while both containers run.
func (e *Engine) publishedIngress() []runtime.Published {
	holder := e.ingressHolder()
	if holder == nil {
		return nil
	}
	p := *holder.ingress
	p.Ports, p.SourceRanges = slices.Clone(p.Ports), slices.Clone(p.SourceRanges)
	p.Running = holder.running && slices.ContainsFunc(e.cache.all(), func(en *entry) bool {
		return en.role == roleIngressAgent && en.running
	})
	return []runtime.Published{p}
}

// decodeIngress reads back what Publish was called with, and why the holder does not run.
func decodeIngress(c container.InspectResponse) *runtime.Published {
	var p runtime.Published
	decodeJSON(c.Config.Labels[labelIngress], &p.Publication)
	if phaseOf(c.State) != runtime.Running {
		p.Error = useful(c.State.Error)
	}
	return &p
}
