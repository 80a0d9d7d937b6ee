package ingress

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/podyard/podyard/wire"
)

// keepConfig writes what an agent finds when it starts.
func keepConfig(t *testing.T, path string, config Config) {
	t.Helper()
	must(t, wire.WriteState(path, config))
}

// attached is a client of an agent whose requests are carried out, but that listens nowhere.
func attached(t *testing.T, opts AgentOptions) (*Client, *agent) {
	t.Helper()
	ctx, end := context.WithCancel(context.Background())
	t.Cleanup(end)
	a := newAgent(ctx, withDefaults(opts))
	a.restore()
	daemon, ours := net.Pipe()
	go wire.Listen(ctx, ours, func(line []byte) { a.take(ctx, line) })
	go a.work(ctx)
	go a.answers.Write(ctx, ours)
	soon, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	c, err := NewClient(soon, daemon)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c, a
}

func TestAConfigIsInForceWhenApplyReturnsAndAfterARestart(t *testing.T) {
	dir := t.TempDir()
	opts := AgentOptions{StateFile: filepath.Join(dir, "config.json"), Storage: filepath.Join(dir, "acme"), Version: "v1"}
	c, a := attached(t, opts)
	if hello := c.Hello(); hello.Version != "v1" || hello.Digest != (Config{}).Digest() {
		t.Errorf("%+v", hello)
	}
	w := newWorld("a")
	in := w.ingress("web", "h/ a")
	in.Annotations["podyard.dev/proxy-body-size"] = "much"
	w.certificates = []Certificate{secret(t, "tls")}
	in.Spec.TLS = append(in.Spec.TLS, networkingv1.IngressTLS{SecretName: "tls"})
	config := w.config()
	must(t, c.Apply(t.Context(), config))
	if a.proxy.router.Load().match("h", "/") == nil {
		t.Error("the Config is not in force")
	}
	info, err := os.Stat(opts.StateFile)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the file with the keys has mode %v", info.Mode())
	}
	next, b := attached(t, opts)
	hello := next.Hello()
	if hello.Digest != config.Digest() || len(hello.Ingresses) != 1 || len(hello.Problems) != 1 || b.proxy.router.Load().match("h", "/") == nil ||
		b.proxy.router.Load().certificates.find("h") == nil {
		t.Errorf("the next agent says %+v", hello)
	}
	in.Annotations["podyard.dev/acme"] = "true"
	in.Spec.TLS = append(in.Spec.TLS, networkingv1.IngressTLS{Hosts: []string{"auto.test"}, SecretName: "none"})
	must(t, next.Apply(t.Context(), w.config()))
	if states, err := next.Certificates(t.Context()); err != nil || len(states) != 1 || states[0].Host != "auto.test" || states[0].Phase != Waiting {
		t.Errorf("certificates %+v, %v", states, err)
	}
	if text := fmt.Sprintf("%+v", hello); strings.Contains(text, "PRIVATE") {
		t.Error("the greeting holds a key")
	}
}

func TestAStateFileThatIsDamagedIsNoReasonNotToStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	must(t, os.WriteFile(path, []byte(`{"ingresses":[{`), 0o600))
	c, _ := attached(t, AgentOptions{StateFile: path, Storage: t.TempDir()})
	must(t, c.Apply(t.Context(), newWorld("a").config()))
}

func TestAStateFileThatCannotBeWrittenIsAnError(t *testing.T) {
	c, a := attached(t, AgentOptions{StateFile: filepath.Join(t.TempDir(), "no", "config.json"), Storage: t.TempDir()})
	w := newWorld("a")
	w.ingress("web", "h/ a")
	if err := c.Apply(t.Context(), w.config()); err == nil || !strings.Contains(err.Error(), "write state") {
		t.Errorf("%v", err)
	}
	if a.proxy.router.Load().match("h", "/") == nil {
		t.Error("the Config is not served")
	}
}

func TestFlagsAreChecked(t *testing.T) {
	opts, err := parse([]string{"--http=:8080", "--state=/s", "--drain=10s"})
	if err != nil || opts.HTTP != ":8080" || opts.HTTPS != ":443" || opts.StateFile != "/s" || opts.Drain != 10*time.Second {
		t.Errorf("%+v, %v", opts, err)
	}
	for _, bad := range [][]string{{"--drain=0s"}, {"--drain=x"}, {"extra"}, {"--other"}} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%v is accepted", bad)
		}
	}
}

func FuzzRequest(f *testing.F) {
	for _, seed := range []string{`{"id":"a","hello":{}}`, `{"id":"a","apply":{"ingresses":[{}],"settings":{}}}`, `{"id":"a","apply":{"ingresses":[null]}}`,
		`{"id":"a","hello":{},"apply":{}}`, `{`, `null`, "\x00"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := decodeRequest(line)
		if err != nil || r.Apply == nil {
			return
		}
		router, _ := compile(*r.Apply, nil)
		router.match("h", "/x")
	})
}
