package status

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// sessionProtocol is what the connection of a session is upgraded to.
const sessionProtocol = "podyard-session"

// sessionBeat is how often the daemon makes sure that the client is there: a command that reads no input would keep it
// from noticing otherwise.
const sessionBeat = 5 * time.Second

// routeSessions adds the way into containers. It belongs to the control socket alone.
func routeSessions(mux *http.ServeMux, sessions Sessions) {
	mux.HandleFunc("POST "+apiExec, func(w http.ResponseWriter, r *http.Request) {
		var request ExecRequest
		serveSession(w, r, &request, func(ctx context.Context, streams Streams) (int, error) {
			if !request.Stdin {
				streams.Stdin = nil
			}
			return sessions.Exec(ctx, request, streams)
		})
	})
	mux.HandleFunc("POST "+apiAttach, func(w http.ResponseWriter, r *http.Request) {
		var request AttachRequest
		serveSession(w, r, &request, func(ctx context.Context, streams Streams) (int, error) {
			if !request.Stdin {
				streams.Stdin = nil
			}
			return sessions.Attach(ctx, request, streams)
		})
	})
	mux.HandleFunc("POST "+apiDebug, func(w http.ResponseWriter, r *http.Request) {
		var request DebugRequest
		if err := readJSON(w, r, &request); err != nil {
			writeError(w, err)
			return
		}
		answer(w, struct{}{}, sessions.Debug(r.Context(), request))
	})
}

// serveSession reads the request, upgrades the connection and runs the session. Errors of the session itself come in its
// last frame.
func serveSession(w http.ResponseWriter, r *http.Request, request any, run func(context.Context, Streams) (int, error)) {
	if err := readJSON(w, r, request); err != nil {
		writeError(w, err)
		return
	}
	if r.Header.Get("Upgrade") != sessionProtocol {
		writeError(w, fmt.Errorf("%w: a session needs a connection that can be upgraded to %s", ErrInvalid, sessionProtocol))
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		writeError(w, fmt.Errorf("upgrade connection: %w", err))
		return
	}
	defer conn.Close()
	// The server's deadlines are for requests.
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return
	}
	if _, err := fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", sessionProtocol); err != nil {
		return
	}
	runSession(r.Context(), conn, buffered.Reader, run)
}

// runSession is the daemon's end. The session's ctx ends when the client goes away.
func runSession(ctx context.Context, conn net.Conn, in *bufio.Reader, run func(context.Context, Streams) (int, error)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// A write to a client that does not read must not outlast the session.
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	frames := &frameWriter{w: conn}
	stdin, typed := io.Pipe()
	defer stdin.Close()
	sizes := make(chan TerminalSize, 1)
	go func() {
		defer cancel()
		receive(in, typed, sizes)
	}()
	go func() {
		defer cancel()
		beat(ctx, frames)
	}()
	code, err := run(ctx, Streams{Stdin: stdin, Stdout: frames.stream(frameStdout), Stderr: frames.stream(frameStderr), Resize: sizes})
	end := sessionEnd{ExitCode: code}
	if err != nil {
		end = sessionEnd{Error: err.Error(), Code: codeOf(err)}
	}
	_ = frames.end(end) // nobody is left to be told
}

// receive hands on what the client sends, until it goes away.
func receive(in io.Reader, stdin *io.PipeWriter, sizes chan TerminalSize) {
	defer stdin.CloseWithError(io.ErrUnexpectedEOF)
	for {
		kind, payload, err := readFrame(in)
		if err != nil {
			return
		}
		switch kind {
		case frameStdin:
			if len(payload) == 0 {
				stdin.Close()
				continue
			}
			_, _ = stdin.Write(payload) // nobody reads any more: the session is about to end
		case frameResize:
			if size, ok := decodeSize(payload); ok {
				latest(sizes, size)
			}
		}
	}
}

// latest replaces what nobody has read yet.
func latest(sizes chan TerminalSize, size TerminalSize) {
	select {
	case <-sizes:
	default:
	}
	sizes <- size
}

func beat(ctx context.Context, frames *frameWriter) {
	ticker := time.NewTicker(sessionBeat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if frames.send(frameBeat, nil) != nil {
				return
			}
		}
	}
}
