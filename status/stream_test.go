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
	"testing"
	"time"
)

// soon is how long a test waits for what should come at once.
const soon = 10 * time.Second

// feed is a writer that can be waited on.
type feed chan string

func (f feed) Write(p []byte) (int, error) {
	f <- string(p)
	return len(p), nil
}

func (f feed) expect(t *testing.T, want string) {
	t.Helper()
	got := ""
	for !strings.Contains(got, want) {
		select {
		case part := <-f:
			got += part
		case <-time.After(soon):
			t.Fatalf("got %q, waiting for %q", got, want)
		}
	}
}

func TestALogArrivesWhole(t *testing.T) {
	f := newFake()
	f.log = strings.Repeat("a line of a log\n", 50_000)
	var got bytes.Buffer
	since := time.Date(2025, 11, 20, 11, 0, 0, 5, time.UTC)
	request := LogRequest{Namespace: "shop", Pod: "web-1", Container: "web", Previous: true, Timestamps: true, Tail: 7, Since: since}
	if err := daemon(t, f).Logs(t.Context(), request, &got); err != nil {
		t.Fatal(err)
	}
	if got.String() != f.log {
		t.Errorf("got %d bytes, want %d", got.Len(), len(f.log))
	}
	if want := fmt.Sprintf("logs %+v", request); f.noted() != want {
		t.Errorf("the daemon was asked %s, want %s", f.noted(), want)
	}
}

func TestAnUnlimitedLogIsAskedForAsSuch(t *testing.T) {
	f := newFake()
	request := LogRequest{Namespace: "shop", Pod: "web-1", Tail: -1}
	if err := daemon(t, f).Logs(t.Context(), request, io.Discard); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("logs %+v", request); f.noted() != want {
		t.Errorf("the daemon was asked %s, want %s", f.noted(), want)
	}
}

// TestAFollowedLogOutlivesTheWriteTimeoutAndEndsWithItsReader: the test server cuts answers off after half a second.
func TestAFollowedLogOutlivesTheWriteTimeoutAndEndsWithItsReader(t *testing.T) {
	f := newFake()
	ctx, cancel := context.WithCancel(t.Context())
	client, got, done := daemon(t, f), make(feed, 16), make(chan error, 1)
	go func() {
		done <- client.Logs(ctx, LogRequest{Namespace: "shop", Pod: "web-1", Follow: true, Tail: -1}, got)
	}()
	got.expect(t, "FATAL")
	select {
	case err := <-done:
		t.Fatalf("the log ended by itself: %v", err)
	case <-time.After(700 * time.Millisecond):
	}
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the reader sees %v", err)
		}
	case <-time.After(soon):
		t.Fatal("the client still reads")
	}
	select {
	case <-f.ended:
	case <-time.After(soon):
		t.Fatal("the daemon still follows")
	}
}

func TestAnErrorBeforeALogHasItsCodeAndOneWithinItArrivesToo(t *testing.T) {
	f := newFake()
	client := daemon(t, f)
	f.logErr = errors.New("read log: the engine\nwent away")
	var got bytes.Buffer
	err := client.Logs(t.Context(), LogRequest{Namespace: "shop", Pod: "web-1"}, &got)
	if err == nil || err.Error() != "read log: the engine went away" || got.String() != f.log {
		t.Errorf("%v after %q", err, got.String())
	}
	f.err = fmt.Errorf("pod shop/web-1: %w", ErrNotFound)
	got.Reset()
	if err := client.Logs(t.Context(), LogRequest{Namespace: "shop", Pod: "web-1"}, &got); !errors.Is(err, ErrNotFound) || got.Len() > 0 {
		t.Errorf("%v after %q", err, got.String())
	}
}

func TestAnEmptyLogIsAnEmptyAnswer(t *testing.T) {
	f := newFake()
	f.log = ""
	answer := get(t, NewPage(f), apiPods+"/shop/web-1/log")
	if answer.Code != http.StatusOK || answer.Body.Len() > 0 || !strings.HasPrefix(answer.Header().Get("Content-Type"), "text/plain") {
		t.Errorf("%d %v %q", answer.Code, answer.Header(), answer.Body)
	}
}

func TestParametersThatMakeNoSenseAreRefused(t *testing.T) {
	for _, path := range []string{
		apiPods + "/shop/web-1/log?tailLines=-5", apiPods + "/shop/web-1/log?tailLines=many",
		apiPods + "/shop/web-1/log?sinceTime=yesterday", apiRevisions + "?before=r12", apiRevisions + "?limit=x",
	} {
		f := newFake()
		if answer := get(t, NewPage(f), path); answer.Code != http.StatusBadRequest || f.noted() != "" {
			t.Errorf("%s: %d %s, asked %q", path, answer.Code, answer.Body, f.noted())
		}
	}
}

func TestTheListOfRevisionsIsLimited(t *testing.T) {
	for query, want := range map[string]string{
		"": "revisions 0 50", "?limit=0": "revisions 0 1", "?limit=99999999999": "revisions 0 500", "?before=7&limit=3": "revisions 7 3",
	} {
		f := newFake()
		get(t, NewPage(f), apiRevisions+query)
		if f.noted() != want {
			t.Errorf("%q: the daemon was asked %q, want %q", query, f.noted(), want)
		}
	}
}

func TestWatchersHearOfChangesUntilTheyLeave(t *testing.T) {
	f := newFake()
	ctx, cancel := context.WithCancel(t.Context())
	changes, err := daemon(t, f).Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	next := func(what string) bool {
		t.Helper()
		select {
		case _, open := <-changes:
			return open
		case <-time.After(soon):
			t.Fatalf("%s is not heard of", what)
			return false
		}
	}
	if !next("the state at the beginning") {
		t.Fatal("the stream ended at once")
	}
	for i := range 3 {
		f.watched <- struct{}{}
		if !next(fmt.Sprintf("change %d", i)) {
			t.Fatal("the stream ended")
		}
	}
	cancel()
	for next("the end") {
	}
}

func TestAStreamOfEventsIsOneThatBrowsersRead(t *testing.T) {
	f := newFake()
	server := httptest.NewServer(NewPage(f))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+apiWatch, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if kind := response.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Errorf("the content type is %s", kind)
	}
	f.watched <- struct{}{}
	want := "id: 1\nevent: change\ndata: {}\n\nid: 2\nevent: change\ndata: {}\n\n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(response.Body, got); err != nil || string(got) != want {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestOnlyTheEndOfALongLogIsKept(t *testing.T) {
	f := newFake()
	f.log = strings.Repeat("0123456789abcde\n", tailBytes/16) + "the last line\n"
	pod := f.snapshot.Pods[0]
	text, err := tail(t.Context(), f, pod, "cache")
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > tailBytes || !strings.HasPrefix(text, "0123456789abcde\n") || !strings.HasSuffix(text, "the last line\n") {
		t.Errorf("%d bytes, %q … %q", len(text), text[:20], text[len(text)-20:])
	}
}
