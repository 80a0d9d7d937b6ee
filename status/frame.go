package status

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// A session is one HTTP request that upgrades its connection. From then on both ends send frames: a byte that says what
// it is, the length of what follows (4 bytes, big-endian), and that.
const (
	frameStdin  = 'i' // input; an empty frame is its end
	frameStdout = 'o'
	frameStderr = 'e'
	frameResize = 'r' // width and height, 2 bytes each, big-endian
	frameBeat   = 'b' // nothing; tells the daemon whether its client is still there
	frameEnd    = 'x' // sessionEnd as JSON; the daemon's last frame
)

// maxFrame bounds a frame; larger writes are cut.
const maxFrame = 64 << 10

// sessionEnd is how a session ended: with an exit code, or with an error and the HTTP status code that stands for it.
type sessionEnd struct {
	ExitCode int    `json:"exitCode"`
	Error    string `json:"error,omitempty"`
	Code     int    `json:"code,omitempty"`
}

// frameWriter sends frames from several goroutines.
type frameWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (f *frameWriter) send(kind byte, payload []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	frame := append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(payload))), payload...)
	_, err := f.w.Write(frame)
	return err
}

func (f *frameWriter) resize(size TerminalSize) error {
	payload := binary.BigEndian.AppendUint16(nil, size.Width)
	return f.send(frameResize, binary.BigEndian.AppendUint16(payload, size.Height))
}

func (f *frameWriter) end(end sessionEnd) error {
	payload, err := json.Marshal(end)
	if err != nil {
		return err
	}
	return f.send(frameEnd, payload[:min(len(payload), maxFrame)])
}

// stream is one of the kinds of frame as an io.Writer.
func (f *frameWriter) stream(kind byte) io.Writer { return frameStream{f, kind} }

type frameStream struct {
	frames *frameWriter
	kind   byte
}

// Write implements io.Writer. No bytes are no frame: that would mean the end.
func (s frameStream) Write(data []byte) (int, error) {
	for written := 0; written < len(data); {
		n := min(len(data)-written, maxFrame)
		if err := s.frames.send(s.kind, data[written:written+n]); err != nil {
			return written, err
		}
		written += n
	}
	return len(data), nil
}

// readFrame returns the next frame. What it returns may be kept.
func readFrame(r io.Reader) (kind byte, payload []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	length := binary.BigEndian.Uint32(head[1:])
	if length > maxFrame {
		return 0, nil, fmt.Errorf("a frame of %d bytes: want at most %d", length, maxFrame)
	}
	var body bytes.Buffer
	if _, err := io.CopyN(&body, r, int64(length)); err != nil {
		return 0, nil, io.ErrUnexpectedEOF
	}
	return head[0], body.Bytes(), nil
}

func decodeSize(payload []byte) (TerminalSize, bool) {
	if len(payload) != 4 {
		return TerminalSize{}, false
	}
	return TerminalSize{binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:])}, true
}
