package docker

import (
	"maps"
	"net/netip"
	"sync"
)

// addresses gives pods their addresses: round and round, so that an address is used again as late as possible.
type addresses struct {
	mu       sync.Mutex
	last     netip.Addr
	reserved map[string]bool
	// foreign are those of publications that somebody else in the network turned out to have.
	foreign map[netip.Addr]bool
}

// reserveAddress picks an address that no sandbox has and no other creation is about to use. It is kept until released,
// by which time the sandbox that got it is in the cache.
func (e *Engine) reserveAddress(r ranges) (netip.Addr, error) {
	used, newest := e.cache.addresses()
	a := &e.addresses
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.last.IsValid() {
		a.last = newest
	}
	start := r.nextPod(a.last)
	for candidate := start; ; {
		if text := candidate.String(); !used[text] && !a.reserved[text] {
			a.last, a.reserved[text] = candidate, true
			return candidate, nil
		}
		if candidate = r.nextPod(candidate); candidate == start {
			return netip.Addr{}, errNoAddress
		}
	}
}

// avoidAddress remembers that somebody else in the network has an address.
func (e *Engine) avoidAddress(address netip.Addr) {
	e.addresses.mu.Lock()
	defer e.addresses.mu.Unlock()
	e.addresses.foreign[address] = true
}

// avoided returns a copy.
func (e *Engine) avoided() map[netip.Addr]bool {
	e.addresses.mu.Lock()
	defer e.addresses.mu.Unlock()
	return maps.Clone(e.addresses.foreign)
}

func (e *Engine) releaseAddress(address netip.Addr) {
	e.addresses.mu.Lock()
	defer e.addresses.mu.Unlock()
	delete(e.addresses.reserved, address.String())
}
