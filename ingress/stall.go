package ingress

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// stallTimeout is how long a client may take to send the next part of a body, or to take the next part of an answer: that of nginx
// (client_body_timeout, send_timeout). It is a variable for the tests.
var stallTimeout = 60 * time.Second

// impatientBody is the body of an HTTP/1 request. The parts of HTTP/2 streams may be far apart, as gRPC's are.
type impatientBody struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b *impatientBody) Read(data []byte) (int, error) {
	_ = b.control.SetReadDeadline(time.Now().Add(stallTimeout))
	n, err := b.ReadCloser.Read(data)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err // the deadline stays: the server need not wait for the rest either
	}
	_ = b.control.SetReadDeadline(time.Time{}) // what the server reads next has its own
	return n, err
}

// impatientWriter is what an answer is written to. Between two parts the client is not waited for: there the deadline is lifted.
type impatientWriter struct {
	http.ResponseWriter
	control *http.ResponseController
}

// Unwrap lets http.ResponseController reach what is behind.
func (w *impatientWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *impatientWriter) Write(data []byte) (int, error) {
	defer w.limit()()
	return w.ResponseWriter.Write(data)
}

// FlushError is what http.ResponseController calls.
func (w *impatientWriter) FlushError() error {
	defer w.limit()()
	return w.control.Flush()
}

// limit sets the deadline and returns what lifts it.
func (w *impatientWriter) limit() (lift func()) {
	_ = w.control.SetWriteDeadline(time.Now().Add(stallTimeout))
	return func() { _ = w.control.SetWriteDeadline(time.Time{}) }
}
