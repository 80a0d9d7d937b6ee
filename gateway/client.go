package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"time"

	"github.com/podyard/podyard/wire"
)

// ErrClosed is returned by calls on a client whose stream has ended. The caller attaches again.
var ErrClosed = wire.ErrClosed

// Client is the daemon's end of the protocol, over one attachment to an agent. It is safe for concurrent use.
type Client struct {
	*wire.Session[response]
	hello Hello

	mu    sync.Mutex
	table Table
}

// NewClient says hello over stream, which it owns from then on, and waits for the answer until ctx ends. stream carries
// the agent's standard input and, demultiplexed, its standard output.
func NewClient(ctx context.Context, stream io.ReadWriteCloser) (*Client, error) {
	c := &Client{Session: wire.NewSession[response](stream)}
	answer, err := c.call(ctx, request{Hello: &helloRequest{}})
	if err == nil && answer.Hello == nil {
		err = errors.New("answer without a greeting")
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("greet gateway agent: %w", err)
	}
	c.hello, c.table = *answer.Hello, answer.Hello.Table
	return c, nil
}

// Hello returns what the agent said about itself when it was greeted.
func (c *Client) Hello() Hello { return c.hello }

// Table returns the table in force as far as this client knows: the last it applied, before that the agent's.
func (c *Client) Table() Table {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.table
}

// Apply replaces the table and returns when the new one is in force. A table without a domain has the default one.
func (c *Client) Apply(ctx context.Context, table Table) error {
	table.Domain = cmp.Or(table.Domain, DefaultDomain)
	if _, err := c.call(ctx, request{Apply: &table}); err != nil {
		return fmt.Errorf("apply table to gateway: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.table = table
	return nil
}

// probeGrace is how much longer than the probe's own time-out an answer may take to arrive.
const probeGrace = 5 * time.Second

// Probe asks once, from the gateway's network namespace. err speaks of the asking itself, not of what was probed.
func (c *Client) Probe(ctx context.Context, probe ProbeRequest) (ok bool, message string, err error) {
	ctx, cancel := context.WithTimeout(ctx, probe.timeout()+probeGrace)
	defer cancel()
	answer, err := c.call(ctx, request{Probe: &probe})
	if err == nil && answer.Probe == nil {
		err = errors.New("answer without a result")
	}
	if err != nil {
		return false, "", fmt.Errorf("probe by gateway: %w", err)
	}
	return answer.Probe.OK, answer.Probe.Message, nil
}

// Gone has the connections to a pod end that is gone: clients are reset where they would wait in vain.
func (c *Client) Gone(ctx context.Context, ip netip.Addr) error {
	if _, err := c.call(ctx, request{Gone: &ip}); err != nil {
		return fmt.Errorf("tell the gateway that %s is gone: %w", ip, err)
	}
	return nil
}

// call sends a request and waits for its response.
func (c *Client) call(ctx context.Context, r request) (response, error) {
	return c.Call(ctx, func(id string) any {
		r.ID = id
		return r
	})
}
