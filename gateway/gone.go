package gateway

import (
	"context"
	"net/netip"
	"time"
)

// A pod that is gone resets nothing: a connection to it would hang until it times out. So would a new one from a port that a
// client used for an old one just before, since the kernel takes both for the same, and leads the new one to where the old one
// went. The daemon therefore says when a pod is gone, and connections to it are ended.

const (
	// gather is how long an address waits for others: pods go together, and a look at the kernel's table of connections costs
	// the same for all.
	gather = 50 * time.Millisecond
	// maxGone bounds the addresses that wait.
	maxGone = 4096
)

// disconnect ends the connections to addresses that are gone, until ctx ends.
func (a *agent) disconnect(ctx context.Context) {
	for {
		gone := map[netip.Addr]bool{}
		select {
		case ip := <-a.gone:
			gone[ip] = true
		case <-ctx.Done():
			return
		}
		sleep(ctx, gather)
		for len(a.gone) > 0 {
			gone[<-a.gone] = true
		}
		a.balancer.disconnect(gone)
	}
}

// noteGone queues an address; where too many wait, its connections time out.
func (a *agent) noteGone(ip netip.Addr) {
	select {
	case a.gone <- ip:
	default:
	}
}
