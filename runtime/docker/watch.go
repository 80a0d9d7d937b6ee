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
	changed := newInbox()
	messages, errs := e.cli.Events(ctx, e.subscription())
	ended := make(chan error, 1)
	go func() { ended <- e.drain(messages, errs, changed) }()
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
			if err := e.lookAtChanged(ctx, changed.take()); err != nil {
				return err
			}
		}
	}
}

// subscription asks for what changes a container of ours. Old engines open the stream a moment before they subscribe;
// what happened in between is told because of Since.
func (e *Engine) subscription() events.ListOptions {
	args := filters.NewArgs(filters.Arg("type", "container"), filters.Arg("label", labelInstance+"="+e.options.Instance))
	for _, action := range []events.Action{
		events.ActionCreate, events.ActionStart, events.ActionDie, events.ActionDestroy,
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

func (e *Engine) lookAtChanged(ctx context.Context, ids []string) error {
	for _, id := range ids {
		if err := e.look(ctx, id); err != nil {
			return err
		}
	}
	e.signal()
	return nil
}

// drain takes events as fast as they come, so that the engine never drops one because of us. That something was created
// is no news if we know it.
func (e *Engine) drain(messages <-chan events.Message, errs <-chan error, changed *inbox) error {
	for {
		select {
		case m := <-messages:
			if m.Action != events.ActionCreate || e.cache.get(m.Actor.ID) == nil {
				changed.add(m.Actor.ID)
			} else {
				e.signal()
			}
		case err := <-errs:
			return err
		}
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
