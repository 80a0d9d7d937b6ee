package ingress

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// echoHeaders answers with what the backend sees.
func echoHeaders(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%s %s\nHost: %s\n", r.Method, r.RequestURI, r.Host)
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		fmt.Fprintf(w, "%s: %s\n", name, strings.Join(r.Header[name], " | "))
	}
}

func (l *lab) send(method, url string, headers ...string) *http.Response {
	l.t.Helper()
	request, err := http.NewRequestWithContext(l.t.Context(), method, url, nil)
	must(l.t, err)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		request.Header[name] = append(request.Header[name], value)
	}
	response, err := l.client.Do(request)
	must(l.t, err)
	return response
}

func TestBackendsSeeTheClientAndNotWhatItSaysOfItself(t *testing.T) {
	l := newLab(t)
	l.service("web", serve(t, echoHeaders))
	l.ingress("web", "shop.test/ web")
	l.apply()
	lies := []string{"X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https", "X_Forwarded_For: 1.2.3.4", "X-Real-Ip: 1.2.3.4", "Forwarded: for=1.2.3.4",
		"X-Forwarded-User: root", "Connection: X-Forwarded-For"}
	seen := bodyOf(t, l.send("GET", "http://shop.test/a%2Fb?q=1;2&x=%zz", append(lies, "X-Request-Id: abc")...))
	for _, want := range []string{"GET /a%2Fb?q=1;2&x=%zz\n", "Host: shop.test\n", "X-Forwarded-For: 127.0.0.1\n", "X-Forwarded-Proto: http\n",
		"X-Forwarded-Host: shop.test\n", "X-Forwarded-Port: 80\n", "X-Real-Ip: 127.0.0.1\n", "X-Request-Id: abc\n"} {
		if !strings.Contains(seen, want) {
			t.Errorf("%q is missing in\n%s", want, seen)
		}
	}
	for _, lie := range []string{"1.2.3.4", "root"} {
		if strings.Contains(seen, lie) {
			t.Errorf("%q reached the backend:\n%s", lie, seen)
		}
	}

	l.settings.TrustedProxies = []string{"127.0.0.0/8", "10.0.0.0/8"}
	l.apply()
	seen = bodyOf(t, l.send("GET", "http://shop.test/", "X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.0.0.7", "X-Forwarded-Proto: https", "Forwarded: for=1.2.3.4"))
	for _, want := range []string{"X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.0.0.7, 127.0.0.1\n", "X-Forwarded-Proto: https\n", "X-Real-Ip: 1.2.3.4\n", "Forwarded: for=1.2.3.4\n"} {
		if !strings.Contains(seen, want) {
			t.Errorf("behind a trusted proxy, %q is missing in\n%s", want, seen)
		}
	}
}

func TestAnswersWithoutABackend(t *testing.T) {
	l := newLab(t)
	l.service("none")
	l.service("refuses", closedPort(t))
	l.service("hangs", serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	l.service("dies", serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	l.ingress("none", "none.test/ none")
	l.ingress("refuses", "refuses.test/ refuses")
	l.ingress("hangs", "hangs.test/ hangs").Annotations["podyard.dev/proxy-read-timeout"] = "200ms"
	l.ingress("dies", "dies.test/ dies")
	l.ingress("closed", "closed.test/ none").Annotations["podyard.dev/allowlist-source-range"] = "10.0.0.0/8"
	l.ingress("moved", "moved.test/ none").Annotations["nginx.ingress.kubernetes.io/permanent-redirect"] = "https://example.org/new"
	l.apply()
	for host, want := range map[string]int{"unknown.test": 404, "none.test": 503, "refuses.test": 502, "hangs.test": 504, "dies.test": 502, "closed.test": 403, "moved.test": 301} {
		response := l.send("GET", "http://"+host+"/", "Accept: text/html")
		page := bodyOf(t, response)
		if response.StatusCode != want {
			t.Errorf("%s: %d, want %d", host, response.StatusCode, want)
		}
		if strings.Contains(page, "127.0.0.1") || strings.Contains(page, "shop/") {
			t.Errorf("%s tells of what is behind:\n%s", host, page)
		}
	}
}

func TestNoUpgradeLeadsPastTheProxy(t *testing.T) {
	l := newLab(t)
	l.service("web", serve(t, echoHeaders))
	l.ingress("web", "shop.test/ web")
	l.apply()
	seen := bodyOf(t, l.send("GET", "http://shop.test/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "Http2-Settings: AAMAAABkAARAAAAAAAIAAAAA"))
	if strings.Contains(seen, "h2c") || strings.Contains(seen, "Http2-Settings") {
		t.Errorf("%s", seen)
	}
}

func TestAWebSocketWorksAndOutlastsAChange(t *testing.T) {
	l := newLab(t)
	l.service("web", serve(t, func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.CloseNow()
		for {
			kind, message, err := conn.Read(r.Context())
			if err != nil || conn.Write(r.Context(), kind, append([]byte("echo "), message...)) != nil {
				return
			}
		}
	}))
	l.ingress("web", "shop.test/ws web")
	l.apply()
	for _, url := range []string{"ws://shop.test/ws", "wss://shop.test/ws"} {
		conn, _, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPClient: l.client})
		must(t, err)
		defer conn.CloseNow()
		for i := range 3 {
			must(t, conn.Write(t.Context(), websocket.MessageText, []byte("hello")))
			if _, message, err := conn.Read(t.Context()); err != nil || string(message) != "echo hello" {
				t.Fatalf("message %d over %s: %q, %v", i, url, message, err)
			}
			l.services[0].Spec.Ports[0].Name = "http"
			l.apply()
		}
	}
}

func TestBothWaysAreStreamed(t *testing.T) {
	l := newLab(t)
	l.service("web", serve(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		lines := bufio.NewScanner(r.Body)
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		for lines.Scan() {
			fmt.Fprintf(w, "echo %s\n", lines.Text())
			_ = http.NewResponseController(w).Flush()
		}
		w.Header().Set(http.TrailerPrefix+"Sum", "42")
	}))
	l.ingress("web", "shop.test/ web").Annotations["podyard.dev/ssl-redirect"] = "false"
	l.apply()
	for _, url := range []string{"http://shop.test/", "https://shop.test/"} { // HTTP/1.1 and HTTP/2
		reader, writer := io.Pipe()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, reader)
		must(t, err)
		response, err := l.client.Do(request)
		must(t, err)
		lines := bufio.NewScanner(response.Body)
		for i := range 5 {
			fmt.Fprintf(writer, "line %d\n", i)
			if !lines.Scan() || lines.Text() != fmt.Sprintf("echo line %d", i) {
				t.Fatalf("%s: %q, %v", url, lines.Text(), lines.Err())
			}
		}
		writer.Close()
		if lines.Scan() || response.Trailer.Get("Sum") != "42" {
			t.Errorf("%s: %q, trailer %v", url, lines.Text(), response.Trailer)
		}
		response.Body.Close()
	}
}

func TestBodiesAreLimited(t *testing.T) {
	l := newLab(t)
	l.service("web", serve(t, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err == nil {
			fmt.Fprint(w, n)
		}
	}))
	l.ingress("web", "shop.test/ web").Annotations["nginx.ingress.kubernetes.io/proxy-body-size"] = "64k"
	l.apply()
	for _, c := range []struct {
		size, want int
		chunked    bool
	}{{64 << 10, 200, false}, {64<<10 + 1, 413, false}, {64 << 10, 200, true}, {1 << 20, 413, true}} {
		var body io.Reader = strings.NewReader(strings.Repeat("x", c.size))
		if c.chunked {
			body = struct{ io.Reader }{body}
		}
		response, err := l.client.Post("http://shop.test/", "text/plain", body)
		must(t, err)
		if bodyOf(t, response); response.StatusCode != c.want {
			t.Errorf("%d bytes, chunked %t: %d, want %d", c.size, c.chunked, response.StatusCode, c.want)
		}
	}
}

func TestThePathAndHostOfTheBackendCanBeOthers(t *testing.T) {
	l := newLab(t)
	l.service("web", serve(t, echoHeaders))
	in := l.ingress("web", "shop.test/old web")
	in.Annotations["nginx.ingress.kubernetes.io/rewrite-target"] = "/new/place"
	in.Annotations["nginx.ingress.kubernetes.io/upstream-vhost"] = "inner.test"
	l.apply()
	if _, seen := l.get("http://shop.test/old/x%20y?q=1"); !strings.HasPrefix(seen, "GET /new/place?q=1\nHost: inner.test\n") {
		t.Errorf("%s", seen)
	}
}

func TestASilentPartOfAnAnswerEndsIt(t *testing.T) {
	l := newLab(t)
	l.service("web", serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "begin")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	l.ingress("web", "shop.test/ web").Annotations["podyard.dev/proxy-read-timeout"] = "300ms"
	l.apply()
	response := l.send("GET", "http://shop.test/")
	body, err := io.ReadAll(response.Body)
	if string(body) != "begin" || err == nil {
		t.Errorf("%q, %v", body, err)
	}
}

func TestASlowHeaderIsNotWaitedForForEver(t *testing.T) {
	if headerTimeout > time.Minute || maxHeader > 1<<20 {
		t.Fatal("no limits")
	}
	l := newLab(t)
	l.apply()
	conn, err := net.Dial("tcp", l.plain)
	must(t, err)
	defer conn.Close()
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: shop.test\r\nX: %s\r\n\r\n", strings.Repeat("x", 2*maxHeader))
	answer, _ := io.ReadAll(conn)
	if !strings.HasPrefix(string(answer), "HTTP/1.1 431 ") {
		t.Errorf("%.60q", answer)
	}
}

func TestOnlyClientsOfTheSourceRangesConnect(t *testing.T) {
	l := newLab(t)
	l.service("web", backend(t, "web"))
	l.ingress("web", "shop.test/ web")
	l.settings.SourceRanges = []string{"10.0.0.0/8"}
	l.apply()
	if response, err := l.client.Get("http://shop.test/"); err == nil {
		t.Errorf("a client from elsewhere gets %d", response.StatusCode)
	}
	l.settings.SourceRanges = []string{"10.0.0.0/8", "127.0.0.0/8"}
	l.apply()
	if status, _ := l.get("http://shop.test/"); status != 200 {
		t.Errorf("%d", status)
	}
}

func TestAccessLogTellsOfEachRequestWithoutItsQuery(t *testing.T) {
	l := newLab(t)
	var out lines
	l.agent.proxy.access = newJSONLog(&out)
	l.service("web", backend(t, "hello"))
	l.ingress("web", "shop.test/ web")
	l.apply()
	l.get("http://shop.test/quiet")
	l.settings.AccessLog = true
	l.apply()
	l.get("http://shop.test/path?token=sesame")
	eventually(t, "a line is logged", func() bool { return out.String() != "" })
	line := out.String()
	for _, want := range []string{`"path":"/path"`, `"status":200`, `"bytes":5`, `"ingress":"shop/web"`, `"host":"shop.test"`, `"client":"127.0.0.1"`} {
		if !strings.Contains(line, want) {
			t.Errorf("%s lacks %s", line, want)
		}
	}
	if strings.Contains(line, "sesame") || strings.Contains(line, "quiet") {
		t.Errorf("%s", line)
	}
}

// lines is a log that is read while it is written.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(data)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestAClientThatGoesEndsItsRequest(t *testing.T) {
	l := newLab(t)
	ended := make(chan struct{})
	l.service("web", serve(t, func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		close(ended)
	}))
	l.ingress("web", "shop.test/ web")
	l.apply()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, "GET", "http://shop.test/", nil)
	must(t, err)
	if _, err := l.client.Do(request); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the backend works on for nobody")
	}
}
