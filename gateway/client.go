package gateway

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// ErrClosed is returned by calls on a client whose stream has ended. The caller attaches again.
var ErrClosed = errors.New("gateway agent went away")

// Client is the daemon's end of the protocol, over one attachment to an agent. It is safe for concurrent use.
type Client struct {
	stream io.ReadWriteCloser
	// session makes ids unique among daemons.
	session string
	hello   Hello

	// writing serializes lines.
	writing sync.Mutex

	mu      sync.Mutex
	last    int
	waiting map[string]chan response
	table   Table
	err     error
	done    chan struct{}
}

// NewClient says hello over stream, which it owns from then on, and waits for the answer until ctx ends. stream carries
// the agent's standard input and, demultiplexed, its standard output.
func NewClient(ctx context.Context, stream io.ReadWriteCloser) (*Client, error) {
	c := &Client{
		stream:  stream,
		session: rand.Text()[:10],
		waiting: map[string]chan response{},
		done:    make(chan struct{}),
	}
	go c.receive()
	// The empty line ends whatever an earlier daemon left unfinished.
	answer, err := c.call(ctx, request{Hello: &helloRequest{}}, "\n")
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
	if _, err := c.call(ctx, request{Apply: &table}, ""); err != nil {
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
	answer, err := c.call(ctx, request{Probe: &probe}, "")
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
	if _, err := c.call(ctx, request{Gone: &ip}, ""); err != nil {
		return fmt.Errorf("tell the gateway that %s is gone: %w", ip, err)
	}
	return nil
}

// Done is closed when the stream has ended.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err says why the stream ended; nil before it has.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close detaches. The agent goes on serving.
func (c *Client) Close() error { return c.stream.Close() }

// call sends a request, after prefix, and waits for its response.
func (c *Client) call(ctx context.Context, r request, prefix string) (response, error) {
	id, answer := c.expect()
	defer c.forget(id)
	r.ID = id
	line, err := encode(r)
	if err != nil {
		return response{}, fmt.Errorf("encode request: %w", err)
	}
	// A stream that nobody reads would block the write for ever, so it has a goroutine that need not be waited for.
	wrote := make(chan error, 1)
	go func() { wrote <- c.write(append([]byte(prefix), line...)) }()
	for {
		select {
		case err := <-wrote:
			if err != nil {
				return response{}, errors.Join(ErrClosed, err)
			}
			wrote = nil
		case a := <-answer:
			if a.Error != "" {
				return response{}, errors.New(a.Error)
			}
			return a, nil
		case <-c.done:
			return response{}, c.Err()
		case <-ctx.Done():
			return response{}, ctx.Err()
		}
	}
}

// expect registers a new request.
func (c *Client) expect() (id string, answer chan response) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	id = c.session + "-" + strconv.Itoa(c.last)
	answer = make(chan response, 1)
	c.waiting[id] = answer
	return id, answer
}

func (c *Client) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, id)
}

func (c *Client) write(line []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	_, err := c.stream.Write(line)
	return err
}

// receive hands responses to who waits for them until the stream ends.
func (c *Client) receive() {
	lines := newLineReader(c.stream, maxLine)
	for {
		line, err := lines.next()
		if err != nil {
			c.end(err)
			return
		}
		if r, err := decodeResponse(line); err == nil {
			c.deliver(r)
		}
	}
}

func (c *Client) deliver(r response) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if answer, ok := c.waiting[r.ID]; ok {
		delete(c.waiting, r.ID)
		answer <- r
	}
}

// end marks the client as closed, for good.
func (c *Client) end(err error) {
	c.mu.Lock()
	c.err = fmt.Errorf("%w: %w", ErrClosed, err)
	c.mu.Unlock()
	close(c.done)
	c.stream.Close()
}
