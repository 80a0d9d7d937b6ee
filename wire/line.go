package wire

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// MaxLine bounds a line in bytes. A table of 5000 Services with four endpoints each is about 4 MiB.
const MaxLine = 64 << 20

// ErrNoMessage is a line that is no message.
var ErrNoMessage = errors.New("not a message")

// Encode renders a message as one line. JSON escapes line breaks inside strings.
func Encode(message any) ([]byte, error) {
	line, err := json.Marshal(message)
	if err != nil {
		return nil, err
	}
	return append(line, '\n'), nil
}

// lineReader cuts a stream into lines.
type lineReader struct {
	r   *bufio.Reader
	max int
}

func newLineReader(r io.Reader, limit int) *lineReader {
	return &lineReader{bufio.NewReaderSize(r, 64<<10), limit}
}

// next returns the next line that is not blank, without its end. Lines of more than max bytes are passed over, and so is
// what stands before an error without a line end: it can only be the first half of something. The stream may be read on
// after an error.
func (l *lineReader) next() ([]byte, error) {
	for {
		line, err := l.line()
		if err != nil {
			return nil, err
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			return line, nil
		}
	}
}

// line reads to the next line end and returns nothing for a line that is too long.
func (l *lineReader) line() ([]byte, error) {
	var line []byte
	tooLong := false
	for {
		part, err := l.r.ReadSlice('\n')
		if tooLong = tooLong || len(line)+len(part) > l.max; tooLong {
			line = nil
		} else {
			line = append(line, part...)
		}
		if err == nil {
			return line, nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}
