package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// daemon serves a fake on a unix socket and returns a client of it.
func daemon(t *testing.T, f *fake) *Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "control.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: NewControl(f, f), WriteTimeout: 500 * time.Millisecond}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	client, err := Dial(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func TestTheClientSaysWhatTheDaemonSays(t *testing.T) {
	f := newFake()
	client, ctx := daemon(t, f), t.Context()
	for _, c := range []struct {
		name      string
		got, want func() (any, error)
	}{
		{"status", func() (any, error) { return client.Snapshot(ctx) }, func() (any, error) { return f.Snapshot(ctx) }},
		{"revisions", func() (any, error) { return client.Revisions(ctx, 14, 2) }, func() (any, error) { return f.Revisions(ctx, 14, 2) }},
		{"revision", func() (any, error) { return client.Revision(ctx, "r13") }, func() (any, error) { return f.Revision(ctx, "r13") }},
		{"events", func() (any, error) { return client.Events(ctx, f.snapshot.Events[0].Object, 5) },
			func() (any, error) { return f.Events(ctx, f.snapshot.Events[0].Object, 5) }},
		{"diff", func() (any, error) { return client.Diff(ctx, "12", "r13") }, func() (any, error) { return f.Diff(ctx, "12", "r13") }},
		{"rollback", func() (any, error) { return client.Rollback(ctx, "r11", "prices are wrong") },
			func() (any, error) { return f.Rollback(ctx, "r11", "prices are wrong") }},
		{"approve", func() (any, error) { return client.Approve(ctx, "r16", "we move out") },
			func() (any, error) { return f.Approve(ctx, "r16", "we move out") }},
		{"sync", func() (any, error) { return nil, client.Sync(ctx) }, func() (any, error) { return nil, f.Sync(ctx) }},
		{"resume", func() (any, error) { return nil, client.Resume(ctx) }, func() (any, error) { return nil, f.Resume(ctx) }},
		{"shutdown", func() (any, error) { return nil, client.Shutdown(ctx) }, func() (any, error) { return nil, f.Shutdown(ctx) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.got()
			called := f.noted()
			f.calls = nil
			want, wantErr := c.want()
			if err != nil || wantErr != nil {
				t.Fatal(err, wantErr)
			}
			if got, want := asJSON(t, got), asJSON(t, want); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if direct := f.noted(); called != direct {
				t.Errorf("the daemon was asked %q, want %q", called, direct)
			}
			f.calls = nil
		})
	}
}

// asJSON is for comparing: a time that travelled is the same moment in another zone.
func asJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAPlanReachesTheDaemonWithItsManifests(t *testing.T) {
	f := newFake()
	manifests := strings.Repeat("kind: ConfigMap # <&>\n", 100_000)
	result, err := daemon(t, f).Plan(t.Context(), PlanRequest{Manifests: manifests})
	if err != nil {
		t.Fatal(err)
	}
	want := PlanResult{Changes: []Change{}, Actions: []PlannedAction{{"create pod shop/web-1", "Deployment shop/web wants 3 pods, has 2"}}}
	if !reflect.DeepEqual(result, want) {
		t.Errorf("got %+v, want %+v", result, want)
	}
	if f.noted() != fmt.Sprintf("plan %+v", PlanRequest{Manifests: manifests}) {
		t.Error("the manifests arrived changed")
	}
}

func TestErrorsOfTheDaemonKeepTheirWordsAndKind(t *testing.T) {
	f := newFake()
	client := daemon(t, f)
	for _, kind := range []error{ErrNotFound, ErrInvalid, ErrConflict, ErrUnavailable} {
		f.err = fmt.Errorf("resume: %w: there is no hold", kind)
		err := client.Resume(t.Context())
		if !errors.Is(err, kind) || err.Error() != f.err.Error() {
			t.Errorf("got %v, want %v", err, f.err)
		}
	}
	f.err = errors.New("disk on fire")
	err := client.Resume(t.Context())
	if err == nil || err.Error() != "disk on fire" || errors.Is(err, ErrNotFound) || errors.Is(err, ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

func TestADaemonThatDoesNotRunIsNamedAsSuch(t *testing.T) {
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead.sock")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false) // as a daemon that was killed leaves it
	listener.Close()
	for _, socket := range []string{dead, filepath.Join(dir, "never.sock")} {
		if _, err := Dial(t.Context(), socket); !errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), "podyard run") {
			t.Errorf("%s: %v", socket, err)
		}
	}
	other := filepath.Join(dir, "file")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(t.Context(), filepath.Join(other, "control.sock")); err == nil || errors.Is(err, ErrNotRunning) {
		t.Errorf("a path that cannot be: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := NewClient(dead).Sync(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who gave up: %v", err)
	}
}

func TestVerbsAreNotForBrowsersAndTakeNoSloppyRequests(t *testing.T) {
	f := newFake()
	control := NewControl(f, f)
	post := func(path, body string, header ...string) int {
		request := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		if len(header) == 2 {
			request.Header.Set(header[0], header[1])
		}
		return serve(control, request).Code
	}
	for _, c := range []struct {
		what string
		got  int
		want int
	}{
		{"a page of another site", post(apiSync, "", "Sec-Fetch-Site", "cross-site"), http.StatusForbidden},
		{"a page of another origin", post(apiSync, "", "Origin", "https://evil.example"), http.StatusForbidden},
		{"no body", post(apiRollback, ""), http.StatusBadRequest},
		{"not JSON", post(apiRollback, "r12"), http.StatusBadRequest},
		{"a misspelled field", post(apiRollback, `{"rev": "r12"}`), http.StatusBadRequest},
		{"a verb that is none", post("/api/v1/explode", "{}"), http.StatusNotFound},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, want %d", c.what, c.got, c.want)
		}
	}
	if calls := f.noted(); calls != "" {
		t.Errorf("the daemon was asked to %s", calls)
	}
	for _, path := range []string{apiSync, apiResume, apiShutdown, apiRollback, apiApprove, apiPlan} {
		if code := serve(control, httptest.NewRequest(http.MethodGet, path, nil)).Code; code != http.StatusNotFound {
			t.Errorf("GET %s: %d", path, code)
		}
	}
}

func TestARequestThatIsRefusedIsNotQuoted(t *testing.T) {
	request := httptest.NewRequest(http.MethodPost, apiPlan, strings.NewReader(`{"manifests": "password: hunter2", "hunter2": 1}`))
	if body := serve(NewControl(newFake(), newFake()), request).Body.String(); strings.Contains(body, "hunter2") {
		t.Errorf("the answer is %s", body)
	}
}

func TestCredentialsInAnAddressAreNotShown(t *testing.T) {
	for address, want := range map[string]string{
		"https://git.example.com/a.git":                    "https://git.example.com/a.git",
		"https://user:hunter2@git.example.com/a.git":       "https://git.example.com/a.git",
		"https://hunter2@git.example.com/a.git":            "https://git.example.com/a.git",
		"ssh://git:hunter2@git.example.com:22/a.git":       "ssh://git@git.example.com:22/a.git",
		"git@git.example.com:a/b.git":                      "git@git.example.com:a/b.git",
		"https://user:hun%ter2@git.example.com/a.git":      "https://git.example.com/a.git",
		"/srv/git/a@b.git":                                 "/srv/git/a@b.git",
		"file:///srv/git/a.git":                            "file:///srv/git/a.git",
		"https://git.example.com/a.git?private_token=keep": "https://git.example.com/a.git?private_token=keep",
	} {
		f := newFake()
		f.snapshot.Sources[0].URL = address
		if got := withoutCredentials(address); got != want {
			t.Errorf("%s is shown as %s, want %s", address, got, want)
		}
		for _, path := range []string{"/", apiStatus} {
			if body := get(t, NewPage(f), path).Body.String(); strings.Contains(body, "hun") {
				t.Errorf("%s shows the password of %s", path, address)
			}
		}
		if f.snapshot.Sources[0].URL != address {
			t.Error("the daemon's own snapshot was changed")
		}
	}
}
