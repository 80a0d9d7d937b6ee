package status

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrNotRunning: nobody listens at the socket.
var ErrNotRunning = errors.New("the daemon is not running (start it with `podyard run`)")

// Client asks a running daemon over its unix socket. It is a Reader and a Controller; errors are those of the daemon,
// and errors.Is finds ErrNotFound and its siblings in them.
type Client struct {
	socket string
	http   *http.Client
}

var (
	_ Reader     = (*Client)(nil)
	_ Controller = (*Client)(nil)
)

// NewClient returns a client for the daemon behind a socket. It does not connect yet.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "unix", socket)
	}
	return &Client{socket: socket, http: &http.Client{Transport: &http.Transport{
		DialContext:     dial,
		MaxIdleConns:    4,
		IdleConnTimeout: 30 * time.Second,
	}}}
}

// Dial returns a client once the daemon answers, or ErrNotRunning.
func Dial(ctx context.Context, socket string) (*Client, error) {
	client := NewClient(socket)
	response, err := client.do(ctx, http.MethodGet, "/healthz", nil)
	if err != nil {
		return nil, err
	}
	return client, response.Body.Close()
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Snapshot implements Live.
func (c *Client) Snapshot(ctx context.Context) (Snapshot, error) {
	return call[Snapshot](ctx, c, http.MethodGet, apiStatus, nil)
}

// Watch implements Live.
func (c *Client) Watch(ctx context.Context) (<-chan struct{}, error) {
	response, err := c.do(ctx, http.MethodGet, apiWatch, nil)
	if err != nil {
		return nil, err
	}
	changes := make(chan struct{}, 1)
	go func() {
		defer close(changes)
		defer response.Body.Close()
		readEvents(response.Body, changes)
	}()
	return changes, nil
}

// Logs implements Live.
func (c *Client) Logs(ctx context.Context, request LogRequest, w io.Writer) error {
	query := url.Values{"container": {request.Container}}
	query.Set("follow", strconv.FormatBool(request.Follow))
	query.Set("previous", strconv.FormatBool(request.Previous))
	query.Set("timestamps", strconv.FormatBool(request.Timestamps))
	if request.Tail >= 0 {
		query.Set("tailLines", strconv.Itoa(request.Tail))
	}
	if !request.Since.IsZero() {
		query.Set("sinceTime", request.Since.UTC().Format(time.RFC3339Nano))
	}
	path := apiPods + "/" + url.PathEscape(request.Namespace) + "/" + url.PathEscape(request.Pod) + "/log?" + query.Encode()
	response, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(w, response.Body); err != nil {
		return fmt.Errorf("read log of pod %s/%s: %w", request.Namespace, request.Pod, err)
	}
	if message := response.Trailer.Get(logError); message != "" {
		return errors.New(message)
	}
	return nil
}

// Events implements History. The daemon has a limit of its own.
func (c *Client) Events(ctx context.Context, object Ref, limit int) ([]Event, error) {
	query := url.Values{"kind": {object.Kind}, "namespace": {object.Namespace}, "name": {object.Name}}
	list, err := call[eventList](ctx, c, http.MethodGet, apiEvents+"?"+query.Encode(), nil)
	return list.Events[:min(len(list.Events), limit)], err
}

// Revisions implements History.
func (c *Client) Revisions(ctx context.Context, before uint64, limit int) ([]Revision, error) {
	query := url.Values{"before": {strconv.FormatUint(before, 10)}, "limit": {strconv.Itoa(limit)}}
	list, err := call[revisionList](ctx, c, http.MethodGet, apiRevisions+"?"+query.Encode(), nil)
	return list.Revisions, err
}

// Revision implements History.
func (c *Client) Revision(ctx context.Context, rev string) (RevisionDetail, error) {
	return call[RevisionDetail](ctx, c, http.MethodGet, apiRevisions+"/"+url.PathEscape(rev), nil)
}

// Diff implements History.
func (c *Client) Diff(ctx context.Context, from, to string) ([]ObjectDiff, error) {
	query := url.Values{"from": {from}, "to": {to}}
	list, err := call[diffList](ctx, c, http.MethodGet, apiDiff+"?"+query.Encode(), nil)
	return list.Objects, err
}

// Plan implements Controller.
func (c *Client) Plan(ctx context.Context, request PlanRequest) (PlanResult, error) {
	return call[PlanResult](ctx, c, http.MethodPost, apiPlan, request)
}

// Sync implements Controller.
func (c *Client) Sync(ctx context.Context) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, apiSync, nil)
	return err
}

// Rollback implements Controller.
func (c *Client) Rollback(ctx context.Context, rev, reason string) (Revision, error) {
	return call[Revision](ctx, c, http.MethodPost, apiRollback, revisionRequest{rev, reason})
}

// Approve implements Controller.
func (c *Client) Approve(ctx context.Context, rev, reason string) (Revision, error) {
	return call[Revision](ctx, c, http.MethodPost, apiApprove, revisionRequest{rev, reason})
}

// Resume implements Controller.
func (c *Client) Resume(ctx context.Context) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, apiResume, nil)
	return err
}

// Shutdown implements Controller.
func (c *Client) Shutdown(ctx context.Context) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, apiShutdown, nil)
	return err
}

// Exec implements Sessions.
func (c *Client) Exec(ctx context.Context, request ExecRequest, streams Streams) (int, error) {
	return c.session(ctx, apiExec, request, streams)
}

// Attach implements Sessions.
func (c *Client) Attach(ctx context.Context, request AttachRequest, streams Streams) (int, error) {
	return c.session(ctx, apiAttach, request, streams)
}

// Debug implements Sessions.
func (c *Client) Debug(ctx context.Context, request DebugRequest) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, apiDebug, request)
	return err
}

// session upgrades a connection and exchanges frames over it until the daemon says how it ended.
func (c *Client) session(ctx context.Context, path string, request any, streams Streams) (int, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return 0, fmt.Errorf("encode request: %w", err)
	}
	response, err := c.send(ctx, http.MethodPost, path, bytes.NewReader(body), http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {sessionProtocol},
	})
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	conn, ok := response.Body.(io.ReadWriteCloser)
	if !ok {
		return 0, errors.New("the daemon did not begin the session: it may be older than this command")
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	ended := make(chan struct{})
	defer close(ended)
	frames := &frameWriter{w: conn}
	if streams.Stdin != nil {
		go sendInput(frames, streams.Stdin)
	}
	go sendSizes(frames, streams.Resize, ended)
	code, err := receiveOutput(conn, streams)
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	return code, err
}

// sendInput sends what is read, and its end.
func sendInput(frames *frameWriter, stdin io.Reader) {
	if _, err := io.Copy(frames.stream(frameStdin), stdin); err == nil {
		_ = frames.send(frameStdin, nil) // the session may be over
	}
}

func sendSizes(frames *frameWriter, sizes <-chan TerminalSize, ended <-chan struct{}) {
	for {
		select {
		case size, open := <-sizes:
			if !open || frames.resize(size) != nil {
				return
			}
		case <-ended:
			return
		}
	}
}

// receiveOutput writes what comes until the last frame.
func receiveOutput(conn io.Reader, streams Streams) (exitCode int, err error) {
	in := bufio.NewReaderSize(conn, maxFrame)
	for {
		kind, payload, err := readFrame(in)
		switch {
		case err != nil:
			return 0, fmt.Errorf("the daemon broke off the session: %w", err)
		case kind == frameStdout:
			_, err = streams.Stdout.Write(payload)
		case kind == frameStderr:
			_, err = streams.Stderr.Write(payload)
		case kind == frameEnd:
			return decodeEnd(payload)
		}
		if err != nil {
			return 0, fmt.Errorf("write output: %w", err)
		}
	}
}

func decodeEnd(payload []byte) (exitCode int, err error) {
	var end sessionEnd
	if err := json.Unmarshal(payload, &end); err != nil {
		return 0, fmt.Errorf("read the end of the session: %w", err)
	}
	if end.Error != "" {
		return 0, &wordedError{errors.New(end.Error), kindOf(end.Code)}
	}
	return end.ExitCode, nil
}

// call sends in (unless nil) as JSON and reads the answer.
func call[T any](ctx context.Context, c *Client, method, path string, in any) (out T, err error) {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return out, fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(data)
	}
	response, err := c.do(ctx, method, path, body)
	if err != nil {
		return out, err
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&out); err != nil {
		return out, fmt.Errorf("read answer of the daemon: %w", err)
	}
	return out, nil
}

// do sends a request; an answer that is not a success is an error.
func (c *Client) do(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	return c.send(ctx, method, path, body, http.Header{})
}

func (c *Client) send(ctx context.Context, method, path string, body io.Reader, header http.Header) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, body)
	if err != nil {
		return nil, fmt.Errorf("ask the daemon: %w", err)
	}
	header.Set("Content-Type", "application/json")
	request.Header = header
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	if response.StatusCode < 300 {
		return response, nil
	}
	defer response.Body.Close()
	return nil, readProblem(response)
}

// explain tells a daemon that is not there from one that cannot be asked.
func (c *Client) explain(ctx context.Context, err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // "Get http://localhost/…" would mislead: there is no such server
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return ErrNotRunning
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("ask the daemon at %s: it belongs to another user: %w", c.socket, err)
	}
	return fmt.Errorf("ask the daemon at %s: %w", c.socket, err)
}

func readProblem(response *http.Response) error {
	message := "the daemon answers " + response.Status
	var p problem
	body, readErr := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if readErr == nil && json.Unmarshal(body, &p) == nil && strings.TrimSpace(p.Error) != "" {
		message = p.Error
	}
	return &wordedError{errors.New(message), kindOf(response.StatusCode)}
}
