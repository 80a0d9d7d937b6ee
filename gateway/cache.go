package gateway

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	// cacheSize is the number of answers kept, about 1 KiB each.
	cacheSize = 2048
	// maxTTL in seconds, so that whoever changes a record outside need not wait for us as well.
	maxTTL = 30
	// failureTTL in seconds keeps a pod that asks in a loop from asking an upstream that is away.
	failureTTL = 1
)

// cache keeps answers from outside for as long as they allow, up to maxTTL.
type cache struct {
	mu      sync.Mutex
	entries map[string]cached
}

type cached struct {
	answer         *dns.Msg
	stored, expiry time.Time
}

func newCache() *cache { return &cache{entries: map[string]cached{}} }

// cacheKey holds what an answer depends on.
func cacheKey(query *dns.Msg) string {
	q := query.Question[0]
	asked := query.IsEdns0()
	return fmt.Sprintf("%s %d %t %t", strings.ToLower(q.Name), q.Qtype, query.CheckingDisabled, asked != nil && asked.Do())
}

// get returns a copy with the remaining TTLs, or nil.
func (c *cache) get(key string, now time.Time) *dns.Msg {
	c.mu.Lock()
	entry, ok := c.entries[key]
	if ok && !now.Before(entry.expiry) {
		delete(c.entries, key)
		ok = false
	}
	c.mu.Unlock()
	if !ok {
		return nil
	}
	answer := entry.answer.Copy()
	age := uint32(now.Sub(entry.stored) / time.Second)
	eachTTL(answer, func(ttl uint32) uint32 { return min(ttl, maxTTL) - min(ttl, maxTTL, age) })
	return answer
}

// put keeps an answer. A full cache loses an arbitrary other entry.
func (c *cache) put(key string, answer *dns.Msg, now time.Time) {
	lifetime := time.Duration(lifetime(answer)) * time.Second
	if lifetime == 0 || answer.Truncated {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for other := range c.entries {
		if len(c.entries) < cacheSize {
			break
		}
		delete(c.entries, other)
	}
	c.entries[key] = cached{answer.Copy(), now, now.Add(lifetime)}
}

// lifetime in seconds: the shortest TTL there is. A denial lives as long as its SOA says (RFC 2308), and without one it
// is not kept.
func lifetime(answer *dns.Msg) uint32 {
	if answer.Rcode == dns.RcodeServerFailure {
		return failureTTL
	}
	shortest := uint32(maxTTL)
	known := len(answer.Answer) > 0
	for _, rr := range answer.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			known = true
			shortest = min(shortest, soa.Minttl)
		}
	}
	if !known {
		return 0
	}
	eachTTL(answer, func(ttl uint32) uint32 {
		shortest = min(shortest, ttl)
		return ttl
	})
	return shortest
}

// eachTTL replaces every TTL by what change says. OPT has flags in its place.
func eachTTL(m *dns.Msg, change func(uint32) uint32) {
	for _, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			if h := rr.Header(); h.Rrtype != dns.TypeOPT {
				h.Ttl = change(h.Ttl)
			}
		}
	}
}
