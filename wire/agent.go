package wire

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"
)

const (
	// maxAnswers bounds what waits to be read by a daemon. Nobody reads while none is attached.
	maxAnswers = 1024
	// inputRetry is the pause after the input's end, which may be the daemon's or the engine's and not for good.
	inputRetry = time.Second
)

// Listen hands every line of in to handle until ctx ends. The end of in ends nothing. A read of in may be under way still
// when Listen returns.
func Listen(ctx context.Context, in io.Reader, handle func(line []byte)) {
	lines := newLineReader(in, MaxLine)
	for ctx.Err() == nil {
		line, err := lines.next()
		if err != nil {
			sleep(ctx, inputRetry)
			continue
		}
		handle(line)
	}
}

// Answers are the agent's, on their way to the daemons.
type Answers struct {
	log   *slog.Logger
	lines chan []byte
}

// NewAnswers returns a queue that Write empties.
func NewAnswers(log *slog.Logger) *Answers {
	return &Answers{log, make(chan []byte, maxAnswers)}
}

// Add queues an answer. It is dropped when nobody has read for long: who asked is gone.
func (a *Answers) Add(answer any) {
	line, err := Encode(answer)
	if err != nil {
		a.log.Error("encode answer", "err", err)
		return
	}
	select {
	case a.lines <- line:
	default:
		a.log.Warn("drop answer that nobody reads")
	}
}

// Write sends the queued answers until ctx ends. It may block while no daemon is attached.
func (a *Answers) Write(ctx context.Context, out io.Writer) {
	for {
		select {
		case line := <-a.lines:
			if _, err := out.Write(line); err != nil && !errors.Is(err, io.ErrClosedPipe) {
				a.log.Error("write answer", "err", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
