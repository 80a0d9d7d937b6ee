package fake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/podyard/podyard/runtime"
)

// Exec implements runtime.Streams. A terminal's size is no concern of a fake.
func (e *Engine) Exec(ctx context.Context, id string, options runtime.ExecOptions, stdout, stderr io.Writer) (int, error) {
	if options.TTY {
		stdout, stderr = terminal(stdout, stdout)
	}
	answer, known, ended, err := e.exec(ctx, "Exec", id, options.Command)
	if err == nil && !known {
		return answer.Code, fmt.Errorf("exec: %s: %w", strings.TrimSpace(answer.Stderr), runtime.ErrNoProgram)
	}
	if err == nil && answer.Copies && options.Stdin != nil {
		err = copyInput(ctx, options.Stdin, stdout, ended)
	}
	if err == nil {
		err = errors.Join(write(stdout, answer.Stdout), write(stderr, answer.Stderr))
	}
	if err != nil {
		return 0, fmt.Errorf("exec: %w", err)
	}
	return answer.Code, nil
}

// exec runs a command for as long as it takes, its container runs, and ctx lasts.
func (e *Engine) exec(ctx context.Context, verb, id string, command []string) (answer Answer, known bool, ended <-chan struct{}, err error) {
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
		return answer, known, ended, err
	}
	timer := time.NewTimer(answer.Takes)
	defer timer.Stop()
	select {
	case <-timer.C:
		return answer, known, ended, nil
	case <-ended:
		return Answer{Code: killed}, known, ended, nil
	case <-ctx.Done():
		return Answer{}, known, ended, ctx.Err()
	}
}

func write(w io.Writer, text string) error {
	if w == nil || text == "" {
		return nil
	}
	_, err := io.WriteString(w, text)
	return err
}
