package status

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Pace of server-sent events.
const (
	// watchPause is the least time between two events to one page, so that a busy rollout costs a few renders a second.
	watchPause = 300 * time.Millisecond
	// watchBeat is how often a silent stream says that it is alive, so that both ends notice when it is not.
	watchBeat = 25 * time.Second
)

// logError is the trailer that carries an error that came after the first byte of a log.
const logError = "Podyard-Error"

// serveLog streams a log as text/plain. An error before the first byte is JSON with its code, one after it is a trailer.
func serveLog(w http.ResponseWriter, r *http.Request, live Live) {
	request, err := logRequest(r)
	if err != nil {
		writeError(w, err)
		return
	}
	unlimited(w)
	out := &flusher{w: w, control: http.NewResponseController(w)}
	err = live.Logs(r.Context(), request, out)
	switch {
	case !out.begun && err != nil:
		writeError(w, err)
	case !out.begun:
		out.begin()
	case err != nil && r.Context().Err() == nil:
		w.Header().Set(logError, oneLine(clean(err.Error())))
	}
}

// flusher sends every write on its way at once. The first one decides that the answer is a success.
type flusher struct {
	w       http.ResponseWriter
	control *http.ResponseController
	begun   bool
}

func (f *flusher) begin() {
	f.begun = true
	f.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	f.w.Header().Set("Trailer", logError)
	f.w.WriteHeader(http.StatusOK)
}

// Write implements io.Writer.
func (f *flusher) Write(p []byte) (int, error) {
	if !f.begun {
		f.begin()
	}
	n, err := f.w.Write(p)
	if err == nil {
		err = f.control.Flush()
	}
	return n, err
}

// serveWatch sends an event named "change" whenever a snapshot would differ, until the client goes or the daemon ends.
// The first one comes at once: whoever reconnects may have missed some.
func serveWatch(w http.ResponseWriter, r *http.Request, live Live) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	changes, err := live.Watch(ctx)
	if err != nil {
		writeError(w, err)
		return
	}
	unlimited(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	beat := time.NewTicker(watchBeat)
	defer beat.Stop()
	for id := 1; ; id++ {
		if sendEvent(w, id) != nil || !sleep(ctx, watchPause) || !nextChange(ctx, w, changes, beat.C) {
			return
		}
	}
}

func sendEvent(w http.ResponseWriter, id int) error {
	if _, err := fmt.Fprintf(w, "id: %d\nevent: change\ndata: {}\n\n", id); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}

// nextChange waits for a change, with a comment line at every beat. It reports false when the stream is over.
func nextChange(ctx context.Context, w http.ResponseWriter, changes <-chan struct{}, beat <-chan time.Time) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case _, open := <-changes:
			return open
		case <-beat:
			if _, err := io.WriteString(w, ": still here\n\n"); err != nil {
				return false
			}
			if http.NewResponseController(w).Flush() != nil {
				return false
			}
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// unlimited lifts the server's write timeout, which is meant for pages, from a stream.
func unlimited(w http.ResponseWriter) {
	// A ResponseWriter that has no deadline has none to lift.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
}

// readEvents signals once for every event of a stream, until it ends.
func readEvents(stream io.Reader, changes chan<- struct{}) {
	lines := bufio.NewScanner(stream)
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), "event: change") {
			continue
		}
		select {
		case changes <- struct{}{}:
		default: // one that nobody has read yet says the same
		}
	}
}
