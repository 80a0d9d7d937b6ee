package gateway

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"
)

// at is a probe of a server.
func at(t *testing.T, address, scheme, path string) ProbeRequest {
	t.Helper()
	host, text, err := net.SplitHostPort(strings.TrimPrefix(strings.TrimPrefix(address, "http://"), "https://"))
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return ProbeRequest{Scheme: scheme, Host: host, Port: int32(port), Path: path, Timeout: 10 * time.Second}
}

func TestAnHTTPProbeIsJudgedByItsStatus(t *testing.T) {
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	defer elsewhere.Close()
	outside, err := url.Parse(elsewhere.URL)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.PathValue("code"))
		w.WriteHeader(code)
		io.WriteString(w, "secret body")
	})
	mux.HandleFunc("/here", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/status/"+r.FormValue("to"), http.StatusFound)
	})
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://localhost:"+outside.Port(), http.StatusFound)
	})
	mux.HandleFunc("/round", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/round", http.StatusFound) })
	mux.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, strings.Repeat("long ", 1<<20)) })
	server := httptest.NewServer(mux)
	defer server.Close()
	for _, c := range []struct {
		path    string
		ok      bool
		message string
	}{
		{"/status/200", true, "secret body"}, {"/status/399", true, "Probe terminated redirects, Response body: secret body"},
		// Upstream keeps the body of a failure to itself: the pod may be somebody else's.
		{"/status/400", false, "HTTP probe failed with statuscode: 400"}, {"/status/503", false, "HTTP probe failed with statuscode: 503"},
		{"/here?to=204", true, ""}, {"/here?to=500", false, "HTTP probe failed with statuscode: 500"},
		{"/away", true, "Probe terminated redirects, Response body: "}, {"/round", false, "stopped after 10 redirects"},
		{"/long", true, strings.Repeat("long ", 100)},
	} {
		request := at(t, server.URL, "http", c.path)
		answer := request.run(t.Context())
		if answer.OK != c.ok || !strings.Contains(answer.Message, c.message) || len(answer.Message) > maxProbeMessage {
			t.Errorf("%s: %+v; want %t, %q", c.path, answer, c.ok, c.message)
		}
	}
}

func TestTheHeadersOfAnHTTPProbe(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "host=%s agent=%q accept=%q x=%q encoding=%q query=%s", r.Host, r.Header["User-Agent"], r.Header["Accept"], r.Header["X-Probe"],
			r.Header["Accept-Encoding"], r.URL.RawQuery)
	}))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	for _, c := range []struct {
		headers []Header
		want    string
	}{
		{nil, `host=` + address + ` agent=["kube-probe/podyard"] accept=["*/*"] x=[] encoding=[] query=a=b`},
		{[]Header{{"host", "shop.example.com"}, {"x-probe", "1"}, {"X-Probe", "2"}, {"Accept", "text/plain"}, {"user-agent", "me"}},
			`host=shop.example.com agent=["me"] accept=["text/plain"] x=["1" "2"] encoding=[] query=a=b`},
		{[]Header{{"Accept", ""}, {"User-Agent", ""}}, `host=` + address + ` agent=[] accept=[] x=[] encoding=[] query=a=b`},
	} {
		request := at(t, server.URL, "http", "/?a=b")
		request.Headers = c.headers
		if answer := request.run(t.Context()); !answer.OK || answer.Message != c.want {
			t.Errorf("with %v: %+v; want %s", c.headers, answer, c.want)
		}
	}
}

func TestAnHTTPSProbeChecksNoCertificate(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
		server.EnableHTTP2 = http2
		server.StartTLS()
		request := at(t, server.URL, "https", "/")
		want := map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"}[http2]
		if answer := request.run(t.Context()); !answer.OK || answer.Message != want {
			t.Errorf("%+v; want %s", answer, want)
		}
		server.Close()
	}
}

// healthServer is the health service of the gRPC library, and what it was asked with.
type healthServer struct {
	*health.Server
	asked chan metadata.MD
}

func (s *healthServer) Check(ctx context.Context, r *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	select {
	case s.asked <- md:
	default:
	}
	if r.Service == "slow" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if r.Service == "forbidden" {
		return nil, grpcstatus.Error(codes.PermissionDenied, "not you")
	}
	return s.Server.Check(ctx, r)
}

func serveGRPC(t *testing.T, listener net.Listener, register bool) *healthServer {
	t.Helper()
	service, server := &healthServer{Server: health.NewServer(), asked: make(chan metadata.MD, 1)}, grpc.NewServer()
	if register {
		healthpb.RegisterHealthServer(server, service)
	}
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	return service
}

func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

func TestAGRPCProbeWantsTheServiceToServe(t *testing.T) {
	listener := listen(t, "127.0.0.1:0")
	service := serveGRPC(t, listener, true)
	service.SetServingStatus("shop", healthpb.HealthCheckResponse_SERVING)
	service.SetServingStatus("cache", healthpb.HealthCheckResponse_NOT_SERVING)
	service.SetServingStatus("new", 17)
	for _, c := range []struct {
		service string
		ok      bool
		message string
	}{
		{"", true, "service healthy"}, {"shop", true, "service healthy"},
		{"cache", false, `service unhealthy (responded with "NOT_SERVING")`}, {"new", false, `service unhealthy (responded with "17")`},
		{"nobody", false, "error: health rpc probe failed: rpc error: code = NotFound desc = unknown service"},
		{"forbidden", false, "error: health rpc probe failed: rpc error: code = PermissionDenied desc = not you"},
	} {
		request := at(t, listener.Addr().String(), "grpc", "")
		request.Service = c.service
		if answer := request.run(t.Context()); answer.OK != c.ok || answer.Message != c.message {
			t.Errorf("service %q: %+v; want %t, %q", c.service, answer, c.ok, c.message)
		}
	}
	md := <-service.asked
	if got := md.Get("user-agent"); len(got) != 1 || got[0] != "kube-probe/podyard" {
		t.Errorf("the user agent is %q", got)
	}
}

func TestAGRPCProbeOfWhatHasNoHealthService(t *testing.T) {
	listener := listen(t, "127.0.0.1:0")
	serveGRPC(t, listener, false)
	var plain http.Protocols
	plain.SetUnencryptedHTTP2(true)
	web := httptest.NewUnstartedServer(http.NotFoundHandler())
	web.Config.Protocols = &plain
	web.Start()
	defer web.Close()
	old := httptest.NewServer(http.NotFoundHandler())
	defer old.Close()
	for address, want := range map[string]string{
		listener.Addr().String(): "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): unknown service grpc.health.v1.Health",
		web.URL:                  "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): unexpected HTTP status code received from server: 404",
		old.URL:                  "error: health rpc probe failed: ",
	} {
		request := at(t, address, "grpc", "")
		if answer := request.run(t.Context()); answer.OK || !strings.HasPrefix(answer.Message, want) {
			t.Errorf("%s: %+v; want %q", address, answer, want)
		}
	}
}

func TestAGRPCProbeThatRunsOutOfTime(t *testing.T) {
	listener := listen(t, "127.0.0.1:0")
	serveGRPC(t, listener, true)
	slow := at(t, listener.Addr().String(), "grpc", "")
	slow.Service, slow.Timeout = "slow", 300*time.Millisecond
	if answer := slow.run(t.Context()); answer.OK || answer.Message != "timeout: health rpc did not complete within 300ms" {
		t.Errorf("a slow service: %+v", answer)
	}
	free := listen(t, "127.0.0.1:0")
	closed := at(t, free.Addr().String(), "grpc", "")
	free.Close()
	closed.Timeout = 300 * time.Millisecond
	want := fmt.Sprintf("timeout: failed to connect service %q within 300ms: ", closed.address())
	if answer := closed.run(t.Context()); answer.OK || !strings.HasPrefix(answer.Message, want) {
		t.Errorf("a closed port: %+v; want %q", answer, want)
	}
}

func TestAGRPCProbeWaitsForTheServerWithinItsTime(t *testing.T) {
	free := listen(t, "127.0.0.1:0")
	address := free.Addr().String()
	free.Close()
	time.AfterFunc(300*time.Millisecond, func() { serveGRPC(t, listen(t, address), true) })
	request := at(t, address, "grpc", "")
	if answer := request.run(t.Context()); !answer.OK {
		t.Errorf("%+v; want success once the server listens", answer)
	}
}

func TestAMalformedHealthResponse(t *testing.T) {
	for body, want := range map[string]uint64{
		"\x00\x00\x00\x00\x00": 0, "\x00\x00\x00\x00\x02\x08\x01": 1, "\x00\x00\x00\x00\x05\x12\x01x\x08\x02": 2,
	} {
		if got, err := decodeHealth([]byte(body)); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", body, got, err, want)
		}
	}
	for _, body := range []string{"", "\x00\x00\x00\x00", "\x01\x00\x00\x00\x02\x08\x01", "\x00\x00\x00\x00\x09\x08\x01", "\x00\x00\x00\x00\x01\x08", "\x00\x00\x00\x00\x02\xff\xff"} {
		if got, err := decodeHealth([]byte(body)); err == nil {
			t.Errorf("%q: %d; want an error", body, got)
		}
	}
}
