package docker

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
)

// greeting is how long an agent may take to answer the first message before it is restarted.
const greeting = 5 * time.Second

// agentClient is the daemon's end of an agent's protocol: a pointer, of which nil is none.
type agentClient interface {
	comparable
	// Done is closed when the stream has ended; Err says why.
	Done() <-chan struct{}
	Err() error
	Close() error
}

// agentLink is the connection to an agent. One goroutine keeps it up, from supervise to leave.
type agentLink[C agentClient] struct {
	// mending keeps it to one repair of the agent's containers at a time.
	mending sync.Mutex
	// kick wakes the supervisor when one of those containers changed.
	kick chan struct{}

	mu     sync.Mutex
	agent  string
	client C
	// changed is closed, and replaced, when client changes.
	changed chan struct{}
	// noted is called with a new client while mu is held; it may be nil.
	noted func(C)
	// stop ends the supervisor; ended is closed when it has.
	stop  context.CancelFunc
	ended chan struct{}
	// err is why there is no client.
	err error
}

// keeper is what a supervisor needs to know of its agent.
type keeper[C agentClient] struct {
	// what the agent is part of, for the log: "the gateway".
	what string
	// mend makes the containers run, and sets the agent.
	mend func(ctx context.Context, progress func(string)) error
	// greet makes a client of a stream to the agent and brings the agent up to date.
	greet func(ctx context.Context, stream io.ReadWriteCloser) (C, error)
	// attached is called when the client is in use; it may be nil.
	attached func(ctx context.Context, client C)
}

func (l *agentLink[C]) init() {
	l.changed, l.kick = make(chan struct{}), make(chan struct{}, 1)
}

// wake has the supervisor look at the containers.
func (l *agentLink[C]) wake() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// get returns the client, and waits for one while the agent is away.
func (l *agentLink[C]) get(ctx context.Context) (C, error) {
	var none C
	for {
		l.mu.Lock()
		client, changed, supervised, err := l.client, l.changed, l.stop != nil, l.err
		l.mu.Unlock()
		switch {
		case client != none:
			return client, nil
		case !supervised:
			return none, errNotEnsured
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return none, errors.Join(ctx.Err(), err)
		}
	}
}

// current is the client, or nil while the agent is away.
func (l *agentLink[C]) current() C {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.client
}

// set installs a client, or none and why.
func (l *agentLink[C]) set(client C, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.replace(client, err)
}

func (l *agentLink[C]) replace(client C, err error) {
	var none C
	l.client, l.err = client, err
	close(l.changed)
	l.changed = make(chan struct{})
	if client != none && l.noted != nil {
		l.noted(client)
	}
}

// lose drops a client that turned out to be broken, unless there is another by now. Closing it wakes the supervisor.
func (l *agentLink[C]) lose(client C, err error) {
	var none C
	client.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client == client {
		l.replace(none, err)
	}
}

func (l *agentLink[C]) setAgent(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.agent = id
}

func (l *agentLink[C]) agentID() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.agent
}

// supervise starts the supervisor, unless it runs.
func supervise[C agentClient](e *Engine, l *agentLink[C], k keeper[C]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stop != nil {
		return
	}
	ctx, stop := context.WithCancel(e.life)
	ended := make(chan struct{})
	l.stop, l.ended = stop, ended
	e.work.Go(func() {
		defer close(ended)
		keepUp(ctx, e, l, k)
	})
}

// leave stops the supervisor, so that the containers can be taken down.
func (l *agentLink[C]) leave() {
	l.mu.Lock()
	stop, ended := l.stop, l.ended
	l.mu.Unlock()
	if stop != nil {
		stop()
		<-ended
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stop = nil
}

// keepUp keeps a client attached: it mends the containers, attaches, serves until something changes, and again.
func keepUp[C agentClient](ctx context.Context, e *Engine, l *agentLink[C], k keeper[C]) {
	var none C
	wait := firstRetry
	for {
		client, err := attach(ctx, e, l, k)
		if ctx.Err() != nil {
			if err == nil {
				client.Close()
			}
			return
		}
		if err != nil {
			e.log.Warn(k.what+" does not answer", "err", err)
			l.set(none, err)
			sleep(ctx, wait)
			wait = min(2*wait, lastRetry)
			if err := k.mend(ctx, func(string) {}); err != nil && ctx.Err() == nil {
				e.log.Warn(k.what+" cannot be mended", "err", err)
			}
			continue
		}
		wait = firstRetry
		l.set(client, nil)
		if k.attached != nil {
			k.attached(ctx, client)
		}
		e.signal()
		l.serve(ctx, client, k.mend)
		l.lose(client, client.Err())
	}
}

// serve returns when the client's stream has ended, the containers could not be mended, or ctx has ended. The agent runs on
// in a dead namespace when the holder has died, hence the look at both.
func (l *agentLink[C]) serve(ctx context.Context, client C, mend func(context.Context, func(string)) error) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-client.Done():
			if ctx.Err() == nil {
				_ = mend(ctx, func(string) {}) // attach finds out
			}
			return
		case <-l.kick:
			if err := mend(ctx, func(string) {}); err != nil {
				return
			}
		}
	}
}

// attach greets the agent and brings it up to date. An agent that runs and does not answer is restarted.
func attach[C agentClient](ctx context.Context, e *Engine, l *agentLink[C], k keeper[C]) (C, error) {
	var none C
	id := l.agentID()
	attached, err := e.cli.ContainerAttach(ctx, id, container.AttachOptions{Stream: true, Stdin: true, Stdout: true})
	if err != nil {
		return none, wrap("attach to", k.what+"'s agent", err)
	}
	hello, cancel := context.WithTimeout(ctx, greeting)
	defer cancel()
	client, err := k.greet(hello, demultiplex(attached))
	if err != nil {
		if hello.Err() != nil && ctx.Err() == nil {
			_, _ = e.restart(ctx, id)
		}
		return none, err
	}
	return client, nil
}

// attachment reads the agent's standard output and writes its standard input.
type attachment struct {
	*io.PipeReader
	types.HijackedResponse
}

// demultiplex takes standard output out of the stream in which Docker sends both outputs.
func demultiplex(attached types.HijackedResponse) *attachment {
	reader, writer := io.Pipe()
	go func() {
		_, err := stdcopy.StdCopy(writer, io.Discard, attached.Reader)
		if err == nil {
			err = io.EOF
		}
		writer.CloseWithError(err)
	}()
	return &attachment{reader, attached}
}

func (a *attachment) Read(data []byte) (int, error) { return a.PipeReader.Read(data) }

func (a *attachment) Write(data []byte) (int, error) { return a.Conn.Write(data) }

// Close ends both directions.
func (a *attachment) Close() error {
	a.HijackedResponse.Close()
	return a.PipeReader.Close()
}
