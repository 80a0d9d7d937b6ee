package docker

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podyard/podyard/runtime"
)

// freePorts are ports of the host that were free a moment ago.
func freePorts(t *testing.T, n int) []int32 {
	t.Helper()
	var out []int32
	for range n {
		listener := got(net.Listen("tcp", ":0"))(t)
		defer listener.Close()
		out = append(out, int32(listener.Addr().(*net.TCPAddr).Port))
	}
	return out
}

func ingressPublication(ports []int32) runtime.Publication {
	return runtime.Publication{Name: runtime.IngressPublication, Ports: []runtime.PublishedPort{
		{Protocol: corev1.ProtocolTCP, HostPort: ports[0], Port: 80}, {Protocol: corev1.ProtocolTCP, HostPort: ports[1], Port: 443}}}
}

// webRoutes lead from shop.test to pods at these addresses, on port 80. The certificate is of Secret default/shop.
func webRoutes(t *testing.T, addresses ...string) runtime.Routes {
	t.Helper()
	prefix, port, name := networkingv1.PathTypePrefix, int32(80), "http"
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "default", Name: name} }
	slice := &discoveryv1.EndpointSlice{ObjectMeta: meta("web"), AddressType: discoveryv1.AddressTypeIPv4,
		Ports: []discoveryv1.EndpointPort{{Name: &name, Port: &port}}}
	slice.Labels = map[string]string{discoveryv1.LabelServiceName: "web"}
	for _, a := range addresses {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{a}})
	}
	backend := networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Name: "http"}}}
	return runtime.Routes{
		Services: []*corev1.Service{{ObjectMeta: meta("web"), Spec: corev1.ServiceSpec{
			ClusterIP: corev1.ClusterIPNone, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}}},
		Endpoints: []*discoveryv1.EndpointSlice{slice},
		Ingresses: []*networkingv1.Ingress{{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", Annotations: map[string]string{"podyard.dev/ssl-redirect": "false"}},
			Spec: networkingv1.IngressSpec{
				TLS: []networkingv1.IngressTLS{{Hosts: []string{"shop.test"}, SecretName: "shop"}},
				Rules: []networkingv1.IngressRule{{Host: "shop.test", IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
					Paths: []networkingv1.HTTPIngressPath{{Path: "/", PathType: &prefix, Backend: backend}}}}}},
			}}},
		Certificates: map[string]runtime.Certificate{"default/shop": certificateFor(t, "shop.test")},
	}
}

func certificateFor(t *testing.T, host string) runtime.Certificate {
	t.Helper()
	key := got(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotAfter: time.Now().Add(time.Hour)}
	der := got(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))(t)
	return runtime.Certificate{
		Chain: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: got(x509.MarshalPKCS8PrivateKey(key))(t)}),
	}
}

// webPod answers every request with its name; it returns its address.
func webPod(t *testing.T, e *Engine, ref, name string) string {
	t.Helper()
	id := startPod(t, e, sandboxOf(testPod(name)))
	startContainer(t, e, id, runtime.ContainerConfig{Name: "main", Image: ref,
		Command: []string{"sh", "-c", "mkdir /www; echo " + name + " >/www/index.html; exec httpd -f -p 80 -h /www"}})
	return podIn(t, e, id).IP
}

// visit asks the published port of the host; by TLS the certificate must be the host's.
func visit(client *http.Client, scheme string, port int32) (string, error) {
	request, err := http.NewRequest(http.MethodGet, fmt.Sprintf("%s://127.0.0.1:%d/", scheme, port), nil)
	if err != nil {
		return "", err
	}
	request.Host = "shop.test"
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", response.StatusCode, body)
	}
	return strings.TrimSpace(string(body)), err
}

func visitor(keepAlive bool) *http.Client {
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: !keepAlive, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{ServerName: "shop.test", InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
			return s.PeerCertificates[0].VerifyHostname("shop.test")
		}},
	}}
}

func TestIngressesAreServedOnTheHostsPorts(t *testing.T) {
	e := ensuredEngine(t)
	ref := busybox(t, e.cli)
	one, two := webPod(t, e, ref, "one"), webPod(t, e, ref, "two")
	ports := freePorts(t, 2)
	p := ingressPublication(ports)
	must(t, e.Route(t.Context(), webRoutes(t, one)))
	if s := state(t, e); len(s.Publications) != 0 || len(s.Routes.Ingresses) != 1 {
		t.Errorf("before Publish: %+v, %d Ingresses", s.Publications, len(s.Routes.Ingresses))
	}
	must(t, e.Publish(t.Context(), p))
	if s := state(t, e); len(s.Publications) != 1 || !s.Publications[0].Running || fmt.Sprint(s.Publications[0].Publication) != fmt.Sprint(p) {
		t.Errorf("after Publish: %+v", s.Publications)
	}
	for i, scheme := range []string{"http", "https"} {
		if name, err := visit(visitor(false), scheme, ports[i]); name != "one" || err != nil {
			t.Fatalf("%s: %q, %v", scheme, name, err)
		}
	}
	must(t, e.Route(t.Context(), webRoutes(t, two)))
	if name, err := visit(visitor(false), "https", ports[1]); name != "two" || err != nil {
		t.Errorf("right after Route: %q, %v", name, err)
	}
	holder := e.ingressHolder().id
	must(t, e.Publish(t.Context(), p))
	if e.ingressHolder().id != holder {
		t.Error("the same publication was made anew")
	}

	// Other ports are another holder; what is served stays.
	others := freePorts(t, 2)
	must(t, e.Publish(t.Context(), ingressPublication(others)))
	if name, err := visit(visitor(false), "http", others[0]); name != "two" || err != nil {
		t.Errorf("at another port: %q, %v", name, err)
	}
	if _, err := visit(visitor(false), "http", ports[0]); err == nil {
		t.Error("the old port is open still")
	}
	must(t, e.Unpublish(t.Context(), "", runtime.IngressPublication))
	must(t, e.Unpublish(t.Context(), "", runtime.IngressPublication))
	got(net.Listen("tcp", fmt.Sprintf(":%d", others[0])))(t).Close()
	if s := state(t, e); len(s.Publications) != 0 {
		t.Errorf("after Unpublish: %+v", s.Publications)
	}
	must(t, e.Route(t.Context(), webRoutes(t, one)))

	must(t, e.Teardown(t.Context(), false, nil))
	got(e.cli.VolumeInspect(t.Context(), e.names.ingressCertificates()))(t)
	if _, err := e.cli.VolumeInspect(t.Context(), e.names.ingressState()); err == nil {
		t.Error("the volume with the keys of Secrets is left")
	}
	must(t, e.Teardown(t.Context(), true, nil))
	if _, err := e.cli.VolumeInspect(t.Context(), e.names.ingressCertificates()); err == nil {
		t.Error("the volume with certificates is left")
	}
}

func TestAPortThatIsTakenIsNamedAndTriedAgain(t *testing.T) {
	e := ensuredEngine(t)
	ports := freePorts(t, 2)
	taken := got(net.Listen("tcp", fmt.Sprintf(":%d", ports[0])))(t)
	p := ingressPublication(ports)
	err := e.Publish(t.Context(), p)
	if !errors.Is(err, runtime.ErrPortTaken) || !strings.Contains(err.Error(), fmt.Sprint(ports[0])) {
		t.Errorf("%v", err)
	}
	if s := state(t, e); len(s.Publications) != 1 || s.Publications[0].Running || s.Publications[0].Error == "" {
		t.Errorf("%+v", s.Publications)
	}
	must(t, e.Route(t.Context(), runtime.Routes{})) // Services are routed whatever becomes of Ingresses
	taken.Close()
	must(t, e.Publish(t.Context(), p))
	if s := state(t, e); len(s.Publications) != 1 || !s.Publications[0].Running || s.Publications[0].Error != "" {
		t.Errorf("%+v", s.Publications)
	}
}

// TestTheProxyIsReplacedWithoutAFailedRequest: the daemon goes, another one of a new binary comes, under load.
func TestTheProxyIsReplacedWithoutAFailedRequest(t *testing.T) {
	e := ensuredEngine(t)
	ref := busybox(t, e.cli)
	ports := freePorts(t, 2)
	routes := webRoutes(t, webPod(t, e, ref, "web"))
	must(t, e.Route(t.Context(), routes))
	must(t, e.Publish(t.Context(), ingressPublication(ports)))
	holder, old := e.ingressHolder(), e.ingress.agentID()

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var load sync.WaitGroup
	var visits atomic.Int64
	for i := range 4 {
		load.Go(func() {
			client := visitor(i < 2)
			for ctx.Err() == nil {
				if name, err := visit(client, []string{"http", "https"}[i%2], ports[i%2]); name != "web" || err != nil {
					t.Errorf("%q, %v", name, err)
				}
				visits.Add(1)
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	must(t, e.Close())
	time.Sleep(300 * time.Millisecond) // nobody is there, and it goes on

	options := e.options
	options.Binary = filepath.Join(t.TempDir(), "podyard")
	must(t, os.WriteFile(options.Binary, append(got(os.ReadFile(testBinary))(t), '!'), 0o755))
	next, err := New(t.Context(), options)
	must(t, err)
	t.Cleanup(func() { next.Close() })
	must(t, next.Ensure(t.Context(), nil))
	s := state(t, next)
	if len(s.Routes.Ingresses) != 1 || s.Routes.Ingresses[0].Spec.Rules[0].Host != "shop.test" || len(s.Publications) != 1 || !s.Publications[0].Running {
		t.Errorf("the next daemon finds %+v, %+v", s.Routes.Ingresses, s.Publications)
	}
	must(t, next.Route(t.Context(), routes))
	if now := next.ingressHolder(); now.id != holder.id || !now.started.Equal(holder.started) {
		t.Error("the holder was replaced or restarted")
	}
	if next.ingress.agentID() == old {
		t.Error("the agent is the old one")
	}
	eventually(t, "the old agent drains and goes", func() bool {
		return !slices.ContainsFunc(next.cache.all(), func(en *entry) bool { return en.id == old })
	})
	stop()
	load.Wait()
	t.Logf("%d requests", visits.Load())
	if visits.Load() < 50 {
		t.Errorf("only %d requests", visits.Load())
	}
}

func TestTheProxyIsMended(t *testing.T) {
	e := ensuredEngine(t)
	ref := busybox(t, e.cli)
	ports := freePorts(t, 2)
	must(t, e.Route(t.Context(), webRoutes(t, webPod(t, e, ref, "web"))))
	must(t, e.Publish(t.Context(), ingressPublication(ports)))
	remove := func(id string) {
		must(t, e.cli.ContainerRemove(t.Context(), id, container.RemoveOptions{Force: true}))
	}
	for _, harm := range []struct {
		what string
		do   func()
	}{
		{"the agent is killed", func() { must(t, e.cli.ContainerKill(t.Context(), e.ingress.agentID(), "SIGKILL")) }},
		{"the agent is removed", func() { remove(e.ingress.agentID()) }},
		{"the holder is killed", func() { must(t, e.cli.ContainerKill(t.Context(), e.names.ingressHolder(), "SIGKILL")) }},
		{"the holder is removed", func() { remove(e.names.ingressHolder()) }},
	} {
		harm.do()
		must(t, e.Route(t.Context(), webRoutes(t, podIn(t, e, state(t, e).Pods[0].ID).IP))) // does not wait for it
		eventually(t, harm.what+", and Ingresses are served", func() bool {
			name, err := visit(visitor(false), "https", ports[1])
			return name == "web" && err == nil
		})
	}
}
