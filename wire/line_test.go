package wire

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestLinesTooLongArePassedOver(t *testing.T) {
	lines := newLineReader(strings.NewReader("short\n"+strings.Repeat("x", 300<<10)+"\n\n \nnext\r\nhalf"), 1<<10)
	for _, want := range []string{"short", "next"} {
		if line, err := lines.next(); err != nil || string(line) != want {
			t.Errorf("%q, %v", line, err)
		}
	}
	if line, err := lines.next(); !errors.Is(err, io.EOF) {
		t.Errorf("%q, %v", line, err)
	}
}
