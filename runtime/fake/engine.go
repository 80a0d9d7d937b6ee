package fake

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/podyard/podyard/runtime"
)

// Engine implements runtime.Runtime.
type Engine struct {
	options Options

	mu sync.Mutex
	// What is on the engine. Sandboxes and containers by ID, volumes by name, images and loads by reference and
	// programs by image ID.
	ensured    bool
	sandboxes  map[string]*sandbox
	containers map[string]*container
	volumes    map[string]*volume
	local      map[string]runtime.Image
	programs   map[string]Program
	kept       map[string]bool
	foreign    map[foreignKey]bool
	loads      map[string]Load
	routes     runtime.Routes
	// publications, sorted; heldPorts are those of the host that somebody else has.
	publications []runtime.Published
	heldPorts    map[portKey]bool

	// registry is what pulls find; versions count how often a reference was pushed.
	registry map[string]Program
	versions map[string]int
	// asked holds the references that State tells of.
	asked map[string]bool

	// down while the engine restarts; epoch counts restarts, so that verbs under way notice.
	down  bool
	epoch int

	// births count what happened under one name, so that IDs are never reused; names outlive what they name.
	births map[string]int
	names  map[string]string

	calls   []*Call
	faults  []*Fault
	history []RouteChange

	watchers   map[chan struct{}]bool
	dropEvents bool
	// dirty is set by whoever changes something while mu is held; see publish. pods are what State tells of; nil after a change.
	dirty    bool
	pods     []runtime.Pod
	pending  []runtime.State
	draining bool
}

var _ runtime.Runtime = (*Engine)(nil)

// Options of an engine; the zero value works.
type Options struct {
	// Instance is State.Instance, "fake" if empty.
	Instance string
	// Host is State.Host; a linux/amd64 host named "fake" if nil.
	Host map[string]string
	// Runtimes are State.Runtimes; runc if nil.
	Runtimes []string
	// Images in the registry, by reference.
	Images map[string]Program
	// Latency by verb (the method's name) replaces the defaults of latency.go. See there for what is added.
	Latency map[string]time.Duration
	// Downtime of RestartEngine, one second if zero.
	Downtime time.Duration
	// OnChange, if set, sees the state after every change, in order and never twice at once. It is called without
	// any lock and may call the engine, on whatever goroutine made a change: a timer's, too. It must not change the state.
	OnChange func(runtime.State)
}

// New returns an engine on which nothing is, not even what Ensure makes.
func New(options Options) *Engine {
	e := &Engine{
		options:    withDefaults(options),
		sandboxes:  map[string]*sandbox{},
		containers: map[string]*container{},
		volumes:    map[string]*volume{},
		local:      map[string]runtime.Image{},
		programs:   map[string]Program{},
		foreign:    map[foreignKey]bool{},
		loads:      map[string]Load{},
		registry:   map[string]Program{},
		versions:   map[string]int{},
		asked:      map[string]bool{},
		births:     map[string]int{},
		names:      map[string]string{},
		watchers:   map[chan struct{}]bool{},
		heldPorts:  map[portKey]bool{},
	}
	for ref, program := range options.Images {
		e.push(ref, program)
	}
	return e
}

func withDefaults(o Options) Options {
	if o.Instance == "" {
		o.Instance = "fake"
	}
	if o.Host == nil {
		o.Host = map[string]string{
			"kubernetes.io/hostname": "fake", "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
		}
	}
	if o.Runtimes == nil {
		o.Runtimes = []string{"runc"}
	}
	if o.Downtime == 0 {
		o.Downtime = time.Second
	}
	latency := maps.Clone(defaultLatency)
	maps.Copy(latency, o.Latency)
	o.Latency = latency
	return o
}

// newID is 64 hexadecimal digits that depend only on the name and on how often it was used before.
func (e *Engine) newID(name string) string {
	e.births[name]++
	id := digest(name, e.births[name])
	e.names[id] = name
	return id
}

// name is what an ID was given to, or the ID itself if it was never given.
func (e *Engine) name(id string) string {
	if name, ok := e.names[id]; ok {
		return name
	}
	return id
}

func digest(name string, n int) string {
	return fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", name, n)))
}

// now has no monotonic reading, as times from an engine have none.
func now() time.Time { return time.Now().Round(0).UTC() }
