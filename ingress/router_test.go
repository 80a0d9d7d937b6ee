package ingress

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// behind tells which Service a request gets to.
func behind(w *world, host, path string) string {
	r, _ := compile(w.config(), nil)
	route := r.match(host, path)
	if route == nil {
		return "none"
	}
	for key, pool := range r.pools {
		if pool == route.pool {
			return key.service
		}
	}
	return "not a Service"
}

func newWorld(services ...string) *world {
	w := &world{}
	for _, name := range services {
		w.service(name, "10.0.0.1:8080")
	}
	return w
}

// The examples of the API's documentation (kubernetes.io/docs/concepts/services-networking/ingress/#examples).
func TestPathsMatchElementByElement(t *testing.T) {
	for _, c := range []struct {
		rules      string
		path, want string
	}{
		{"h/ a", "/any/path", "a"},
		{"=h/foo a", "/foo", "a"},
		{"=h/foo a", "/bar", "none"},
		{"=h/foo a", "/foo/", "none"},
		{"=h/foo/ a", "/foo", "none"},
		{"h/foo a", "/foo", "a"},
		{"h/foo a", "/foo/", "a"},
		{"h/foo/ a", "/foo", "a"},
		{"h/foo/ a", "/foo/", "a"},
		{"h/aaa/bb a", "/aaa/bbb", "none"},
		{"h/aaa/bbb a", "/aaa/bbb", "a"},
		{"h/aaa/bbb/ a", "/aaa/bbb", "a"},
		{"h/aaa/bbb a", "/aaa/bbb/", "a"},
		{"h/aaa/bbb a", "/aaa/bbb/ccc", "a"},
		{"h/aaa/bbb a", "/aaa/bbbxyz", "none"},
		{"h/ a,h/aaa b", "/aaa/ccc", "b"},
		{"h/aaa b,h/ a", "/aaa/ccc", "b"},
		{"h/ a,h/aaa b,h/aaa/bbb c", "/aaa/bbb", "c"},
		{"h/ a,h/aaa b", "/ccc", "a"},
		{"h/aaa a", "/ccc", "none"},
		{"h/foo a,=h/foo b", "/foo", "b"},
		{"h/foo a,=h/foo b", "/foo/bar", "a"},
		{"h/foo a", "/FOO", "none"},
		// What a backend may take for another path cannot avoid a rule.
		{"h/ a,h/admin b", "/x/../admin", "b"},
		{"h/ a,h/admin b", "//admin", "b"},
		{"h/ a,h/admin b", "/./admin/x", "b"},
	} {
		w := newWorld("a", "b", "c")
		w.ingress("web", strings.Split(c.rules, ",")...)
		if got := behind(w, "h", c.path); got != c.want {
			t.Errorf("%s, %s: %s, want %s", c.rules, c.path, got, c.want)
		}
	}
}

func TestTheMostSpecificHostServes(t *testing.T) {
	w := newWorld("exact", "wild", "any", "rest")
	w.ingress("web", "shop.example.com/ exact", "*.example.com/ wild", "/static any")
	catchAll := w.ingress("zz")
	b := backendOf("rest")
	catchAll.Spec.DefaultBackend = &b
	for _, c := range []struct{ host, path, want string }{
		{"shop.example.com", "/", "exact"},
		{"blog.example.com", "/", "wild"},
		{"a.b.example.com", "/", "rest"},
		{"example.com", "/", "rest"},
		{"other.org", "/static/x", "any"},
		{"other.org", "/", "rest"},
		{"", "/static", "any"},
	} {
		if got := behind(w, c.host, c.path); got != c.want {
			t.Errorf("%s%s: %s, want %s", c.host, c.path, got, c.want)
		}
	}
	for given, want := range map[string]string{"Shop.Example.COM:8080": "shop.example.com", "shop.example.com.": "shop.example.com", "[::1]:80": "::1", "": ""} {
		if got := hostName(given); got != want {
			t.Errorf("host %s is %s, want %s", given, got, want)
		}
	}
}

func TestADefaultBackendServesTheRestOfItsHosts(t *testing.T) {
	w := newWorld("a", "b", "other")
	in := w.ingress("web", "h/a a")
	b := backendOf("b")
	in.Spec.DefaultBackend = &b
	in.Spec.Rules = append(in.Spec.Rules, networkingv1.IngressRule{Host: "bare"})
	for where, want := range map[string]string{"h/a": "a", "h/x": "b", "bare/": "b", "elsewhere/": "none"} {
		host, path, _ := strings.Cut(where, "/")
		if got := behind(w, host, "/"+path); got != want {
			t.Errorf("%s: %s, want %s", where, got, want)
		}
	}
}

func TestOfEqualRulesTheFirstByNamespaceAndNameCounts(t *testing.T) {
	w := newWorld("a", "b")
	w.ingress("second", "h/x b")
	w.ingress("first", "h/x a")
	if got := behind(w, "h", "/x"); got != "a" {
		t.Errorf("%s", got)
	}
}

func TestBackendsAreTheReadyEndpoints(t *testing.T) {
	yes, no := true, false
	ready := discoveryv1.EndpointConditions{Ready: &yes, Serving: &yes, Terminating: &no}
	ending := discoveryv1.EndpointConditions{Ready: &no, Serving: &yes, Terminating: &yes}
	starting := discoveryv1.EndpointConditions{Ready: &no, Serving: &no, Terminating: &no}
	for _, c := range []struct {
		what       string
		conditions []discoveryv1.EndpointConditions
		notReady   bool
		want       string
	}{
		{"the ready ones", []discoveryv1.EndpointConditions{ready, ending, starting}, false, "10.0.0.1:80"},
		{"those that end, when nothing else is left", []discoveryv1.EndpointConditions{starting, ending}, false, "10.0.0.2:80"},
		{"none that only starts", []discoveryv1.EndpointConditions{starting}, false, ""},
		{"all of them, with publishNotReadyAddresses", []discoveryv1.EndpointConditions{ready, starting}, true, "10.0.0.1:80 10.0.0.2:80"},
		{"conditions that are not given are true", []discoveryv1.EndpointConditions{{}}, false, "10.0.0.1:80"},
	} {
		w := newWorld()
		w.service("a").Spec.PublishNotReadyAddresses = c.notReady
		for i, conditions := range c.conditions {
			w.slices = append(w.slices, sliceOf("a", i, fmt.Sprintf("10.0.0.%d:80", i+1), conditions))
		}
		w.ingress("web", "h/ a")
		if got := strings.Join(w.config().Backends[0].Endpoints, " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

func TestBackendsAreFoundByPortNameAndNumber(t *testing.T) {
	w := newWorld()
	s := w.service("a", "10.0.0.9:1", "10.0.0.10:1")
	protocol := "kubernetes.io/h2c"
	s.Spec.Ports[0].AppProtocol = &protocol
	s.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	named := w.ingress("named", "h/ a").Spec.Rules[0].HTTP.Paths
	named[0].Backend.Service.Port = networkingv1.ServiceBackendPort{Name: "http"}
	wrong := w.ingress("wrong", "w/ a").Spec.Rules[0].HTTP.Paths
	wrong[0].Backend.Service.Port = networkingv1.ServiceBackendPort{Number: 81}
	w.ingress("other", "o/ gone")
	w.services = append(w.services, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "outside"},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "example.org."}})
	w.ingress("outside", "x/ outside")
	var got []string
	for _, b := range w.config().Backends {
		got = append(got, fmt.Sprintf("%s:%s %s %d %v", b.Service, b.Port, b.Protocol, b.AffinitySeconds, b.Endpoints))
	}
	want := []string{"a:81  0 []", "a:http h2c 10800 [10.0.0.9:1 10.0.0.10:1]", "gone:80  0 []", "outside:80  0 [example.org:80]"}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}

func TestTheConfigIsTheSameWhateverTheOrder(t *testing.T) {
	w := newWorld("a", "b", "c")
	w.ingress("x", "h/ a")
	w.ingress("y", "h/ b", "g/ c")
	before := w.config().Digest()
	slices.Reverse(w.services)
	slices.Reverse(w.slices)
	slices.Reverse(w.ingresses)
	if after := w.config().Digest(); after != before {
		t.Error("another order is another Config")
	}
	w.slices = w.slices[1:]
	if w.config().Digest() == before {
		t.Error("fewer endpoints are the same Config")
	}
}

func TestAnnotationsAreReadUnderBothNames(t *testing.T) {
	in := func(annotations ...string) *networkingv1.Ingress {
		out := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", Annotations: map[string]string{}}}
		for _, a := range annotations {
			key, value, _ := strings.Cut(a, "=")
			out.Annotations[key] = value
		}
		return out
	}
	o, problems := optionsOf(in("nginx.ingress.kubernetes.io/proxy-body-size=8m", "podyard.dev/proxy-body-size=1g",
		"nginx.ingress.kubernetes.io/backend-protocol=grpc", "nginx.ingress.kubernetes.io/proxy-read-timeout=300",
		"nginx.ingress.kubernetes.io/whitelist-source-range=10.0.0.0/8, 192.0.2.1", "podyard.dev/ssl-redirect=false"))
	if len(problems) > 0 || o.bodySize != 1<<30 || o.protocol != H2C || o.readTimeout.Seconds() != 300 || o.sslRedirect || len(o.allowed) != 2 {
		t.Errorf("%+v, %v", o, problems)
	}
	for _, wrong := range []string{"proxy-body-size=much", "proxy-body-size=-1", "backend-protocol=FCGI", "proxy-read-timeout=0", "ssl-redirect=perhaps",
		"rewrite-target=/$2", "rewrite-target=x", "permanent-redirect=/x", "permanent-redirect-code=200", "upstream-vhost=a b"} {
		if _, problems := optionsOf(in("podyard.dev/" + wrong)); len(problems) != 1 || !strings.Contains(problems[0].Error(), "Ingress shop/web") {
			t.Errorf("%s: %v", wrong, problems)
		}
	}
	if o, problems := optionsOf(in("podyard.dev/allowlist-source-range=10.0.0.0/8,here")); len(problems) != 1 || !o.restricted || len(o.allowed) != 0 {
		t.Errorf("a list that cannot be read lets in %v, %v", o.allowed, problems)
	}
}

func TestKeysArePrintedNowhere(t *testing.T) {
	w := newWorld("a")
	in := w.ingress("web", "h/ a")
	in.Spec.TLS = []networkingv1.IngressTLS{{SecretName: "tls"}}
	w.certificates = []Certificate{{Namespace: "shop", Secret: "tls", Chain: []byte("not a chain"), Key: []byte("sesame")}}
	config := w.config()
	if len(config.Certificates) != 1 {
		t.Fatal("the certificate is not in the Config")
	}
	_, problems := compile(config, nil)
	if len(problems) != 1 {
		t.Errorf("%v", problems)
	}
	if text := fmt.Sprintf("%v %+v %#v %s %v", config, config, config.Certificates, config.Digest(), problems); strings.Contains(text, "sesame") {
		t.Errorf("the key is in %s", text)
	}
}
