package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	gort "runtime"
	"sync"
	"time"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

// Options of a Reconciler. The zero value works.
type Options struct {
	// Workers bounds the engine calls that start things at once. Starting is bound by the engine's CPU; the default is
	// four for each core of this machine, at least 4 and at most 32.
	Workers int
	Log     *slog.Logger
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
	// running counts actions under way, so that Run returns only when the last has.
	running sync.WaitGroup

	mu      sync.Mutex
	desired *manifests.Set
	status  Status
	queue   []plan.Action
	busy    int
	flights map[string]plan.Action
	// landed is when an action on a key ended, kept until a state is observed later than that.
	landed   map[string]time.Time
	stopping map[string]bool
	failures map[string]failure
	pulls    map[string]pull
	routed   *runtime.Routes
}

// New makes a Reconciler; Run starts it.
func New(rt runtime.Runtime, options Options) *Reconciler {
	if options.Workers <= 0 {
		options.Workers = min(max(4*gort.NumCPU(), 4), 32)
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	r := &Reconciler{
		runtime: rt, options: options, log: options.Log,
		wake:     make(chan struct{}, 1),
		flights:  map[string]plan.Action{},
		landed:   map[string]time.Time{},
		stopping: map[string]bool{},
		failures: map[string]failure{},
		pulls:    map[string]pull{},
	}
	r.prober = newProber(rt.Probe, r.lookAgain)
	return r
}

// SetDesired makes a Set the desired state from now on. Actions not yet begun for the one before are dropped.
func (r *Reconciler) SetDesired(set *manifests.Set) {
	r.mu.Lock()
	r.desired, r.queue = set, nil
	clear(r.failures) // a new commit is a new chance
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
		}
		next := r.round(ctx, r.subscribe(ctx, &changes))
		timer.Reset(time.Until(next))
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
func (r *Reconciler) round(ctx context.Context, watchErr error) time.Time {
	desired := r.current()
	if desired == nil {
		return time.Now().Add(slowRound)
	}
	observed := r.forgetLanded()
	state, err := r.observe(ctx, desired)
	if err = errors.Join(watchErr, err); err != nil {
		r.publish(Status{Set: desired, Err: fmt.Errorf("observe the engine: %w", err)})
		return time.Now().Add(retryRound)
	}
	if r.prober.sync(ctx, state) {
		r.prober.overlay(state)
	}
	result := plan.Plan(desired, state, time.Now())
	r.beginStarts(ctx, desired, result.Actions, observed)
	// Endpoints leave before their pods are told to stop; so stops wait for the routes, and creations do not.
	err = r.route(ctx, result.Routes)
	if err == nil {
		r.beginStops(ctx, desired, result.Actions, observed)
	}
	r.publish(Status{Set: desired, State: state, Result: result, Err: err})
	return r.nextRound(result.NextCheck, err)
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
	return plan.Plan(set, state, time.Now()), nil
}

func (r *Reconciler) current() *manifests.Set {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.desired
}

// observe asks the engine and adds what only the loop knows.
func (r *Reconciler) observe(ctx context.Context, desired *manifests.Set) (*runtime.State, error) {
	state, err := r.runtime.State(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.lookUpImages(ctx, desired, state); err != nil {
		return nil, err
	}
	r.prober.overlay(state)
	r.overlay(state)
	return state, nil
}

// route puts new routes in force, if they differ from the last.
func (r *Reconciler) route(ctx context.Context, routes runtime.Routes) error {
	r.mu.Lock()
	same := r.routed != nil && reflect.DeepEqual(*r.routed, routes)
	r.mu.Unlock()
	if same {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, routeTimeout)
	defer cancel()
	if err := r.runtime.Route(bounded, routes); err != nil {
		if ctx.Err() == nil {
			r.log.Error("routing failed", "err", err)
		}
		return fmt.Errorf("route Services: %w", err)
	}
	r.mu.Lock()
	r.routed = &routes
	r.mu.Unlock()
	return nil
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

// nextRound is the earliest of what the plan asks for, the end of a back-off, and the slow net.
func (r *Reconciler) nextRound(planned time.Time, err error) time.Time {
	next := time.Now().Add(slowRound)
	if err != nil {
		next = time.Now().Add(retryRound)
	}
	if !planned.IsZero() && planned.Before(next) {
		next = planned
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
