package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/singleflight"
)

const (
	// forwardTimeout bounds an answer from outside. Resolvers in pods give up after five seconds.
	forwardTimeout = 2 * time.Second
	// nextUpstream is how long one upstream has before the next is asked as well.
	nextUpstream = 600 * time.Millisecond
	// maxForwards bounds the queries under way.
	maxForwards = 512
)

// errUpstream is an upstream's answer that is no answer.
var errUpstream = errors.New("upstream refused")

// forwarder resolves names outside the cluster.
type forwarder struct {
	// fallbacks are asked while nobody listens at any of the upstreams.
	upstreams, fallbacks []string

	cache   *cache
	flights singleflight.Group
	slots   chan struct{}
}

func newForwarder(upstreams []string) *forwarder {
	return &forwarder{upstreams: upstreams, cache: newCache(), slots: make(chan struct{}, maxForwards)}
}

// forwarderOf asks the name servers that the options name.
func forwarderOf(opts AgentOptions) (*forwarder, error) {
	upstreams, err := resolveUpstreams(opts.Upstreams, opts.GatewayIP)
	if err != nil {
		return nil, err
	}
	f := newForwarder(upstreams)
	if len(opts.Fallbacks) > 0 {
		f.fallbacks, err = resolveUpstreams(opts.Fallbacks, opts.GatewayIP)
	}
	return f, err
}

// resolveUpstreams returns "IP:port" for each server, or those of /etc/resolv.conf, which in a container are the
// engine's and lead to the host's. The gateway itself is left out: it would ask itself for ever.
func resolveUpstreams(servers []string, self netip.Addr) ([]string, error) {
	if len(servers) == 0 {
		if config, err := dns.ClientConfigFromFile("/etc/resolv.conf"); err == nil {
			servers = config.Servers
		}
	}
	var upstreams []string
	for _, server := range servers {
		address, err := netip.ParseAddrPort(server)
		if err != nil {
			ip, ipErr := netip.ParseAddr(server)
			if ipErr != nil {
				return nil, fmt.Errorf("name server %q is no address: %w", server, ipErr)
			}
			address = netip.AddrPortFrom(ip, dnsPort)
		}
		if address.Addr() != self {
			upstreams = append(upstreams, net.JoinHostPort(address.Addr().String(), strconv.Itoa(int(address.Port()))))
		}
	}
	return upstreams, nil
}

// resolve answers from the cache or from the first upstream that knows. When none does within two seconds, it answers with
// what was known last, or else with SERVFAIL.
func (f *forwarder) resolve(ctx context.Context, query *dns.Msg) *dns.Msg {
	key := cacheKey(query)
	if answer := f.cache.get(key, time.Now()); answer != nil {
		return reply(query, answer)
	}
	// Those who ask for the same wait for one answer.
	result, _, _ := f.flights.Do(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(ctx, forwardTimeout)
		defer cancel()
		answer, err := f.exchange(ctx, outgoing(query))
		if err != nil {
			if last := f.cache.stale(key, time.Now()); last != nil {
				return last, nil
			}
			answer = new(dns.Msg).SetRcode(query, dns.RcodeServerFailure)
		}
		f.cache.put(key, answer, time.Now())
		return answer, nil
	})
	return reply(query, result.(*dns.Msg))
}

// outgoing is the query as we ask it: with room for a long answer, and wanting signatures if the client does.
func outgoing(query *dns.Msg) *dns.Msg {
	out := new(dns.Msg)
	out.Id, out.RecursionDesired = dns.Id(), true
	out.CheckingDisabled, out.AuthenticatedData = query.CheckingDisabled, query.AuthenticatedData
	out.Question = query.Question[:1:1]
	asked := query.IsEdns0()
	return out.SetEdns0(maxUDP, asked != nil && asked.Do())
}

// reply makes an answer fit the query of one client, down to how it spells the name: some compare it as a token (0x20).
// EDNS is between neighbours and not passed on.
func reply(query, answer *dns.Msg) *dns.Msg {
	out := answer.Copy()
	out.Id, out.Response, out.RecursionDesired = query.Id, true, query.RecursionDesired
	out.RecursionAvailable, out.Authoritative = true, false
	out.Question = append([]dns.Question(nil), query.Question...)
	for _, rr := range out.Answer {
		if h := rr.Header(); strings.EqualFold(h.Name, query.Question[0].Name) {
			h.Name = query.Question[0].Name
		}
	}
	out.Extra = nil
	for _, rr := range answer.Extra {
		if rr.Header().Rrtype != dns.TypeOPT {
			out.Extra = append(out.Extra, dns.Copy(rr))
		}
	}
	return out
}

// exchange asks the upstreams or, if they are not there, the fallbacks. An upstream that is slow, or says that it failed, is there:
// the fallbacks may not know what it does.
func (f *forwarder) exchange(ctx context.Context, query *dns.Msg) (*dns.Msg, error) {
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	answer, err := askAll(ctx, query, f.upstreams)
	if errors.Is(err, syscall.ECONNREFUSED) && len(f.fallbacks) > 0 {
		return askAll(ctx, query, f.fallbacks)
	}
	return answer, err
}

// askAll asks the servers one after the other, the next one earlier than the last has failed, and at least twice in all, since
// datagrams get lost. The first answer wins. The error is ECONNREFUSED if nobody listens at any of them.
func askAll(ctx context.Context, query *dns.Msg, attempts []string) (*dns.Msg, error) {
	if len(attempts) == 1 {
		attempts = []string{attempts[0], attempts[0]}
	}
	answers := make(chan attempt, len(attempts))
	next, started, failed, absent := time.NewTimer(0), 0, 0, 0
	defer next.Stop()
	for failed < len(attempts) {
		select {
		case <-next.C:
			go func(server string) { answers <- ask(ctx, query, server) }(attempts[started])
			if started++; started < len(attempts) {
				next.Reset(nextUpstream)
			}
		case a := <-answers:
			if a.err == nil {
				return a.answer, nil
			}
			if errors.Is(a.err, syscall.ECONNREFUSED) {
				absent++
			}
			if failed++; started < len(attempts) {
				next.Reset(0)
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if absent > 0 && absent == failed {
		return nil, syscall.ECONNREFUSED
	}
	return nil, errUpstream
}

// attempt is what came of asking one upstream.
type attempt struct {
	answer *dns.Msg
	err    error
}

// ask asks one upstream, by TCP if the answer does not fit a datagram.
func ask(ctx context.Context, query *dns.Msg, server string) attempt {
	answer, err := exchangeBy(ctx, "udp", query, server)
	if err == nil && answer.Truncated {
		answer, err = exchangeBy(ctx, "tcp", query, server)
	}
	if err == nil && answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError {
		err = errUpstream
	}
	return attempt{answer, err}
}

func exchangeBy(ctx context.Context, network string, query *dns.Msg, server string) (*dns.Msg, error) {
	client := &dns.Client{Net: network, Timeout: forwardTimeout, UDPSize: dns.DefaultMsgSize}
	answer, _, err := client.ExchangeContext(ctx, query, server)
	if err == nil && !answers(answer, query.Question[0]) {
		err = errUpstream
	}
	return answer, err
}

// answers tells whether a message is an answer to the question: a stray or forged one may have its ID.
func answers(m *dns.Msg, q dns.Question) bool {
	return m.Response && len(m.Question) == 1 && strings.EqualFold(m.Question[0].Name, q.Name) &&
		m.Question[0].Qtype == q.Qtype && m.Question[0].Qclass == q.Qclass
}
