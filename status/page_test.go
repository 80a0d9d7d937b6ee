package status

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// everyPage are the addresses of all kinds of pages.
var everyPage = []string{
	"/", "/?health=Stalled&text=cache", "/revisions", "/revisions/13", "/pods/shop/cache-7d9f8-x2x9c",
	"/pods/shop/import-x7k2p", "/pods/shop/report-5f6d7-b8c9d", "/nowhere",
}

func TestPagesLookAsTheyDid(t *testing.T) {
	for path, file := range map[string]string{
		"/":                             "overview.html",
		"/revisions?before=14&limit=2":  "revisions.html",
		"/revisions/r13":                "revision.html",
		"/pods/shop/cache-7d9f8-x2x9c":  "pod.html",
		"/pods/shop/import-x7k2p":       "pod-initializing.html",
		"/pods/shop/report-5f6d7-b8c9d": "pod-pending.html",
		"/pods/shop/gone":               "problem.html",
	} {
		t.Run(file, func(t *testing.T) {
			golden(t, file, get(t, NewPage(newFake()), path).Body.Bytes())
		})
	}
}

func TestAPageOfABrokenInstallationSaysWhatIsWrong(t *testing.T) {
	daemon := newFake()
	s := &daemon.snapshot
	s.Sources[0].State, s.Sources[0].Health = "held at r12: rolled back by hand", Reconciling
	s.Sources[0].Hold = &Hold{Number: 12, Reason: "rolled back by hand", Since: before(time.Minute)}
	s.Sources[0].FetchError = "fetch https://git.example.com/shop/deploy.git: connection refused"
	s.Engine.Error = "dial unix /var/run/docker.sock: connection refused"
	body := get(t, NewPage(daemon), "/").Body.String()
	for _, want := range []string{
		"The container engine does not answer: dial unix /var/run/docker.sock: connection refused",
		"<strong>Held at r12</strong>", "<code>podyard resume</code>", "held at r12: rolled back by hand",
		"<strong>The last fetch failed:</strong> <bdi>fetch https://git.example.com/shop/deploy.git: connection refused</bdi>",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestAnEmptyInstallationHasAPageToo(t *testing.T) {
	daemon := newFake()
	daemon.snapshot = Snapshot{}
	body := get(t, NewPage(daemon), "/").Body.String()
	for _, want := range []string{
		"There is no source to deploy from yet", "podyard run --repo URL", "No commit was deployed yet", "Nothing is deployed.",
		"No pod runs.", "Nothing happened yet.",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestEveryAnswerForbidsForeignAndInlineContent(t *testing.T) {
	page := NewPage(newFake())
	for _, path := range append([]string{"/api/v1/status", "/api/v1/nothing", "/healthz", "/assets/live.js"}, everyPage...) {
		header := get(t, page, path).Header()
		policy := header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: policy %q lacks %s", path, policy, want)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") || strings.Contains(policy, "*") {
			t.Errorf("%s: policy %q is too wide", path, policy)
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
			"Cross-Origin-Resource-Policy": "same-origin",
		} {
			if header.Get(name) != want {
				t.Errorf("%s: %s is %q, want %q", path, name, header.Get(name), want)
			}
		}
	}
}

// TestPagesLoadOnlyTheirOwn reads every page as a browser does: nothing inline, nothing from elsewhere.
func TestPagesLoadOnlyTheirOwn(t *testing.T) {
	page := NewPage(newFake())
	for _, path := range everyPage {
		document := parse(t, get(t, page, path).Body.String())
		for node := range document.Descendants() {
			checkNode(t, path, node)
			for _, attribute := range node.Attr {
				if (attribute.Key == "src" || node.Data == "link") && strings.HasPrefix(attribute.Val, "/") {
					if code := get(t, page, attribute.Val).Code; code != http.StatusOK {
						t.Errorf("%s: %s answers %d", path, attribute.Val, code)
					}
				}
			}
		}
	}
}

func TestPagesAreWellFormedForScreenReaders(t *testing.T) {
	for _, path := range everyPage {
		counts, ids := map[string]int{}, map[string]bool{}
		for node := range parse(t, get(t, NewPage(newFake()), path).Body.String()).Descendants() {
			if node.Type != html.ElementNode {
				continue
			}
			counts[node.Data]++
			checkNames(t, path, node)
			if id := attr(node, "id"); id != "" && ids[id] {
				t.Errorf("%s: two elements have the id %s", path, id)
			} else {
				ids[id] = true
			}
		}
		if counts["main"] != 1 || counts["h1"] != 1 || counts["nav"] != 1 || counts["title"] != 1 {
			t.Errorf("%s: main, h1, nav and title should be there once: %v", path, counts)
		}
		if counts["table"] != counts["caption"] {
			t.Errorf("%s: %d tables have %d captions", path, counts["table"], counts["caption"])
		}
	}
}

// checkNames wants a scope on every heading cell and a name on every field of a form.
func checkNames(t *testing.T, path string, node *html.Node) {
	t.Helper()
	switch node.Data {
	case "th":
		if attr(node, "scope") == "" {
			t.Errorf("%s: a th has no scope", path)
		}
	case "input", "select":
		if node.Parent.Data != "label" {
			t.Errorf("%s: %s %s has no label", path, node.Data, attr(node, "name"))
		}
	case "html":
		if attr(node, "lang") == "" {
			t.Errorf("%s: the language is not said", path)
		}
	}
}

func TestOnlyOwnNamesAreServed(t *testing.T) {
	for _, c := range []struct {
		host   string
		listen []string
		want   bool
	}{
		{"localhost:8420", nil, true},
		{"LOCALHOST.", nil, true},
		{"127.0.0.1:8420", nil, true},
		{"127.8.9.1", nil, true},
		{"[::1]:8420", nil, true},
		{"podyard.localhost:8420", nil, true},
		{"evil.example:8420", nil, false},
		{"localhost.evil.example", nil, false},
		{"127.0.0.1.evil.example", nil, false},
		{"192.168.1.5:8420", nil, false},
		{"", nil, false},
		{"192.168.1.5:8420", []string{"192.168.1.5:8420"}, true},
		{"192.168.1.6:8420", []string{"192.168.1.5"}, false},
		{"192.168.1.6:8420", []string{"0.0.0.0:8420"}, true},
		{"[2001:db8::1]:8420", []string{":8420"}, true},
		{"evil.example:8420", []string{"0.0.0.0:8420"}, false},
		{"evil.example:8420", []string{""}, false},
		{"", []string{""}, false},
		{"box.lan:8420", []string{"box.lan"}, true},
	} {
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		request.Host = c.host
		code := serve(NewPage(newFake(), c.listen...), request).Code
		if got := code == http.StatusOK; got != c.want || !got && code != http.StatusMisdirectedRequest {
			t.Errorf("host %q, listening at %q: %d, want served: %v", c.host, c.listen, code, c.want)
		}
	}
}

func TestThePageIsReadOnly(t *testing.T) {
	daemon := newFake()
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"} {
		for _, path := range []string{"/", apiStatus, apiSync, apiRollback, apiApprove, apiShutdown, apiPlan, apiResume} {
			request := httptest.NewRequest(method, path, strings.NewReader("{}"))
			request.Host = "localhost"
			if code := serve(NewPage(daemon), request).Code; code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s answers %d", method, path, code)
			}
		}
	}
	for _, path := range []string{apiSync, apiRollback, apiApprove, apiShutdown, apiPlan, apiResume} {
		if code := get(t, NewPage(daemon), path).Code; code != http.StatusNotFound {
			t.Errorf("GET %s answers %d", path, code)
		}
	}
	if calls := daemon.noted(); calls != "" {
		t.Errorf("the daemon was asked to %s", calls)
	}
	request := httptest.NewRequest(http.MethodHead, "/", nil)
	request.Host = "localhost"
	if code := serve(NewPage(daemon), request).Code; code != http.StatusOK {
		t.Errorf("HEAD / answers %d", code)
	}
}

func TestTheAPIDoesNotServeOtherSites(t *testing.T) {
	for path, want := range map[string]int{apiStatus: http.StatusForbidden, apiWatch: http.StatusForbidden, "/": http.StatusOK} {
		request := httptest.NewRequest(http.MethodGet, path, nil)
		request.Host = "localhost"
		request.Header.Set("Sec-Fetch-Site", "cross-site")
		if code := serve(NewPage(newFake()), request).Code; code != want {
			t.Errorf("GET %s from another site answers %d, want %d", path, code, want)
		}
	}
}

func TestAPageThatDidNotChangeIsNotSentAgain(t *testing.T) {
	daemon := newFake()
	page := NewPage(daemon)
	tag := get(t, page, "/").Header().Get("ETag")
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	request.Host = "localhost"
	request.Header.Set("If-None-Match", tag)
	if again := serve(page, request); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
		t.Errorf("the same page again: %d, %d bytes", again.Code, again.Body.Len())
	}
	daemon.snapshot.Sources[0].State = "in sync with 5394cb7 since 12:01"
	if again := serve(page, request); again.Code != http.StatusOK || again.Header().Get("ETag") == tag {
		t.Errorf("a page that changed: %d, tag %s", again.Code, again.Header().Get("ETag"))
	}
}

func TestErrorsHaveTheirCodes(t *testing.T) {
	for _, c := range []struct {
		err     error
		code    int
		heading string
	}{
		{fmt.Errorf("revision r99: %w", ErrNotFound), http.StatusNotFound, "Not found"},
		{fmt.Errorf("revision x: %w", ErrInvalid), http.StatusBadRequest, "This address makes no sense"},
		{fmt.Errorf("starting: %w", ErrUnavailable), http.StatusServiceUnavailable, "Not available yet"},
		{errors.New("disk on fire"), http.StatusInternalServerError, "Something went wrong"},
	} {
		daemon := newFake()
		daemon.err = c.err
		for _, path := range []string{"/", "/revisions", "/revisions/13", "/pods/shop/web"} {
			answer := get(t, NewPage(daemon), path)
			if answer.Code != c.code || !strings.Contains(answer.Body.String(), c.heading) ||
				!strings.Contains(answer.Body.String(), c.err.Error()) {
				t.Errorf("%s with %q: %d\n%s", path, c.err, answer.Code, answer.Body)
			}
		}
		answer := get(t, NewPage(daemon), apiStatus)
		if answer.Code != c.code || !strings.Contains(answer.Body.String(), `"error": "`+c.err.Error()+`"`) {
			t.Errorf("API with %q: %d %s", c.err, answer.Code, answer.Body)
		}
	}
}

func TestARevisionWithoutComparisonIsShown(t *testing.T) {
	daemon := newFake()
	page := NewPage(brokenDiff{daemon})
	body := get(t, page, "/revisions/13").Body.String()
	for _, want := range []string{"There is no comparison with the revision before: <bdi>the mirror is gone</bdi>", "ConfigMap"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}
