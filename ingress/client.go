package ingress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/podyard/podyard/wire"
)

// Client is the daemon's end of the protocol, over one attachment to an agent. It is safe for concurrent use.
type Client struct {
	*wire.Session[response]

	mu    sync.Mutex
	hello Hello
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
		return nil, fmt.Errorf("greet ingress agent: %w", err)
	}
	c.hello = *answer.Hello
	return c, nil
}

// Hello returns what the agent said when it was greeted, with the Config that was applied since.
func (c *Client) Hello() Hello {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hello
}

// Apply replaces the Config and returns when the new one is in force.
func (c *Client) Apply(ctx context.Context, config Config) error {
	if _, err := c.call(ctx, request{Apply: &config}); err != nil {
		return fmt.Errorf("apply Ingresses: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hello.Digest, c.hello.Ingresses = config.Digest(), config.Ingresses
	return nil
}

// Certificates tell how those fare that are obtained automatically, sorted by host.
func (c *Client) Certificates(ctx context.Context) ([]CertificateState, error) {
	answer, err := c.call(ctx, request{Certificates: &certificatesRequest{}})
	if err != nil {
		return nil, fmt.Errorf("ask for certificates: %w", err)
	}
	return answer.Certificates, nil
}

// call sends a request and waits for its response.
func (c *Client) call(ctx context.Context, r request) (response, error) {
	return c.Call(ctx, func(id string) any {
		r.ID = id
		return r
	})
}
