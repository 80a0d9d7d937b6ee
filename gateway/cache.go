package gateway

import (
	"strconv"
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
	// staleFor is how long after its end an answer is still given where no upstream answers (RFC 8767), as by CoreDNS's
	// serve_stale. The upstreams are asked again after staleRetry.
	staleFor   = time.Hour
	staleRetry = 5 * time.Second
	// eviction is how many entries of a full cache are looked at for one that may go.
	eviction = 8
)

// cache keeps answers from outside for as long as they allow, up to maxTTL.
type cache struct {
	mu      sync.Mutex
	entries map[string]cached
}

type cached struct {
	answer *dns.Msg
	// stored is when the answer came, expiry when it may not be given any more without asking, end when not at all.
	stored, expiry, end time.Time
}

func newCache() *cache { return &cache{entries: map[string]cached{}} }

// cacheKey holds what an answer depends on.
func cacheKey(query *dns.Msg) string {
	q := query.Question[0]
	asked := query.IsEdns0()
	key := append([]byte(strings.ToLower(q.Name)), byte(q.Qtype>>8), byte(q.Qtype))
	for _, flag := range []bool{query.CheckingDisabled, query.AuthenticatedData, asked != nil && asked.Do()} {
		key = strconv.AppendBool(key, flag)
	}
	return string(key)
}

// get returns a copy with the remaining TTLs, or nil.
func (c *cache) get(key string, now time.Time) *dns.Msg {
	c.mu.Lock()
	entry, ok := c.entries[key]
	c.mu.Unlock()
	if !ok || !now.Before(entry.expiry) {
		return nil
	}
	return entry.aged(now)
}

// aged is a copy of the answer with what is left of its TTLs.
func (c cached) aged(now time.Time) *dns.Msg {
	answer := c.answer.Copy()
	age := uint32(now.Sub(c.stored) / time.Second)
	eachTTL(answer, func(ttl uint32) uint32 { return min(ttl, maxTTL) - min(ttl, maxTTL, age) })
	return answer
}

// stale returns an answer whose time is over, with TTLs of 0, or nil. get returns it as well until staleRetry is over.
func (c *cache) stale(key string, now time.Time) *dns.Msg {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry, ok := c.entries[key]
	if !ok || !now.Before(entry.end) {
		return nil
	}
	entry.expiry = now.Add(staleRetry)
	c.entries[key] = entry
	return entry.aged(now)
}

// put keeps an answer. A full cache loses the one of a few others that expires first.
func (c *cache) put(key string, answer *dns.Msg, now time.Time) {
	lifetime := time.Duration(lifetime(answer)) * time.Second
	if lifetime == 0 || answer.Truncated {
		return
	}
	expiry := now.Add(lifetime)
	end := expiry
	if answer.Rcode != dns.RcodeServerFailure {
		end = end.Add(staleFor)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, has := c.entries[key]; !has && len(c.entries) >= cacheSize {
		c.evict()
	}
	c.entries[key] = cached{answer.Copy(), now, expiry, end}
}

// evict removes the one that expires first of a few: a map's order is random.
func (c *cache) evict() {
	first, looked := "", 0
	for key, entry := range c.entries {
		if looked == 0 || entry.expiry.Before(c.entries[first].expiry) {
			first = key
		}
		if looked++; looked == eviction {
			break
		}
	}
	delete(c.entries, first)
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
