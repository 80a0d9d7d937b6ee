package gateway

import (
	"net/netip"
	"sync"
	"time"
)

// maxSticky bounds the clients that are remembered of one front, as the kernel's sets do.
const maxSticky = 1 << 16

// sticky remembers which backend each client of a front was led to last (affinity). The zero value is ready. What it has not
// seen is decided by hash, the same in each run of the agent.
type sticky struct {
	mu       sync.Mutex
	byClient map[netip.Addr]stuck
}

type stuck struct {
	backend netip.AddrPort
	at      time.Time
}

// first puts the client's backend before the others, if it is one of them and the time-out is not over.
func (s *sticky) first(client netip.Addr, backends []netip.AddrPort, now time.Time, timeout time.Duration) {
	s.mu.Lock()
	last, ok := s.byClient[client]
	s.mu.Unlock()
	if !ok || now.Sub(last.at) >= timeout {
		return
	}
	for i, b := range backends {
		if b == last.backend {
			copy(backends[1:i+1], backends[:i])
			backends[0] = b
			return
		}
	}
}

// remember notes where a client was led; of too many, it forgets one that came long ago.
func (s *sticky) remember(client netip.Addr, backend netip.AddrPort, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byClient == nil {
		s.byClient = map[netip.Addr]stuck{}
	}
	if _, has := s.byClient[client]; !has && len(s.byClient) >= maxSticky {
		s.makeRoom()
	}
	s.byClient[client] = stuck{backend, now}
}

// makeRoom drops the oldest of a few: a map's order is random.
func (s *sticky) makeRoom() {
	var oldest netip.Addr
	looked := 0
	for client, last := range s.byClient {
		if looked == 0 || last.at.Before(s.byClient[oldest].at) {
			oldest = client
		}
		if looked++; looked == eviction {
			break
		}
	}
	delete(s.byClient, oldest)
}
