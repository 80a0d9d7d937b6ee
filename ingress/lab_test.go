package ingress

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// world is what is in git and what runs: Services by name with the addresses of their endpoints, and Ingresses.
type world struct {
	services     []*corev1.Service
	slices       []*discoveryv1.EndpointSlice
	ingresses    []*networkingv1.Ingress
	certificates []Certificate
	settings     Settings
}

func (w *world) config() Config {
	return NewConfig(w.ingresses, w.services, w.slices, w.certificates, w.settings)
}

// service adds one of port 80, in namespace shop, with endpoints "IP:port" that are ready. They may differ in their ports.
func (w *world) service(name string, addresses ...string) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}}
	w.services = append(w.services, s)
	for i, address := range addresses {
		w.slices = append(w.slices, sliceOf(name, i, address, discoveryv1.EndpointConditions{}))
	}
	return s
}

func sliceOf(service string, n int, address string, conditions discoveryv1.EndpointConditions) *discoveryv1.EndpointSlice {
	host, portText, _ := net.SplitHostPort(address)
	number, _ := strconv.Atoi(portText)
	name, port := "http", int32(number)
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: service + "-" + strconv.Itoa(n),
			Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{host}, Conditions: conditions}},
	}
}

// ingress adds one in namespace shop. Rules are "host/path service", with an = before the host for an Exact path.
func (w *world) ingress(name string, rules ...string) *networkingv1.Ingress {
	in := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Annotations: map[string]string{}}}
	for _, rule := range rules {
		where, service, _ := strings.Cut(rule, " ")
		kind := networkingv1.PathTypePrefix
		if rest, ok := strings.CutPrefix(where, "="); ok {
			where, kind = rest, networkingv1.PathTypeExact
		}
		host, path, _ := strings.Cut(where, "/")
		in.Spec.Rules = append(in.Spec.Rules, networkingv1.IngressRule{Host: host, IngressRuleValue: networkingv1.IngressRuleValue{
			HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{
				{Path: "/" + path, PathType: &kind, Backend: backendOf(service)}}}}})
	}
	w.ingresses = append(w.ingresses, in)
	return in
}

func backendOf(service string) networkingv1.IngressBackend {
	return networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
		Name: service, Port: networkingv1.ServiceBackendPort{Number: 80}}}
}

// lab is an agent that serves on this machine's loopback.
type lab struct {
	*world
	t        *testing.T
	agent    *agent
	server   *server
	plain    string
	secure   string
	fallback *tls.Certificate
	// client follows no redirect, trusts every certificate, and takes every host for the lab's.
	client *http.Client
}

func newLab(t *testing.T) *lab {
	t.Helper()
	life, end := context.WithCancel(context.Background())
	t.Cleanup(end)
	l := &lab{world: &world{}, t: t}
	l.agent = newAgent(life, withDefaults(AgentOptions{Storage: t.TempDir(), Log: slog.New(slog.NewTextHandler(testWriter{t}, nil))}))
	listeners, err := listen(life, []string{"127.0.0.1:0", "127.0.0.1:0"})
	must(t, err)
	l.agent.automatic.listenAt(listeners)
	l.plain, l.secure = listeners[0].Addr().String(), listeners[1].Addr().String()
	l.fallback, err = selfSigned(time.Now())
	must(t, err)
	l.server = newServer(l.agent.proxy, tlsConfig(l.agent.proxy, l.agent.automatic, l.fallback), listeners)
	l.server.start()
	t.Cleanup(func() {
		over, cancel := context.WithCancel(context.Background())
		cancel()
		l.server.drain(over, func() {})
	})
	l.client = l.newClient(&tls.Config{InsecureSkipVerify: true})
	return l
}

// newClient has connections of its own.
func (l *lab) newClient(config *tls.Config) *http.Client {
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, DialContext: l.dial, DisableCompression: true}
	l.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (l *lab) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if strings.HasSuffix(address, ":443") {
		return new(net.Dialer).DialContext(ctx, network, l.secure)
	}
	return new(net.Dialer).DialContext(ctx, network, l.plain)
}

// apply puts the world as it is in force.
func (l *lab) apply() {
	l.settings.HTTPPort, l.settings.HTTPSPort = 80, 443
	l.agent.apply(l.config(), true)
}

// get fetches a URL and returns the status and the body.
func (l *lab) get(url string) (int, string) {
	l.t.Helper()
	response, err := l.client.Get(url)
	must(l.t, err)
	return response.StatusCode, bodyOf(l.t, response)
}

func bodyOf(t *testing.T, response *http.Response) string {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	return string(body)
}

// backend answers each request with a name.
func backend(t *testing.T, name string) string {
	return serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, name) })
}

// serve runs a handler and returns its address.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// closedPort is an address that takes no connections.
func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, check func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !check() {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// testWriter is the log of a test.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(line []byte) (int, error) {
	if w.t.Context().Err() == nil { // the test runs
		w.t.Log(strings.TrimSpace(string(line)))
	}
	return len(line), nil
}

func newJSONLog(out io.Writer) *slog.Logger { return slog.New(slog.NewJSONHandler(out, nil)) }
