package gateway

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// proxy balances in this process, where the kernel cannot. It listens on a front only while there are backends, so that
// connections are refused otherwise. Backends see the gateway as the client.
type proxy struct {
	ctx    context.Context
	cancel context.CancelFunc
	log    *slog.Logger
	fronts map[front]*listener

	mu sync.Mutex
	// open are the TCP connections to backends.
	open map[*net.TCPConn]bool
}

// listener is one front at work. Its rule may be replaced while connections go on.
type listener struct {
	rule   atomic.Pointer[rule]
	sticky sticky
	// changed is called after the rule was replaced, stop when the front is gone. Neither touches TCP connections that
	// exist.
	changed func()
	stop    func()
}

// newProxy returns a proxy whose connections end with ctx.
func newProxy(ctx context.Context, log *slog.Logger) *proxy {
	ctx, cancel := context.WithCancel(ctx)
	return &proxy{ctx: ctx, cancel: cancel, log: log, fronts: map[front]*listener{}, open: map[*net.TCPConn]bool{}}
}

// apply starts, changes and stops listeners. One that cannot start is an error, after all others were served.
func (p *proxy) apply(_ context.Context, rules []rule) error {
	wanted := map[front]bool{}
	for _, r := range rules {
		wanted[r.front] = len(r.backends) > 0
	}
	for f, l := range p.fronts {
		if !wanted[f] {
			l.stop()
			delete(p.fronts, f)
		}
	}
	var errs []error
	for _, r := range rules {
		if wanted[r.front] {
			errs = append(errs, p.serve(r))
		}
	}
	return errors.Join(errs...)
}

// serve makes a listener follow the rule, a new one if need be.
func (p *proxy) serve(r rule) error {
	if l, ok := p.fronts[r.front]; ok {
		l.rule.Store(&r)
		l.changed()
		return nil
	}
	l := &listener{}
	l.rule.Store(&r)
	listen := p.listenTCP
	if r.front.proto == udp {
		listen = p.listenUDP
	}
	if err := listen(l, r.front); err != nil {
		return fmt.Errorf("listen on %s: %w", r.front, err)
	}
	p.fronts[r.front] = l
	return nil
}

// close ends all listeners and connections.
func (p *proxy) close() {
	p.cancel()
	for _, l := range p.fronts {
		l.stop()
	}
}

// backends returns those of a client in the order in which they are tried.
func (l *listener) backends(client netip.AddrPort) []netip.AddrPort {
	r := l.rule.Load()
	list := r.ranked(client)
	if r.affinity > 0 {
		l.sticky.first(client.Addr(), list, time.Now(), r.affinity)
	}
	return list
}

// chosen notes where a client was led.
func (l *listener) chosen(client netip.AddrPort, backend netip.AddrPort) {
	if r := l.rule.Load(); r.affinity > 0 {
		l.sticky.remember(client.Addr(), backend, time.Now())
	}
}

// ranked returns the backends in the order in which a client tries them: by the highest hash of client and backend, so
// that the loss of a backend moves only its own clients. With affinity the client's port does not count.
func (r *rule) ranked(client netip.AddrPort) []netip.AddrPort {
	if r.affinity > 0 {
		client = netip.AddrPortFrom(client.Addr(), 0)
	}
	ranked := slices.Clone(r.backends)
	slices.SortFunc(ranked, func(a, b netip.AddrPort) int { return bytes.Compare(score(client, b), score(client, a)) })
	return ranked
}

// score is the hash of client and backend.
func score(client, backend netip.AddrPort) []byte {
	h := fnv.New64a()
	for _, a := range []netip.AddrPort{client, backend} {
		h.Write(a.Addr().AsSlice())
		h.Write(binary.BigEndian.AppendUint16(nil, a.Port()))
	}
	// FNV's last bytes hardly reach the high bits: mix them (the finalizer of MurmurHash3).
	x := h.Sum64()
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return binary.BigEndian.AppendUint64(nil, x^x>>33)
}
