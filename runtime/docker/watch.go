package docker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
)

// relist is how often everything is listed although the event stream stands: a net under lost events.
const relist = 5 * time.Minute

// Back-off of broken streams.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// watchers are the channels that Watch returned.
type watchers struct {
	mu       sync.Mutex
	channels map[chan struct{}]bool
}

// Watch implements runtime.Observer.
func (e *Engine) Watch(ctx context.Context) (<-chan struct{}, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	signals := make(chan struct{}, 1)
	e.watchers.mu.Lock()
	e.watchers.channels[signals] = true
	e.watchers.mu.Unlock()
	context.AfterFunc(ctx, func() {
		e.watchers.mu.Lock()
		defer e.watchers.mu.Unlock()
		delete(e.watchers.channels, signals)
		close(signals)
	})
	return signals, nil
}

// signal tells every watcher to look again. One signal that waits already means the same.
func (e *Engine) signal() {
	e.watchers.mu.Lock()
	defer e.watchers.mu.Unlock()
	for signals := range e.watchers.channels {
		select {
		case signals <- struct{}{}:
		default:
		}
	}
}

// watch keeps an event stream open until Close.
func (e *Engine) watch() {
	wait := firstRetry
	for e.life.Err() == nil {
		began := time.Now()
		err := e.follow(e.life)
		e.cache.setLive(false)
		e.signal()
		if e.life.Err() != nil {
			return
		}
		if time.Since(began) > lastRetry {
			wait = firstRetry
		}
		e.log.Warn("the engine's event stream broke", "err", err)
		sleep(e.life, wait)
		wait = min(2*wait, lastRetry)
	}
}

// follow subscribes, lists, and then looks at what events tell of until the stream ends.
func (e *Engine) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changed, claims := newInbox(), newInbox()
	messages, errs := e.cli.Events(ctx, e.subscription())
	ended := make(chan error, 1)
	go func() { ended <- e.drain(messages, errs, changed, claims) }()
	if err := e.learnExtras(ctx); err != nil {
		return err
	}
	if err := e.catchUp(ctx); err != nil {
		return err
	}
	timer := time.NewTicker(relist)
	defer timer.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-timer.C:
			if err := e.catchUp(ctx); err != nil {
				return err
			}
		case <-changed.signal:
			if err := e.lookAtChanged(ctx, changed.take(), e.look); err != nil {
				return err
			}
		case <-claims.signal:
			if err := e.lookAtChanged(ctx, claims.take(), e.lookAtClaim); err != nil {
				return err
			}
		}
	}
}

// subscription asks for what changes a container or a volume, of anybody: the events of volumes do not tell labels. Old
// engines open the stream a moment before they subscribe; what happened in between is told because of Since.
func (e *Engine) subscription() events.ListOptions {
	args := filters.NewArgs(filters.Arg("type", "container"), filters.Arg("type", "volume"))
	for _, action := range []events.Action{
		events.ActionCreate, events.ActionStart, events.ActionDie, events.ActionDestroy, events.ActionOOM,
		events.ActionPause, events.ActionUnPause, events.ActionRename,
	} {
		args.Add("event", string(action))
	}
	since := time.Now().Add(-2 * time.Second)
	return events.ListOptions{Filters: args, Since: fmt.Sprintf("%d.%09d", since.Unix(), since.Nanosecond())}
}

func (e *Engine) catchUp(ctx context.Context) error {
	e.syncing.Lock()
	defer e.syncing.Unlock()
	if err := e.list(ctx); err != nil {
		return err
	}
	e.cache.setLive(true)
	e.signal()
	return nil
}

func (e *Engine) lookAtChanged(ctx context.Context, ids []string, look func(context.Context, string) error) error {
	for _, id := range ids {
		if err := look(ctx, id); err != nil {
			return err
		}
	}
	e.signal()
	return nil
}

// drain takes events as fast as they come, so that the engine never drops one because of us.
func (e *Engine) drain(messages <-chan events.Message, errs <-chan error, changed, claims *inbox) error {
	for {
		select {
		case m := <-messages:
			e.sort(m, changed, claims)
		case err := <-errs:
			return err
		}
	}
}

// sort puts an event where it is looked at, if it is ours. That a container was created is no news if we know it, nor that it
// was removed if we know that.
func (e *Engine) sort(m events.Message, changed, claims *inbox) {
	switch {
	case m.Type == events.VolumeEventType:
		if e.tellsOfClaim(m) {
			claims.add(m.Actor.ID)
		}
	case m.Actor.Attributes[labelInstance] != e.options.Instance: // somebody else's container
	case m.Action == events.ActionCreate && e.cache.get(m.Actor.ID) != nil,
		m.Action == events.ActionDestroy && e.cache.isGone(m.Actor.ID):
		e.signal()
	default:
		if m.Action == events.ActionOOM {
			e.cache.noteOOM(m.Actor.ID)
		}
		changed.add(m.Actor.ID)
	}
}

// inbox collects IDs, each once, in the order in which they first came.
type inbox struct {
	mu     sync.Mutex
	ids    []string
	has    map[string]bool
	signal chan struct{}
}

func newInbox() *inbox { return &inbox{has: map[string]bool{}, signal: make(chan struct{}, 1)} }

func (b *inbox) add(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.has[id] {
		b.has[id] = true
		b.ids = append(b.ids, id)
	}
	select {
	case b.signal <- struct{}{}:
	default:
	}
}

func (b *inbox) take() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	ids := b.ids
	b.ids, b.has = nil, map[string]bool{}
	return ids
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
