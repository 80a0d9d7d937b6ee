package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	gort "runtime"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

// Options of a Reconciler. The zero value works.
type Options struct {
	// Workers bounds the engine calls that start things at once. Starting is bound by the engine's CPU; the default is
	// four for each core of this machine, at least 4 and at most 32.
	Workers int
	// NodeLabels are added to those of the one node there is.
	NodeLabels map[string]string
	// HTTPPort and HTTPSPort are the host's ports for Ingresses; 0 for none.
	HTTPPort, HTTPSPort int32
	// ExternalIPs says at which addresses clients outside reach the host's ports; hostIP is its address as pods see it. Nil, or
	// none, means that nobody knows.
	ExternalIPs func(hostIP string) []string
	Log         *slog.Logger
	// Notes outlive the daemon; without them they are kept in memory.
	Notes Notes
	// Record is told of everything worth an event. It must not block.
	Record func(Event)
	// Changed is called after every round of the loop. It must not block.
	Changed func(Status)
}

// Status is what the last round of the loop found and decided.
type Status struct {
	// Set is the desired state it was planned for; nil before the first.
	Set    *manifests.Set
	State  *runtime.State
	Result plan.Result
	// Err says why the engine could not be asked or routed; everything else is older then.
	Err error
	// At is when the round was.
	At time.Time
}

// Reconciler makes the engine run what is desired.
type Reconciler struct {
	runtime runtime.Runtime
	options Options
	log     *slog.Logger
	prober  *prober
	// wake holds at most one signal: look again.
	wake chan struct{}
	// clock is what plans go by.
	clock func() time.Time
	// told are the happenings that hold and were recorded; surveyed that the first plan has waited for the measuring. Only
	// the loop uses them.
	told     map[string]Event
	surveyed bool
	// running counts actions under way, so that Run returns only when the last has.
	running sync.WaitGroup

	mu      sync.Mutex
	desired *manifests.Set
	status  Status
	queue   []plan.Action
	busy    int
	// flights are the actions under way by their keys, below counts them by the keys above theirs.
	flights map[string]plan.Action
	below   map[string]int
	// landed is when an action on a key ended, kept until a state is observed later than that.
	landed   map[string]time.Time
	stopping map[string]bool
	failures map[string]failure
	pulls    map[string]pull
	routed   *runtime.Routes
	planned  []*corev1.Service
	// left is when an address was last taken out of the routes, kept for as long as it matters.
	left map[string]time.Time
	// looks counts observations. hooks are the lifecycle hooks under way, preStopped the containers that had theirs.
	looks      uint64
	hooks      map[*hook]bool
	preStopped map[string]bool
	// written, began and usages are by sandbox: what its volumes of files show, when it was seen to have started last, and
	// what its emptyDirs hold.
	written   map[string]map[string]*writes
	began     map[string]time.Time
	usages    map[string]usage
	measuring bool
	sampler   sampler
	// noted are the Jobs of the notes, by their names.
	noted map[string]notedJob
}

// New makes a Reconciler; Run starts it.
func New(rt runtime.Runtime, options Options) *Reconciler {
	if options.Workers <= 0 {
		options.Workers = min(max(4*gort.NumCPU(), 4), 32)
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	if options.Notes == nil {
		options.Notes = &memory{}
	}
	r := &Reconciler{
		runtime: rt, options: options, log: options.Log,
		wake:       make(chan struct{}, 1),
		clock:      wallClock,
		flights:    map[string]plan.Action{},
		below:      map[string]int{},
		landed:     map[string]time.Time{},
		stopping:   map[string]bool{},
		failures:   map[string]failure{},
		pulls:      map[string]pull{},
		hooks:      map[*hook]bool{},
		preStopped: map[string]bool{},
		written:    map[string]map[string]*writes{},
		began:      map[string]time.Time{},
		usages:     map[string]usage{},
		left:       map[string]time.Time{},
		noted:      map[string]notedJob{},
	}
	r.prober = newProber(rt.Probe, r.lookAgain)
	return r
}

// SetDesired makes a Set the desired state from now on. Actions not yet begun for the one before are dropped.
func (r *Reconciler) SetDesired(set *manifests.Set) {
	r.mu.Lock()
	r.desired, r.queue = set, nil
	clear(r.failures) // a new commit is a new chance
	r.forgivePulls(set)
	r.mu.Unlock()
	r.lookAgain()
}

// Status returns what the last round found.
func (r *Reconciler) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

// Run loops until ctx ends, and returns when the actions under way have. What they left half done the next Run finishes.
func (r *Reconciler) Run(ctx context.Context) {
	defer r.running.Wait()
	defer r.prober.stop()
	var changes <-chan struct{}
	timer := time.NewTimer(0)
	defer timer.Stop()
	var next appointment
	for {
		select {
		case <-ctx.Done():
			return
		case _, open := <-changes:
			if !open {
				changes = nil
			}
		case <-r.wake:
		case <-timer.C:
			if !next.reached(r.clock()) {
				timer.Reset(next.pause(r.clock()))
				continue
			}
		}
		next = r.round(ctx, r.subscribe(ctx, &changes))
		timer.Reset(next.pause(r.clock()))
	}
}

// subscribe asks the engine for its events, before the round that lists: first, and whenever they end.
func (r *Reconciler) subscribe(ctx context.Context, changes *<-chan struct{}) (err error) {
	if *changes == nil {
		*changes, err = r.runtime.Watch(ctx)
	}
	return err
}

// lookAgain asks for a round soon.
func (r *Reconciler) lookAgain() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Rounds happen at least this often, and after an engine error this soon. A gateway that is away for longer than
// routeTimeout must not keep the loop from mending pods.
const (
	slowRound    = 5 * time.Minute
	retryRound   = time.Second
	routeTimeout = 10 * time.Second
)

// round observes, plans, routes and begins actions. It returns when to look again at the latest.
func (r *Reconciler) round(ctx context.Context, watchErr error) appointment {
	desired := r.current()
	if desired == nil {
		return appointment{steady: time.Now().Add(slowRound)}
	}
	observed := r.forgetLanded()
	state, err := r.observe(ctx, desired)
	if err = errors.Join(watchErr, err); err != nil {
		r.publish(Status{Set: desired, Err: fmt.Errorf("observe the engine: %w", err)})
		return appointment{steady: time.Now().Add(retryRound)}
	}
	if r.prober.sync(ctx, state) {
		r.prober.overlay(state)
	}
	r.survey(ctx, state)
	now := r.clock()
	result := plan.Plan(desired, state, now)
	r.forgetFailures(state, result.Actions)
	r.keepServices(result.Routes.Services)
	r.tell(result.Objects, state)
	r.beginStarts(ctx, desired, result.Actions, observed)
	// Endpoints leave before their pods are told to stop; so stops wait for the routes, and creations do not.
	err = r.route(ctx, result.Routes)
	if err == nil {
		r.beginStops(ctx, desired, result.Actions, observed)
	}
	r.publish(Status{Set: desired, State: state, Result: result, Err: err})
	return appointment{steady: r.nextRound(err, r.measure(ctx, state), r.sample(ctx, desired, state)), wall: result.NextCheck, from: now}
}

// keepServices keeps the Services of which containers that are created from now on have variables.
func (r *Reconciler) keepServices(services []*corev1.Service) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.planned = services
}

// forgetLanded begins an observation: actions that have ended by now will be seen in it.
func (r *Reconciler) forgetLanded() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.landed)
	return time.Now()
}

// Preview plans for a Set and does nothing.
func (r *Reconciler) Preview(ctx context.Context, set *manifests.Set) (plan.Result, error) {
	state, err := r.observe(ctx, set)
	if err != nil {
		return plan.Result{}, fmt.Errorf("observe the engine: %w", err)
	}
	return plan.Plan(set, state, r.clock()), nil
}

func (r *Reconciler) current() *manifests.Set {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.desired
}

// observe asks the engine and adds what only the loop knows.
func (r *Reconciler) observe(ctx context.Context, desired *manifests.Set) (*runtime.State, error) {
	look := r.nextLook()
	state, err := r.state(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.lookUpImages(ctx, desired, state); err != nil {
		return nil, err
	}
	if r.options.ExternalIPs != nil {
		state.ExternalIPs = r.options.ExternalIPs(state.HostIP)
	}
	r.prober.overlay(state)
	r.overlay(state, look)
	return state, nil
}

func (r *Reconciler) nextLook() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looks++
	return r.looks
}

// state is what the engine tells, with what the user has said of the node, and the notes.
func (r *Reconciler) state(ctx context.Context) (*runtime.State, error) {
	state, err := r.runtime.State(ctx)
	if err != nil {
		return nil, err
	}
	if len(r.options.NodeLabels) > 0 {
		host := maps.Clone(r.options.NodeLabels)
		maps.Copy(host, state.Host)
		state.Host = host
	}
	state.HTTPPort, state.HTTPSPort = r.options.HTTPPort, r.options.HTTPSPort
	state.Notes, err = r.options.Notes.Notes()
	return state, err
}

func (r *Reconciler) publish(s Status) {
	s.At = time.Now()
	r.mu.Lock()
	if s.Err != nil && s.State == nil {
		s.State, s.Result = r.status.State, r.status.Result
	}
	r.status = s
	r.mu.Unlock()
	if r.options.Changed != nil {
		r.options.Changed(s)
	}
}

// nextRound is the earliest of what the measurements ask for, the end of a back-off, and the slow net. What the plan asks for
// goes by the clock.
func (r *Reconciler) nextRound(err error, wishes ...time.Time) time.Time {
	next := time.Now().Add(slowRound)
	if err != nil {
		next = time.Now().Add(retryRound)
	}
	for _, wish := range wishes {
		if !wish.IsZero() && wish.Before(next) {
			next = wish
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.failures {
		if f.retryAt.After(time.Now()) && f.retryAt.Before(next) {
			next = f.retryAt
		}
	}
	return next
}
