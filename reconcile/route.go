package reconcile

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"time"

	"github.com/podyard/podyard/runtime"
)

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
	r.noteRouted(routes)
	return nil
}

// noteRouted remembers what is in force, and when addresses ceased to be.
func (r *Reconciler) noteRouted(routes runtime.Routes) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(r.left, func(_ string, at time.Time) bool { return now.Sub(at) > settling })
	if r.routed != nil {
		stay := readyAddresses(&runtime.State{Routes: routes})
		for address := range readyAddresses(&runtime.State{Routes: *r.routed}) {
			if !stay[address] {
				r.left[address] = now
			}
		}
	}
	r.routed = &routes
}

// leftAt is when an address was taken out of the routes, if that was a moment ago.
func (r *Reconciler) leftAt(address string) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.left[address]
}
