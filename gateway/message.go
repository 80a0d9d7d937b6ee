package gateway

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"
)

// The protocol: one JSON object a line in both directions. The daemon sends requests, the agent one response to each,
// with the request's id. Several daemons may be attached at once and see each other's responses, so ids are unique
// beyond one daemon and a response to an unknown id is ignored. A line that is no message is ignored by both ends: an
// attachment can begin or end in the middle of one. A new client therefore starts with an empty line, then says hello.

// maxLine bounds a line in bytes. A table of 5000 Services with four endpoints each is about 4 MiB.
const maxLine = 64 << 20

// request is what a daemon asks: exactly one of the fields beside ID.
type request struct {
	ID    string        `json:"id"`
	Hello *helloRequest `json:"hello,omitempty"`
	Apply *Table        `json:"apply,omitempty"`
	Probe *ProbeRequest `json:"probe,omitempty"`
	// Gone is the address of a pod that is gone.
	Gone *netip.Addr `json:"gone,omitempty"`
}

type helloRequest struct {
	// Version of the daemon, for the agent's log.
	Version string `json:"version,omitempty"`
}

// response is the agent's answer: Error, or what fits the request. To an apply, and of what is gone, it is neither.
type response struct {
	ID    string       `json:"id"`
	Error string       `json:"error,omitempty"`
	Hello *Hello       `json:"hello,omitempty"`
	Probe *ProbeAnswer `json:"probe,omitempty"`
}

// Hello is how an agent introduces itself.
type Hello struct {
	// Version of the agent's binary.
	Version string `json:"version"`
	// Backend in use, "nftables" or "userspace". Reason says why not the former, or why it masquerades.
	Backend string `json:"backend"`
	Reason  string `json:"reason,omitempty"`
	// Masquerade tells that backends see the gateway's address instead of the client's.
	Masquerade bool `json:"masquerade,omitempty"`
	// Table in force.
	Table Table `json:"table"`
}

// ProbeRequest asks for one probe from within the pod network.
type ProbeRequest struct {
	// Scheme is "http", "https", "tcp" or "grpc".
	Scheme string `json:"scheme"`
	Host   string `json:"host"`
	Port   int32  `json:"port"`
	// Path, with a query if there is one, and Headers, in order, are for http and https.
	Path    string   `json:"path,omitempty"`
	Headers []Header `json:"headers,omitempty"`
	// Service is for grpc; empty for the server as a whole.
	Service string `json:"service,omitempty"`
	// Timeout in nanoseconds; 0 means one second, the API's default.
	Timeout time.Duration `json:"timeout,omitempty"`
}

// Header is one line of an HTTP request. Its value may be secret.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// ProbeAnswer is the outcome of a probe.
type ProbeAnswer struct {
	OK bool `json:"ok"`
	// Message is the reason of a failure, or the beginning of what was answered, at most 1 KiB.
	Message string `json:"message,omitempty"`
}

// errNoMessage is a line that is no message.
var errNoMessage = errors.New("not a message")

// decodeRequest reads one line. It never returns a request without id or with any but one verb.
func decodeRequest(line []byte) (request, error) {
	var r request
	if err := json.Unmarshal(line, &r); err != nil {
		return request{}, fmt.Errorf("%w: %w", errNoMessage, err)
	}
	verbs := 0
	for _, has := range []bool{r.Hello != nil, r.Apply != nil, r.Probe != nil, r.Gone != nil} {
		if has {
			verbs++
		}
	}
	if r.ID == "" || verbs != 1 {
		return request{}, fmt.Errorf("%w: need an id and one verb", errNoMessage)
	}
	return r, nil
}

// decodeResponse reads one line.
func decodeResponse(line []byte) (response, error) {
	var r response
	if err := json.Unmarshal(line, &r); err != nil {
		return response{}, fmt.Errorf("%w: %w", errNoMessage, err)
	}
	if r.ID == "" {
		return response{}, fmt.Errorf("%w: need an id", errNoMessage)
	}
	return r, nil
}

// encode renders a message as one line. JSON escapes line breaks inside strings.
func encode(message any) ([]byte, error) {
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
