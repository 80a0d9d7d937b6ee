package ingress

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/podyard/podyard/wire"
)

// AgentOptions say where an agent serves; the zero value serves the usual ports and keeps nothing.
type AgentOptions struct {
	// HTTP and HTTPS are the addresses to listen on, ":80" and ":443" if empty.
	HTTP, HTTPS string
	// StateFile keeps the last Config, with its keys; empty for none.
	StateFile string
	// Storage is the directory of the certificates that are obtained; empty for the working directory's "acme".
	Storage string
	// Drain is how long WebSockets and streams may go on after the end of ctx; four minutes if 0.
	Drain time.Duration
	// Version is reported to the daemon.
	Version string
	// Log and AccessLog may be nil.
	Log, AccessLog *slog.Logger
}

// defaultDrain leaves time before the engine's own patience ends.
const defaultDrain = 4 * time.Minute

// agent is one run of the agent.
type agent struct {
	opts      AgentOptions
	log       *slog.Logger
	proxy     *proxy
	automatic *automatic

	mu sync.Mutex
	// hello is what the agent says of the Config in force, changed when the state file was.
	hello   Hello
	changed time.Time

	jobs    chan request
	answers *wire.Answers
}

// Run serves until ctx ends, which is no error: first the Config in the state file, then what daemons send on in. Answers go
// to out. The end of in ends nothing. After the end of ctx it drains. Run may return while a read of in is still under way.
func Run(ctx context.Context, opts AgentOptions, in io.Reader, out io.Writer) error {
	opts = withDefaults(opts)
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	a := newAgent(life, opts)
	fallback, err := selfSigned(time.Now())
	if err != nil {
		return err
	}
	addresses := []string{opts.HTTP, opts.HTTPS}
	listeners, err := listen(ctx, addresses)
	if err != nil {
		return err
	}
	a.automatic.listenAt(listeners)
	a.restore() // connections wait
	server := newServer(a.proxy, tlsConfig(a.proxy, a.automatic, fallback), listeners)
	server.start()
	a.log.Info("ingress agent serves", "http", opts.HTTP, "https", opts.HTTPS)
	go handOver(ctx, addresses, listeners)
	go wire.Listen(ctx, in, func(line []byte) { a.take(ctx, line) })
	go a.work(ctx)
	go a.answers.Write(life, out)
	select {
	case err := <-server.failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	a.log.Info("ingress agent drains")
	a.automatic.set(nil, Settings{}, false) // the agent that has taken over obtains certificates
	limit, cancel := context.WithTimeout(life, opts.Drain)
	defer cancel()
	server.drain(limit, a.follow)
	return nil
}

func withDefaults(opts AgentOptions) AgentOptions {
	opts.HTTP, opts.HTTPS = cmp.Or(opts.HTTP, ":80"), cmp.Or(opts.HTTPS, ":443")
	opts.Storage, opts.Drain = cmp.Or(opts.Storage, "acme"), cmp.Or(opts.Drain, defaultDrain)
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.AccessLog == nil {
		opts.AccessLog = slog.New(slog.DiscardHandler)
	}
	return opts
}

// newAgent serves an empty Config. What it does in the background ends with life.
func newAgent(life context.Context, opts AgentOptions) *agent {
	a := &agent{
		opts: opts, log: opts.Log, proxy: newProxy(opts.Log, opts.AccessLog),
		automatic: newAutomatic(life, opts.Storage, opts.Log),
		hello:     Hello{Version: opts.Version, Digest: Config{}.Digest()},
		jobs:      make(chan request, 16), answers: wire.NewAnswers(opts.Log),
	}
	a.proxy.challenge = a.automatic.challenge
	return a
}

// restore serves the Config of the state file. Whatever is wrong with it, the agent starts: a daemon will come.
func (a *agent) restore() {
	var config Config
	if err := wire.ReadState(a.opts.StateFile, &config); err != nil {
		a.log.Error("restore Ingresses", "err", err)
		return
	}
	a.noteFile()
	a.apply(config, true)
}

// noteFile tells whether the state file is another than before.
func (a *agent) noteFile() bool {
	info, err := os.Stat(a.opts.StateFile)
	if err != nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.changed
	a.changed = info.ModTime()
	return !before.Equal(a.changed)
}

// follow serves what the agent that has taken over is told, as long as there are connections here.
func (a *agent) follow() {
	if !a.noteFile() {
		return
	}
	var config Config
	if err := wire.ReadState(a.opts.StateFile, &config); err == nil {
		a.proxy.serveConfig(config)
	}
}

// apply puts a Config in force: requests that come from now on follow it. No connection is touched. With wait, certificates that
// were obtained before are there when it returns.
func (a *agent) apply(config Config, wait bool) {
	problems := a.proxy.serveConfig(config)
	a.automatic.set(a.proxy.router.Load().automatic, config.Settings, wait)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hello.Digest, a.hello.Ingresses, a.hello.Problems = config.Digest(), config.Ingresses, nil
	for _, problem := range problems {
		a.log.Warn("not served as asked", "err", problem)
		a.hello.Problems = append(a.hello.Problems, problem.Error())
	}
}

// arrival is how long a request may be on its way to an endpoint.
const arrival = 100 * time.Millisecond

// serveConfig makes the router of a Config the one in force. When it returns, no request is on its way any more to an endpoint that
// is gone, whose pod will be told to stop: a server that stops closes connections on which it has not yet read a request.
func (p *proxy) serveConfig(config Config) []error {
	router, problems := compile(config, p.router.Load())
	p.router.Store(router)
	onTheWay := func(e *endpoint) bool { return e.unanswered.Load() > 0 }
	for deadline := time.Now().Add(arrival); slices.ContainsFunc(router.gone, onTheWay) && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	return problems
}

// take queues a request. It waits while the queue is full.
func (a *agent) take(ctx context.Context, line []byte) {
	r, err := decodeRequest(line)
	if err != nil {
		a.log.Warn("ignore input", "bytes", len(line), "err", wire.ErrNoMessage)
		return
	}
	select {
	case a.jobs <- r:
	case <-ctx.Done():
	}
}

// work carries out requests in the order in which they came.
func (a *agent) work(ctx context.Context) {
	for {
		select {
		case r := <-a.jobs:
			a.answers.Add(a.do(r))
		case <-ctx.Done():
			return
		}
	}
}

// do carries out one request.
func (a *agent) do(r request) response {
	if r.Hello != nil {
		hello := a.greeting()
		return response{ID: r.ID, Hello: &hello}
	}
	if r.Certificates != nil {
		return response{ID: r.ID, Certificates: a.automatic.states()}
	}
	a.apply(*r.Apply, false)
	if err := wire.WriteState(a.opts.StateFile, *r.Apply); err != nil {
		a.log.Error("keep Ingresses", "err", err)
		return response{ID: r.ID, Error: err.Error()}
	}
	a.noteFile()
	return response{ID: r.ID}
}

func (a *agent) greeting() Hello {
	a.mu.Lock()
	hello := a.hello
	a.mu.Unlock()
	hello.Certificates = a.automatic.states()
	return hello
}
