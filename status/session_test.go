package status

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestASessionCarriesInputAndBothOutputs(t *testing.T) {
	f := newFake()
	f.session = func(_ context.Context, streams Streams) (int, error) {
		both := io.MultiWriter(streams.Stdout, streams.Stderr)
		if _, err := io.Copy(both, streams.Stdin); err != nil {
			return 0, err
		}
		fmt.Fprint(streams.Stderr, "the end")
		return 7, nil
	}
	input := strings.Repeat("a long line of input\n", 100_000)
	var stdout, stderr bytes.Buffer
	request := ExecRequest{ContainerName: ContainerName{"shop", "web-1", "web"}, Command: []string{"cat"}, Stdin: true}
	code, err := daemon(t, f).Exec(t.Context(), request, Streams{Stdin: strings.NewReader(input), Stdout: &stdout, Stderr: &stderr})
	if err != nil || code != 7 {
		t.Errorf("exit code %d, %v; want 7", code, err)
	}
	if stdout.String() != input || stderr.String() != input+"the end" {
		t.Errorf("%d bytes came back to stdout, %d to stderr; %d were sent", stdout.Len(), stderr.Len(), len(input))
	}
	if want := "exec {ContainerName:{Namespace:shop Pod:web-1 Container:web} Command:[cat] Stdin:true TTY:false}"; f.noted() != want {
		t.Errorf("the daemon was asked to %s", f.noted())
	}
}

func TestASessionWithoutInputHasNone(t *testing.T) {
	f := newFake()
	f.session = func(_ context.Context, streams Streams) (int, error) {
		if streams.Stdin != nil {
			return 1, nil
		}
		return 0, nil
	}
	client := daemon(t, f)
	for name, begin := range map[string]func() (int, error){
		"exec":   func() (int, error) { return client.Exec(t.Context(), ExecRequest{}, Streams{}) },
		"attach": func() (int, error) { return client.Attach(t.Context(), AttachRequest{}, Streams{}) },
	} {
		if code, err := begin(); code != 0 || err != nil {
			t.Errorf("%s: %d, %v", name, code, err)
		}
	}
}

func TestASessionTellsTheTerminalsSize(t *testing.T) {
	f := newFake()
	heard := make(chan TerminalSize)
	f.session = func(ctx context.Context, streams Streams) (int, error) {
		for size := range streams.Resize {
			heard <- size
			if size.Width == 90 {
				break
			}
		}
		return 0, nil
	}
	sizes := make(chan TerminalSize)
	go func() {
		for _, size := range []TerminalSize{{100, 30}, {90, 65535}} {
			sizes <- size
			if got := <-heard; got != size {
				t.Errorf("heard of %v; want %v", got, size)
			}
		}
	}()
	if _, err := daemon(t, f).Attach(t.Context(), AttachRequest{}, Streams{Resize: sizes}); err != nil {
		t.Error(err)
	}
}

func TestTheErrorOfASessionKeepsItsKind(t *testing.T) {
	f := newFake()
	f.err = fmt.Errorf("pod shop/web-9: %w; podyard status lists the pods", ErrNotFound)
	client := daemon(t, f)
	_, execErr := client.Exec(t.Context(), ExecRequest{}, Streams{})
	_, attachErr := client.Attach(t.Context(), AttachRequest{}, Streams{})
	for _, err := range []error{execErr, attachErr, client.Debug(t.Context(), DebugRequest{})} {
		if !errors.Is(err, ErrNotFound) || err.Error() != f.err.Error() {
			t.Errorf("the client says %v; want %v", err, f.err)
		}
	}
}

// TestASessionEndsWithItsClient: with and without input that nobody reads, which keeps the daemon from reading on.
func TestASessionEndsWithItsClient(t *testing.T) {
	for name, input := range map[string]io.Reader{"without input": nil, "with input that nobody reads": endless{}} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			begun, ended := make(chan struct{}), make(chan struct{})
			f.session = func(ctx context.Context, _ Streams) (int, error) {
				close(begun)
				<-ctx.Done()
				close(ended)
				return 0, ctx.Err()
			}
			client := daemon(t, f)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-begun
				time.Sleep(100 * time.Millisecond)
				cancel()
			}()
			_, err := client.Exec(ctx, ExecRequest{Stdin: input != nil}, Streams{Stdin: input, Stdout: io.Discard, Stderr: io.Discard})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("the client says %v", err)
			}
			select {
			case <-ended:
			case <-time.After(20 * time.Second):
				t.Fatal("the daemon does not notice")
			}
		})
	}
}

// endless never ends.
type endless struct{}

func (endless) Read(data []byte) (int, error) { return len(data), nil }

func TestAClientThatDoesNotReadDoesNotKeepTheSession(t *testing.T) {
	f := newFake()
	ended := make(chan error, 1)
	f.session = func(_ context.Context, streams Streams) (int, error) {
		_, err := io.Copy(streams.Stdout, endless{})
		ended <- err
		return 0, err
	}
	client, ctx := daemon(t, f), t.Context()
	ctx, cancel := context.WithCancel(ctx)
	slow := &stuck{stop: ctx.Done(), full: make(chan struct{})}
	go func() {
		<-slow.full
		cancel()
	}()
	if _, err := client.Exec(ctx, ExecRequest{}, Streams{Stdout: slow}); !errors.Is(err, context.Canceled) {
		t.Errorf("the client says %v", err)
	}
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the output went on")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the daemon still writes")
	}
}

// stuck takes one write and then none until stop.
type stuck struct {
	stop <-chan struct{}
	once sync.Once
	full chan struct{}
}

func (s *stuck) Write(data []byte) (int, error) {
	s.once.Do(func() { close(s.full) })
	<-s.stop
	return 0, io.ErrClosedPipe
}

func TestADaemonThatDiesEndsTheSession(t *testing.T) {
	f := newFake()
	f.session = func(_ context.Context, _ Streams) (int, error) { panic(http.ErrAbortHandler) }
	if _, err := daemon(t, f).Exec(t.Context(), ExecRequest{}, Streams{}); err == nil || !strings.Contains(err.Error(), "broke off") {
		t.Errorf("the client says %v", err)
	}
}

// TestOnlyTheControlSocketLeadsIntoContainers: the page has no such route, whatever the method.
func TestOnlyTheControlSocketLeadsIntoContainers(t *testing.T) {
	f := newFake()
	page := NewPage(f)
	for _, path := range []string{apiExec, apiAttach, apiDebug} {
		for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodHead, http.MethodConnect, http.MethodOptions} {
			request := httptest.NewRequest(method, path, strings.NewReader(`{"namespace":"shop","pod":"web-1","command":["sh"]}`))
			request.Host = "127.0.0.1:8420"
			request.Header.Set("Connection", "Upgrade")
			request.Header.Set("Upgrade", sessionProtocol)
			if answer := serve(page, request); answer.Code != http.StatusMethodNotAllowed && answer.Code != http.StatusNotFound {
				t.Errorf("%s %s: %d", method, path, answer.Code)
			}
		}
	}
	if f.noted() != "" {
		t.Errorf("the daemon was asked to %s", f.noted())
	}
}

func TestABrowserCannotBeginASession(t *testing.T) {
	f := newFake()
	for _, path := range []string{apiExec, apiAttach, apiDebug} {
		request := httptest.NewRequest(http.MethodPost, path, strings.NewReader(`{}`))
		request.Header.Set("Sec-Fetch-Site", "cross-site")
		if answer := serve(NewControl(f, f), request); answer.Code != http.StatusForbidden {
			t.Errorf("%s: %d", path, answer.Code)
		}
	}
	if f.noted() != "" {
		t.Errorf("the daemon was asked to %s", f.noted())
	}
}

func TestASessionThatMakesNoSenseIsRefused(t *testing.T) {
	f := newFake()
	for body, want := range map[string]string{
		``: "no body", `{"pod":`: "not the JSON", `{"comand":["sh"]}`: "not the JSON", `{"pod":"web-1"}`: "can be upgraded",
	} {
		answer := serve(NewControl(f, f), httptest.NewRequest(http.MethodPost, apiExec, strings.NewReader(body)))
		if answer.Code != http.StatusBadRequest || !strings.Contains(answer.Body.String(), want) {
			t.Errorf("%q: %d %s; want %q", body, answer.Code, answer.Body, want)
		}
	}
	if f.noted() != "" {
		t.Errorf("the daemon was asked to %s", f.noted())
	}
}

func TestFramesAreBounded(t *testing.T) {
	for _, stream := range []string{"o\x00\x01\x00\x01" + strings.Repeat("x", 1<<16+1), "o\xff\xff\xff\xff", "o\x00\x00\x00\x05abc", "o\x00"} {
		if kind, payload, err := readFrame(strings.NewReader(stream)); err == nil {
			t.Errorf("%.9q is a frame: %c, %d bytes", stream, kind, len(payload))
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte("i\x00\x00\x00\x05hellor\x00\x00\x00\x04\x00\x50\x00\x18i\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		in := bytes.NewReader(data)
		for {
			kind, payload, err := readFrame(in)
			if err != nil {
				return
			}
			if _, ok := decodeSize(payload); ok != (len(payload) == 4) || len(payload) > maxFrame {
				t.Errorf("frame %c with %d bytes", kind, len(payload))
			}
		}
	})
}
