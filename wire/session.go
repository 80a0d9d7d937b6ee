package wire

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
)

// ErrClosed is returned by calls on a session whose stream has ended. The caller attaches again.
var ErrClosed = errors.New("the agent went away")

// Answer is an agent's answer to a request.
type Answer interface {
	// Request is the id of the request, Failure what went wrong with it; empty if nothing did.
	Request() string
	Failure() string
}

// Session is the daemon's end of the protocol, over one attachment to an agent. It is safe for concurrent use.
type Session[A Answer] struct {
	stream io.ReadWriteCloser
	// name makes ids unique among daemons.
	name string

	// writing serializes lines.
	writing sync.Mutex

	mu      sync.Mutex
	last    int
	waiting map[string]chan A
	err     error
	done    chan struct{}
}

// NewSession begins to talk over stream, which it owns from then on. stream carries the agent's standard input and,
// demultiplexed, its standard output.
func NewSession[A Answer](stream io.ReadWriteCloser) *Session[A] {
	s := &Session[A]{stream: stream, name: rand.Text()[:10], waiting: map[string]chan A{}, done: make(chan struct{})}
	go s.receive()
	return s
}

// Done is closed when the stream has ended.
func (s *Session[A]) Done() <-chan struct{} { return s.done }

// Err says why the stream ended; nil before it has.
func (s *Session[A]) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close detaches. The agent goes on serving.
func (s *Session[A]) Close() error { return s.stream.Close() }

// Call sends the request that is made with a new id, and waits for its answer. One that tells of a failure is an error.
func (s *Session[A]) Call(ctx context.Context, request func(id string) any) (A, error) {
	var none A
	id, answer := s.expect()
	defer s.forget(id)
	line, err := Encode(request(id))
	if err != nil {
		return none, fmt.Errorf("encode request: %w", err)
	}
	// A stream that nobody reads would block the write for ever, so it has a goroutine that need not be waited for. The empty
	// line ends whatever an earlier daemon left unfinished.
	wrote := make(chan error, 1)
	go func() { wrote <- s.write(append([]byte("\n"), line...)) }()
	for {
		select {
		case err := <-wrote:
			if err != nil {
				return none, errors.Join(ErrClosed, err)
			}
			wrote = nil
		case a := <-answer:
			if failure := a.Failure(); failure != "" {
				return none, errors.New(failure)
			}
			return a, nil
		case <-s.done:
			return none, s.Err()
		case <-ctx.Done():
			return none, ctx.Err()
		}
	}
}

// expect registers a new request.
func (s *Session[A]) expect() (id string, answer chan A) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	id = s.name + "-" + strconv.Itoa(s.last)
	answer = make(chan A, 1)
	s.waiting[id] = answer
	return id, answer
}

func (s *Session[A]) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, id)
}

func (s *Session[A]) write(line []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	_, err := s.stream.Write(line)
	return err
}

// receive hands answers to who waits for them until the stream ends.
func (s *Session[A]) receive() {
	lines := newLineReader(s.stream, MaxLine)
	for {
		line, err := lines.next()
		if err != nil {
			s.end(err)
			return
		}
		if answer, err := DecodeAnswer[A](line); err == nil {
			s.deliver(answer)
		}
	}
}

// DecodeAnswer reads one line.
func DecodeAnswer[A Answer](line []byte) (A, error) {
	var answer A
	if err := json.Unmarshal(line, &answer); err != nil {
		return answer, fmt.Errorf("%w: %w", ErrNoMessage, err)
	}
	if answer.Request() == "" {
		return answer, fmt.Errorf("%w: need an id", ErrNoMessage)
	}
	return answer, nil
}

func (s *Session[A]) deliver(answer A) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if waiting, ok := s.waiting[answer.Request()]; ok {
		delete(s.waiting, answer.Request())
		waiting <- answer
	}
}

// end marks the session as closed, for good.
func (s *Session[A]) end(err error) {
	s.mu.Lock()
	s.err = fmt.Errorf("%w: %w", ErrClosed, err)
	s.mu.Unlock()
	close(s.done)
	s.stream.Close()
}
