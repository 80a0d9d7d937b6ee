package docker

import (
	"errors"
	"io"
	"strings"

	"github.com/podyard/podyard/runtime"
)

// notExecuted is what the engine writes in place of a command's output if it could not start it.
const notExecuted = "OCI runtime exec failed: "

// firstWords holds a command's output back for as long as it may be the engine's words about a command that did not start.
type firstWords struct {
	w      io.Writer
	held   []byte
	passed bool
}

// longest is how much the engine may have to say.
const longest = 8 << 10

func (f *firstWords) Write(data []byte) (int, error) {
	if f.passed {
		return f.w.Write(data)
	}
	f.held = append(f.held, data...)
	if n := min(len(f.held), len(notExecuted)); string(f.held[:n]) != notExecuted[:n] || len(f.held) > longest {
		return len(data), f.pass()
	}
	return len(data), nil
}

func (f *firstWords) pass() error {
	f.passed = true
	_, err := f.w.Write(f.held)
	f.held = nil
	return err
}

// end tells, by the exit code, whether what is held back was the engine's. If not, it is output.
func (f *firstWords) end(code int) error {
	words := string(f.held)
	if (code == 126 || code == 127) && strings.HasPrefix(words, notExecuted) {
		return &engineError{errors.New(strings.TrimSpace(words)), runtime.ErrNoProgram}
	}
	if len(f.held) == 0 {
		return nil
	}
	return f.pass()
}

// shellCode is 127 if a program is not there and 126 if it is and cannot be executed; engines do not agree on which is which.
func shellCode(code int, err error) int {
	switch {
	case !errors.Is(err, runtime.ErrNoProgram):
		return code
	case strings.Contains(err.Error(), "not found") || strings.Contains(err.Error(), "no such file"):
		return 127
	default:
		return 126
	}
}
