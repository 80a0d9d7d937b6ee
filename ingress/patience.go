package ingress

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// errPatience: the backend took longer than it may.
var errPatience = errors.New("the backend took too long")

// patience ends a request whose backend does not begin its answer in time, counted from the end of the request, or pauses within
// it for longer than the Ingress says.
type patience struct {
	options
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	timer *time.Timer
	done  bool
}

func newPatience(o options, cancel context.CancelCauseFunc) *patience {
	return &patience{options: o, cancel: cancel}
}

// watch returns the body to send. It is limited in size, and the time begins to run at its end.
func (p *patience) watch(w http.ResponseWriter, r *http.Request) io.ReadCloser {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		p.wait(p.readTimeout)
		return r.Body
	}
	body := r.Body
	if p.bodySize > 0 {
		body = http.MaxBytesReader(w, body, p.bodySize)
	}
	return &requestBody{body, p}
}

// wait gives the backend so much time, from now on.
func (p *patience) wait(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done {
		return
	}
	if p.timer == nil {
		p.timer = time.AfterFunc(d, func() { p.cancel(errPatience) })
		return
	}
	p.timer.Reset(d)
}

// answered is called with the answer's header.
func (p *patience) answered(response *http.Response) {
	if p.patience == 0 || response.StatusCode == http.StatusSwitchingProtocols {
		p.stop()
		return
	}
	p.wait(p.patience)
	response.Body = &responseBody{response.Body, p}
}

func (p *patience) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done = true
	if p.timer != nil {
		p.timer.Stop()
	}
}

// requestBody starts the time at its end.
type requestBody struct {
	io.ReadCloser
	patience *patience
}

func (b *requestBody) Read(data []byte) (int, error) {
	n, err := b.ReadCloser.Read(data)
	if err == io.EOF {
		b.patience.wait(b.patience.readTimeout)
	}
	return n, err
}

// responseBody starts the time again with every part that comes.
type responseBody struct {
	io.ReadCloser
	patience *patience
}

func (b *responseBody) Read(data []byte) (int, error) {
	n, err := b.ReadCloser.Read(data)
	b.patience.wait(b.patience.patience)
	return n, err
}
