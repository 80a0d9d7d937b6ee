package docker

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
	"sync"

	"github.com/docker/docker/client"

	"github.com/podyard/podyard/gateway"
	"github.com/podyard/podyard/ingress"
	"github.com/podyard/podyard/runtime"
)

// Options of an Engine; the zero value works.
type Options struct {
	// Instance tells several Podyards on one engine apart: lower-case letters, digits and dashes, "podyard" if empty.
	Instance string
	// CIDR of the pod network, /16 to /22. Empty takes the first of 10.89.0.0/16 to 10.99.0.0/16 that the
	// engine has free. A network that exists already is used as it is.
	CIDR string
	// Logger hears of broken connections to the engine and to the gateway; nil for none.
	Logger *slog.Logger
	// Binary is the Podyard executable of which the infra image is made, /proc/self/exe if empty.
	Binary string
	// PidsLimit is how many processes a container may have (the kubelet's podPidsLimit, here per container); 0 for no
	// limit.
	PidsLimit int64
	// SeccompProfileRoot is the directory of this machine that holds the seccomp profiles of type Localhost.
	SeccompProfileRoot string
	// Ingress is how Ingresses are served: its ports and source ranges are those of the publication.
	Ingress ingress.Settings
}

// Engine implements runtime.Runtime on a Docker engine.
type Engine struct {
	options Options
	cli     *client.Client
	log     *slog.Logger
	names   names
	facts   facts

	// life ends with Close; everything in the background belongs to it.
	life context.Context
	end  context.CancelFunc
	work sync.WaitGroup

	cache     cache
	images    images
	watchers  watchers
	addresses addresses
	written   written
	claims    claims
	ready     ready
	link      link
	ingress   ingressLink

	// shared is what Ensure made or found. ensuring keeps it to one Ensure at a time.
	ensuring sync.Mutex
	sharing  sync.Mutex
	shared   shared
	// binaryHash is computed once: the binary that runs does not change.
	binaryHash func() (string, error)
	// syncing keeps it to one full listing at a time.
	syncing sync.Mutex
	// publishing keeps it to one Publish or Unpublish at a time, so that no two get the same address.
	publishing sync.Mutex
}

var _ runtime.Runtime = (*Engine)(nil)

const defaultInstance = "podyard"

var instancePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)

// New connects to the engine that the environment names (DOCKER_HOST and its companions) and begins to watch it. It
// makes nothing there.
func New(ctx context.Context, options Options) (*Engine, error) {
	options = withDefaults(options)
	if !instancePattern.MatchString(options.Instance) {
		return nil, fmt.Errorf("instance name %q: want at most 40 lower-case letters, digits and dashes", options.Instance)
	}
	if options.CIDR != "" {
		if _, err := parseRanges(options.CIDR); err != nil {
			return nil, err
		}
	}
	cli, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, fmt.Errorf("configure the Docker client: %w", err)
	}
	e := &Engine{options: options, cli: cli, log: options.Logger, names: names{options.Instance}}
	if err := e.learn(ctx); err != nil {
		cli.Close()
		return nil, err
	}
	e.start()
	return e, nil
}

func withDefaults(o Options) Options {
	if o.Instance == "" {
		o.Instance = defaultInstance
	}
	if o.Binary == "" {
		o.Binary = "/proc/self/exe"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func (e *Engine) start() {
	e.life, e.end = context.WithCancel(context.Background())
	e.binaryHash = sync.OnceValues(func() (string, error) { return hashFile(e.options.Binary) })
	e.cache.entries = map[string]*entry{}
	e.images.known = map[string]runtime.Image{}
	e.watchers.channels = map[chan struct{}]bool{}
	e.addresses.reserved, e.addresses.foreign = map[string]bool{}, map[netip.Addr]bool{}
	e.written.stamps, e.written.first = map[writtenKey]string{}, map[string][]firstFiles{}
	e.link.init()
	e.link.noted = func(client *gateway.Client) { e.link.routes = e.link.routesOf(client) }
	e.ingress.init()
	e.ingress.noted = e.ingress.note
	e.work.Go(e.watch)
}

// Close ends the watch and the connection to the gateway. What runs on the engine is left alone.
func (e *Engine) Close() error {
	e.end()
	e.work.Wait()
	return e.cli.Close()
}
