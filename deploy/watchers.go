package deploy

import (
	"context"
	"sync"
)

// watchers are told, coalesced, that something changed.
type watchers struct {
	mu   sync.Mutex
	list map[chan struct{}]bool
}

func (w *watchers) signal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.list {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// add returns a channel that is closed when ctx ends.
func (w *watchers) add(ctx context.Context) <-chan struct{} {
	c := make(chan struct{}, 1)
	w.mu.Lock()
	if w.list == nil {
		w.list = map[chan struct{}]bool{}
	}
	w.list[c] = true
	w.mu.Unlock()
	context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.list, c)
		close(c)
	})
	return c
}
