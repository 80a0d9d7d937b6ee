package fake

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Exec implements runtime.Streams.
func (e *Engine) Exec(ctx context.Context, id string, command []string, stdout, stderr io.Writer) (int, error) {
	answer, _, err := e.exec(ctx, "Exec", id, command)
	if err != nil {
		return 0, err
	}
	if err := write(stdout, answer.Stdout); err != nil {
		return 0, fmt.Errorf("exec: %w", err)
	}
	if err := write(stderr, answer.Stderr); err != nil {
		return 0, fmt.Errorf("exec: %w", err)
	}
	return answer.Code, nil
}

// exec runs a command for as long as it takes, its container runs, and ctx lasts.
func (e *Engine) exec(ctx context.Context, verb, id string, command []string) (answer Answer, known bool, err error) {
	var ended <-chan struct{}
	err = e.do(ctx, verb, id, func() error {
		c, err := e.running(id)
		if err != nil {
			return err
		}
		if answer, known = e.shell(c, command); !known {
			answer = notFound(command)
		}
		ended = c.done
		return nil
	})
	if err != nil || answer.Takes <= 0 {
		return answer, known, err
	}
	timer := time.NewTimer(answer.Takes)
	defer timer.Stop()
	select {
	case <-timer.C:
		return answer, known, nil
	case <-ended:
		return Answer{Code: killed}, known, nil
	case <-ctx.Done():
		return Answer{}, known, ctx.Err()
	}
}

func write(w io.Writer, text string) error {
	if w == nil || text == "" {
		return nil
	}
	_, err := io.WriteString(w, text)
	return err
}
