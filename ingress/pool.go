package ingress

import (
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// pool is the endpoints behind a backend. It outlives the routers that lead to it.
type pool struct {
	mu        sync.Mutex
	speaks    Protocol
	endpoints []*endpoint
	// affinity is how long a client stays with its endpoint; 0 for no affinity.
	affinity time.Duration
	sticky   map[netip.Addr]visit
	// swept is when forget was called last: it costs much.
	swept time.Time
}

// endpoint is one address that requests go to.
type endpoint struct {
	address string
	// active counts requests under way.
	active atomic.Int64
	// unanswered counts those that it has not begun to answer: they may not have reached it yet.
	unanswered atomic.Int64
	// avoid is until when others are preferred, in Unix nanoseconds: it did not take a connection.
	avoid atomic.Int64
}

// visit is which endpoint a client used last, and when.
type visit struct {
	endpoint *endpoint
	at       time.Time
}

const (
	// avoidance is how long an endpoint that did not take a connection is the last choice.
	avoidance = 2 * time.Second
	// maxSticky bounds the clients that are remembered by a pool. Those beyond it still find their endpoint by their hash.
	maxSticky = 1 << 16
)

func newPool() *pool { return &pool{sticky: map[netip.Addr]visit{}} }

// set takes over the endpoints of a new Config, and returns those that are gone. Those that stay keep their counts and their
// clients.
func (p *pool) set(b Backend) (gone []*endpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.speaks = b.Protocol
	p.affinity = time.Duration(b.AffinitySeconds) * time.Second
	before := map[string]*endpoint{}
	for _, e := range p.endpoints {
		before[e.address] = e
	}
	p.endpoints = nil
	for _, address := range b.Endpoints {
		e := before[address]
		if e == nil {
			e = &endpoint{address: address}
		}
		delete(before, address)
		p.endpoints = append(p.endpoints, e)
	}
	for client, v := range p.sticky {
		if p.affinity == 0 || !slices.Contains(p.endpoints, v.endpoint) {
			delete(p.sticky, client)
		}
	}
	return slices.Collect(maps.Values(before))
}

// protocol is what the Service says; empty if it says nothing.
func (p *pool) protocol() Protocol {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.speaks
}

// size is the number of endpoints.
func (p *pool) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.endpoints)
}

// pick chooses the endpoint for a request: the client's own with affinity, else the one of two at random that has less to do.
// What was tried already comes last, and before it what did not take connections of late. It is nil if there is none. The request
// counts at the endpoint from now on.
func (p *pool) pick(client netip.Addr, tried []*endpoint, now time.Time) *endpoint {
	p.mu.Lock()
	defer p.mu.Unlock()
	candidates := preferred(p.endpoints, tried, now)
	if len(candidates) == 0 {
		return nil
	}
	chosen := lessBusy(candidates)
	if p.affinity > 0 {
		chosen = p.stick(client, candidates, now)
	}
	chosen.active.Add(1)
	chosen.unanswered.Add(1)
	return chosen
}

// preferred narrows the endpoints down while any is left.
func preferred(endpoints, tried []*endpoint, now time.Time) []*endpoint {
	avoided := func(e *endpoint) bool { return e.avoid.Load() > now.UnixNano() }
	if len(tried) == 0 && !slices.ContainsFunc(endpoints, avoided) {
		return endpoints
	}
	fresh := slices.DeleteFunc(slices.Clone(endpoints), func(e *endpoint) bool { return slices.Contains(tried, e) })
	if len(fresh) == 0 {
		fresh = endpoints
	}
	healthy := slices.DeleteFunc(slices.Clone(fresh), avoided)
	if len(healthy) == 0 {
		return fresh
	}
	return healthy
}

// lessBusy is the power of two choices: nearly as even as the least busy of all, and no herd.
func lessBusy(candidates []*endpoint) *endpoint {
	a := rand.IntN(len(candidates))
	if len(candidates) == 1 {
		return candidates[a]
	}
	b := rand.IntN(len(candidates) - 1)
	if b >= a {
		b++
	}
	if candidates[b].active.Load() < candidates[a].active.Load() {
		return candidates[b]
	}
	return candidates[a]
}

// stick returns the endpoint that the client used last, as long as it may be used and the time-out is not over. A new client's
// is found by its hash, so that an agent that knows nothing of it chooses as the one before did.
func (p *pool) stick(client netip.Addr, candidates []*endpoint, now time.Time) *endpoint {
	v, known := p.sticky[client]
	if !known || now.Sub(v.at) > p.affinity || !slices.Contains(candidates, v.endpoint) {
		v.endpoint = byHash(client, candidates)
	}
	if len(p.sticky) >= maxSticky && now.Sub(p.swept) > time.Second {
		p.forget(now)
	}
	if known || len(p.sticky) < maxSticky {
		v.at = now
		p.sticky[client] = v
	}
	return v.endpoint
}

// forget drops the clients whose time is over.
func (p *pool) forget(now time.Time) {
	p.swept = now
	for client, v := range p.sticky {
		if now.Sub(v.at) > p.affinity {
			delete(p.sticky, client)
		}
	}
}

// byHash is rendezvous hashing: of n endpoints, one more or less moves one client in n. FNV-1a, since it must be the same in
// every process; its last bytes reach the high bits only by mixing (the finalizer of MurmurHash3).
func byHash(client netip.Addr, candidates []*endpoint) *endpoint {
	key := client.As16()
	best, most := candidates[0], uint64(0)
	for _, e := range candidates {
		if weight := mix(append(key[:], e.address...)); weight >= most {
			best, most = e, weight
		}
	}
	return best
}

func mix(data []byte) uint64 {
	hash := fnv.New64a()
	_, _ = hash.Write(data)
	h := hash.Sum64()
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
