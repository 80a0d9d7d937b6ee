package ingress

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	// maxKept bounds, in bytes, what is kept of the body of an idempotent request, to send it again.
	maxKept = 64 << 10
	// letGo is how long a transport may take, after a failure, to let go of a body.
	letGo = 100 * time.Millisecond
)

// keptBody is a request's body that may be sent again, as long as nothing of it is lost: of an idempotent request what was read
// is kept while it is small, of others nothing.
type keptBody struct {
	source io.Reader
	// keeps is the number of bytes that may be kept.
	keeps int

	mu   sync.Mutex
	kept []byte
	// lost: something was read that is not kept.
	lost bool
	// current is the attempt that reads.
	current *sending
}

// sending is the body of one attempt. Closing it leaves the source open, which the server closes.
type sending struct {
	body *keptBody
	// at is how far it has come in what is kept.
	at     int
	once   sync.Once
	closed chan struct{}
}

// keepBody puts a body that may be sent again in the place of a request's; it is nil if the request has none.
func keepBody(request *http.Request) *keptBody {
	if request.Body == nil || request.Body == http.NoBody {
		return nil
	}
	b := &keptBody{source: request.Body}
	if isIdempotent(request.Method) {
		b.keeps = maxKept
	}
	b.again(request)
	// A transport asks for the body once more after it has found a connection stale.
	request.GetBody = func() (io.ReadCloser, error) {
		if !b.rewound() {
			return nil, errors.New("the body is gone")
		}
		return b.begin(), nil
	}
	return b
}

// again gives the request a body from the beginning.
func (b *keptBody) again(request *http.Request) {
	if b != nil {
		request.Body = b.begin()
	}
}

func (b *keptBody) begin() *sending {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.current = &sending{body: b, closed: make(chan struct{})}
	return b.current
}

// rewound tells, after a failure, whether the body can be sent from its beginning: the transport, which may read on for a moment,
// has let go of it, and nothing is lost.
func (b *keptBody) rewound() bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	current, untouched := b.current, len(b.kept) == 0 && !b.lost
	b.mu.Unlock()
	if !untouched {
		select {
		case <-current.closed:
		case <-time.After(letGo):
			return false
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.lost
}

func (s *sending) Read(data []byte) (int, error) {
	b := s.body
	b.mu.Lock()
	if s.at < len(b.kept) {
		defer b.mu.Unlock()
		n := copy(data, b.kept[s.at:])
		s.at += n
		return n, nil
	}
	b.mu.Unlock()
	n, err := b.source.Read(data)
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > 0 && (b.lost || len(b.kept)+n > b.keeps) {
		b.lost, b.kept = true, nil
	} else {
		b.kept = append(b.kept, data[:n]...)
	}
	s.at += n
	return n, err
}

// Close implements io.Closer.
func (s *sending) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}
