package sources

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// server is a directory of bare repositories behind git http-backend.
type server struct {
	*httptest.Server
	root string
	// gets and posts count requests: refs asked for, packs asked for.
	gets, posts atomic.Int64
}

// serve starts a server with one repository, app.git. With a user it asks for basic authentication.
func serve(t testing.TB, user, password string) (s *server, work string) {
	t.Helper()
	s = &server{root: t.TempDir()}
	work = newRepo(t)
	git(t, work, "init", "-q", "--bare", filepath.Join(s.root, "app.git"))
	git(t, work, "remote", "add", "origin", filepath.Join(s.root, "app.git"))
	git(t, work, "push", "-q", "origin", "HEAD:main")
	backend := &cgi.Handler{
		Path: git(t, work, "--exec-path") + "/git-http-backend",
		Env:  []string{"GIT_PROJECT_ROOT=" + s.root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null", "HOME=/nonexistent"},
		Root: "/", Stderr: io.Discard,
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			s.gets.Add(1)
		} else {
			s.posts.Add(1)
		}
		u, p, _ := r.BasicAuth()
		if user != "" && (u != user || p != password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "who are you, "+u+":"+p+"?", http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s, work
}

func push(t testing.TB, work string, args ...string) {
	t.Helper()
	git(t, work, append([]string{"push", "-q", "origin"}, args...)...)
}

func TestRemoteRepository(t *testing.T) {
	s, work := serve(t, "", "")
	src := open(t, t.TempDir(), Options{URL: s.URL + "/app.git"})
	first := fetch(t, src)
	wantFile(t, first, "app.yaml", "one")
	if !strings.HasPrefix(first.Revision, "main@sha1:") {
		t.Errorf("revision = %s", first.Revision)
	}

	posts := s.posts.Load()
	if fetch(t, src) != first {
		t.Error("a fetch without news returned another artifact")
	}
	if s.posts.Load() != posts {
		t.Error("a fetch without news asked for a pack")
	}

	for i := range 5 {
		head := commit(t, work, "app.yaml", fmt.Sprint("push ", i))
		push(t, work, "HEAD:main")
		a := fetch(t, src)
		wantCommit(t, a, head)
		wantFile(t, a, "app.yaml", fmt.Sprint("push ", i))
	}
	wantFile(t, resolve(t, src, "HEAD~5"), "app.yaml", "one")
	wantFile(t, first, "app.yaml", "one")

	write(t, filepath.Join(work, "app.yaml"), "amended")
	git(t, work, "commit", "-qa", "--amend", "-m", "amended")
	push(t, work, "--force", "HEAD:main")
	wantFile(t, fetch(t, src), "app.yaml", "amended")

	git(t, work, "reset", "-q", "--hard", "HEAD~3")
	push(t, work, "--force", "HEAD:main")
	wantCommit(t, fetch(t, src), git(t, work, "rev-parse", "HEAD"))

	git(t, work, "checkout", "-q", "--orphan", "unrelated")
	head := commit(t, work, "app.yaml", "another history")
	push(t, work, "--force", "HEAD:main")
	wantCommit(t, fetch(t, src), head)
}

func TestRemoteHistoryIsLimitedAndGitCanReadIt(t *testing.T) {
	s, work := serve(t, "", "")
	for i := range 60 {
		commit(t, work, "app.yaml", fmt.Sprint("before ", i))
	}
	push(t, work, "HEAD:main")
	data := t.TempDir()
	src := open(t, data, Options{URL: s.URL + "/app.git"})
	fetch(t, src)
	dir := mirrorPath(t, data)
	if n := len(strings.Fields(git(t, dir, "rev-list", "HEAD"))); n != historyDepth {
		t.Errorf("the mirror has %d commits, want %d", n, historyDepth)
	}
	wantFile(t, resolve(t, src, "HEAD~49"), "app.yaml", "before 10")
	_, err := src.Resolve(context.Background(), "HEAD~50")
	mustSay(t, err, "older than what is kept here", "newest 50 commits")
	if !errors.Is(err, ErrRevision) {
		t.Errorf("errors.Is(%v, ErrRevision) = false", err)
	}

	// More commits than are fetched at once, with merges.
	for i := range 40 {
		git(t, work, "checkout", "-q", "-B", "side")
		commit(t, work, fmt.Sprintf("side/%d.yaml", i), "side")
		git(t, work, "checkout", "-q", "main")
		commit(t, work, "app.yaml", fmt.Sprint("after ", i))
		git(t, work, "merge", "-q", "--no-edit", "side")
	}
	push(t, work, "HEAD:main")
	a := fetch(t, src)
	wantFile(t, a, "app.yaml", "after 39")
	wantFile(t, a, "side/0.yaml", "side")
	git(t, dir, "fsck", "--strict")

	// After that, one commit at a time.
	for i := range 5 {
		head := commit(t, work, "app.yaml", fmt.Sprint("last ", i))
		push(t, work, "HEAD:main")
		wantCommit(t, fetch(t, src), head)
	}
	git(t, dir, "fsck", "--strict")
	git(t, work, "revert", "--no-edit", "HEAD")
	push(t, work, "HEAD:main")
	wantCommit(t, fetch(t, src), git(t, work, "rev-parse", "HEAD"))
	git(t, dir, "fsck", "--strict")
}

func TestASmallPushSendsLittle(t *testing.T) {
	s, work := serve(t, "", "")
	for i := range 400 {
		write(t, filepath.Join(work, fmt.Sprintf("d/f%d.yaml", i)), strings.Repeat(fmt.Sprint(i), 200))
	}
	commit(t, work, "app.yaml", "many")
	push(t, work, "HEAD:main")
	data := t.TempDir()
	src := open(t, data, Options{URL: s.URL + "/app.git"})
	fetch(t, src)
	before, _ := (&mirror{dir: mirrorPath(t, data)}).looseObjects()
	commit(t, work, "app.yaml", "one more")
	push(t, work, "HEAD:main")
	fetch(t, src)
	after, _ := (&mirror{dir: mirrorPath(t, data)}).looseObjects()
	// The commit, its tree and the file.
	if n := len(after) - len(before); n != 3 {
		t.Errorf("one commit brought %d objects, want 3", n)
	}
}

func TestTags(t *testing.T) {
	s, work := serve(t, "", "")
	one := git(t, work, "rev-parse", "HEAD")
	git(t, work, "tag", "light")
	git(t, work, "tag", "-a", "v1.0", "-m", "first")
	two := commit(t, work, "app.yaml", "two")
	push(t, work, "HEAD:main", "--tags")
	src := open(t, t.TempDir(), Options{URL: s.URL + "/app.git"})
	fetch(t, src)
	for rev, want := range map[string]string{"light": one, "v1.0": one, "refs/tags/v1.0": one, "v1.0^0": one, "main~1": one, "HEAD": two, "v1.0^{}": ""} {
		a, err := src.Resolve(context.Background(), rev)
		if want == "" {
			mustSay(t, err, "not a name that can be looked up")
		} else if err != nil || a.Commit.Hash != want {
			t.Errorf("%s = %v, %v, want %s", rev, a, err, want)
		}
	}
	if a := resolve(t, src, "v1.0"); a.Revision != "v1.0@sha1:"+one {
		t.Errorf("revision = %s, want v1.0@sha1:%s", a.Revision, one)
	}

	// Moved, removed and made without a new commit.
	git(t, work, "tag", "-f", "light", "HEAD")
	git(t, work, "tag", "-a", "v2.0", "-m", "second", one)
	git(t, work, "tag", "-d", "v1.0")
	git(t, work, "tag", "v1.0/hotfix", "HEAD")
	push(t, work, ":refs/tags/v1.0")
	push(t, work, "--force", "refs/tags/light", "refs/tags/v2.0")
	git(t, work, "push", "-q", "origin", "refs/tags/v1.0/hotfix")
	fetch(t, src)
	wantCommit(t, resolve(t, src, "light"), two)
	wantCommit(t, resolve(t, src, "v2.0"), one)
	wantCommit(t, resolve(t, src, "v1.0/hotfix"), two)
	if _, err := src.Resolve(context.Background(), "v1.0"); !errors.Is(err, ErrRevision) {
		t.Errorf("a removed tag still resolves: %v", err)
	}
	posts := s.posts.Load()
	fetch(t, src)
	if s.posts.Load() != posts {
		t.Error("a fetch without news asked for a pack")
	}
}

func TestBranchOfARemote(t *testing.T) {
	s, work := serve(t, "", "")
	push(t, work, "HEAD:release/1.x")
	src := open(t, t.TempDir(), Options{URL: s.URL + "/app.git", Branch: "release/1.x"})
	if a := fetch(t, src); !strings.HasPrefix(a.Revision, "release/1.x@sha1:") {
		t.Errorf("revision = %s", a.Revision)
	}
	push(t, work, "--delete", "release/1.x")
	fetchError(t, src, `no branch "release/1.x"`, "main")
	// What is on disk is still there to go back to.
	resolve(t, src, "HEAD")
}

func TestAMirrorIsUsedAgainAfterARestart(t *testing.T) {
	s, work := serve(t, "", "")
	data := t.TempDir()
	fetch(t, open(t, data, Options{URL: s.URL + "/app.git"}))
	posts := s.posts.Load()
	src := open(t, data, Options{URL: s.URL + "/app.git"})
	wantCommit(t, resolve(t, src, "HEAD"), git(t, work, "rev-parse", "HEAD"))
	fetch(t, src)
	if s.posts.Load() != posts {
		t.Error("the repository was cloned again")
	}
}

func TestADamagedMirrorOfARemoteKeepsItsPins(t *testing.T) {
	s, work := serve(t, "", "")
	data := t.TempDir()
	src := open(t, data, Options{URL: s.URL + "/app.git"})
	pinned := commit(t, work, "app.yaml", "deployed")
	push(t, work, "HEAD:main")
	fetch(t, src)
	if err := src.Pin(context.Background(), 1, pinned); err != nil {
		t.Fatal(err)
	}
	git(t, work, "reset", "-q", "--hard", "HEAD~1")
	commit(t, work, "app.yaml", "forced")
	push(t, work, "--force", "HEAD:main")
	wantFile(t, fetch(t, src), "app.yaml", "forced")
	remove(t, mirrorPath(t, data)+"/config")
	src = open(t, data, Options{URL: s.URL + "/app.git"})
	wantFile(t, fetch(t, src), "app.yaml", "forced")
	wantFile(t, resolve(t, src, pinned), "app.yaml", "deployed")
}

const canary = "hunter2-canary"

func withUser(raw, user, password string) string {
	u, _ := url.Parse(raw)
	u.User = url.UserPassword(user, password)
	return u.String()
}

func TestCredentialsInTheURL(t *testing.T) {
	s, _ := serve(t, "ann", canary)
	data := t.TempDir()
	src := open(t, data, Options{URL: withUser(s.URL, "ann", canary) + "/app.git"})
	wantFile(t, fetch(t, src), "app.yaml", "one")
	if src.String() != s.URL+"/app.git" {
		t.Errorf("String() = %s", src)
	}
	filepath.WalkDir(data, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if content, _ := os.ReadFile(path); strings.Contains(string(content), canary) {
				t.Errorf("the password is in %s", path)
			}
		}
		return err
	})
	// A rotated token keeps the mirror.
	if mirrorDir(data, mustParse(t, withUser(s.URL, "ann", "new")+"/app.git")) != mirrorPath(t, data) {
		t.Error("another password has another mirror")
	}
}

func mustParse(t testing.TB, raw string) repoURL {
	t.Helper()
	u, err := parseURL(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// A canary is put in place of every secret; no error may show it, whatever goes wrong.
func TestErrorsOfARemote(t *testing.T) {
	s, work := serve(t, "ann", canary+" right/@?")
	git(t, work, "init", "-q", "--bare", filepath.Join(s.root, "empty.git"))
	says := func(status int, body string) string {
		h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			u, p, _ := r.BasicAuth()
			w.WriteHeader(status)
			fmt.Fprintf(w, "%s %s %s %s http://%s:%s@host/", body, u, p, r.Header.Get("Authorization"), u, p)
		}))
		t.Cleanup(h.Close)
		return h.URL
	}
	right, wrong := canary+" right/@?", canary+" wrong/@?"
	dead := httptest.NewServer(nil)
	dead.Close()
	cases := []struct {
		name string
		url  string
		kind error
		want []string
	}{
		{"no credentials", s.URL + "/app.git", ErrAuth, []string{"not authorised", "USER:TOKEN@"}},
		{"wrong password", withUser(s.URL, "ann", wrong) + "/app.git", ErrAuth, []string{"refuses those in the URL"}},
		{"token as user", withUser(s.URL, wrong, "") + "/app.git", ErrAuth, []string{"refuses those in the URL"}},
		{"no such repository", withUser(s.URL, "ann", right) + "/other.git", ErrNotFound, []string{"check the URL"}},
		{"empty repository", withUser(s.URL, "ann", right) + "/empty.git", ErrEmpty, []string{"commit and push something"}},
		{"forbidden", withUser(says(403, "no"), "ann", wrong) + "/app.git", ErrAuth, []string{"forbids"}},
		{"server error", withUser(says(500, "oops"), "ann", wrong) + "/app.git", nil, []string{"500"}},
		{"not a git server", withUser(says(200, "<html>hello"), "ann", wrong) + "/app.git", nil, []string{"fetch http://"}},
		{"nothing listens", withUser(dead.URL, "ann", wrong) + "/app.git", nil, []string{"connection refused"}},
		{"no such host", withUser("https://nowhere.invalid", "ann", wrong) + "/app.git", nil, []string{"nowhere.invalid"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			src := open(t, t.TempDir(), Options{URL: c.url})
			err := fetchError(t, src, c.want...)
			if c.kind != nil && !errors.Is(err, c.kind) {
				t.Errorf("errors.Is(%v, %v) = false", err, c.kind)
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				if text := fmt.Sprintf("%v %+v %#v %s", e, e, e, src); strings.Contains(text, "hunter2") {
					t.Errorf("the password is shown: %s", text)
				}
			}
		})
	}
}

func TestCredentialsDoNotFollowARedirectToAnotherHost(t *testing.T) {
	s, _ := serve(t, "", "")
	var mu sync.Mutex
	var seen []string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r.Header.Get("Authorization")+r.Header.Get("Cookie"))
		mu.Unlock()
		s.Config.Handler.ServeHTTP(w, r)
	}))
	defer elsewhere.Close()
	// localhost and 127.0.0.1 are two hosts.
	target := strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1)
	asked := ""
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, _, _ = r.BasicAuth()
		http.Redirect(w, r, target+r.URL.RequestURI(), http.StatusFound)
	}))
	defer front.Close()
	wantFile(t, fetch(t, open(t, t.TempDir(), Options{URL: withUser(front.URL, "ann", canary) + "/app.git"})), "app.yaml", "one")
	if asked != "ann" {
		t.Errorf("the first host was asked as %q, want ann", asked)
	}
	if len(seen) < 2 {
		t.Fatalf("the other host saw %d requests, want two", len(seen))
	}
	for _, header := range seen {
		if header != "" {
			t.Errorf("the other host saw %q", header)
		}
	}
}

func TestASilentServerDoesNotHoldAFetch(t *testing.T) {
	hang := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer silent.Close()
	defer close(hang)
	src := open(t, t.TempDir(), Options{URL: silent.URL + "/app.git", Timeout: 20 * time.Millisecond})
	err := fetchError(t, src, "no complete answer within")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("errors.Is(%v, DeadlineExceeded) = false", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := open(t, t.TempDir(), Options{URL: silent.URL + "/app.git"}).Fetch(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("fetch with an ended ctx: %v", err)
	}
}

// Going back must be possible while the server hangs.
func TestResolveDoesNotWaitForTheServer(t *testing.T) {
	s, work := serve(t, "", "")
	var hangs atomic.Bool
	hang := make(chan struct{})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hangs.Load() {
			<-hang
		}
		s.Config.Handler.ServeHTTP(w, r)
	}))
	defer front.Close()
	src := open(t, t.TempDir(), Options{URL: front.URL + "/app.git"})
	fetch(t, src)
	hangs.Store(true)
	done := make(chan error, 1)
	go func() {
		_, err := src.Fetch(context.Background())
		done <- err
	}()
	time.Sleep(20 * time.Millisecond)
	head := git(t, work, "rev-parse", "HEAD")
	wantCommit(t, resolve(t, src, "HEAD"), head)
	if err := src.Pin(context.Background(), 1, head); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := src.Fetch(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second fetch: %v", err)
	}
	select {
	case err := <-done:
		t.Errorf("the fetch did not wait for the server: %v", err)
	default:
	}
	close(hang)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// The stream breaks off in the middle of the pack: nothing may be left open or half stored, and the next fetch succeeds.
func TestABrokenDownload(t *testing.T) {
	s, work := serve(t, "", "")
	for i := range 300 {
		write(t, filepath.Join(work, fmt.Sprintf("f%d.yaml", i)), fmt.Sprint(i, time.Now()))
	}
	commit(t, work, "app.yaml", "two")
	push(t, work, "HEAD:main")
	backend := s.Config.Handler
	var broken atomic.Bool
	broken.Store(true)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && broken.Load() {
			rec := httptest.NewRecorder()
			backend.ServeHTTP(rec, r)
			w.Header().Set("Content-Length", fmt.Sprint(rec.Body.Len()))
			w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
			return
		}
		backend.ServeHTTP(w, r)
	}))
	defer front.Close()
	data := t.TempDir()
	src := open(t, data, Options{URL: front.URL + "/app.git"})
	files := openFiles(t)
	for range 5 {
		fetchError(t, src, "fetch http://")
	}
	if n := openFiles(t) - files; n > 4 {
		t.Errorf("five failed fetches left %d files open", n)
	}
	if left := list(filepath.Join(data, "mirrors"), "", ""); len(left) > 0 {
		t.Errorf("failed clones left %v", left)
	}
	broken.Store(false)
	wantFile(t, fetch(t, src), "app.yaml", "two")
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0 // not Linux: the rest of the test still holds
	}
	return len(entries)
}

func TestRemoteChangesEndWithTheContext(t *testing.T) {
	src := open(t, t.TempDir(), Options{URL: "https://example.org/app.git"})
	ctx, cancel := context.WithCancel(context.Background())
	changes, err := src.Changes(ctx)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-changes:
		t.Error("a remote repository signalled a change")
	case <-time.After(10 * time.Millisecond):
	}
	cancel()
	if _, ok := <-changes; ok {
		t.Error("the channel is not closed")
	}
}
