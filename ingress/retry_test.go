package ingress

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
)

func TestARequestGoesToAnotherEndpointIfOneIsGone(t *testing.T) {
	l := newLab(t)
	var dropped atomic.Int32
	drops := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		dropped.Add(1)
		panic(http.ErrAbortHandler) // the connection ends without an answer
	})
	echo := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	})
	l.service("half", closedPort(t), echo)
	l.service("drops", drops, echo)
	l.ingress("half", "half.test/ half")
	l.ingress("drops", "drops.test/ drops")
	l.apply()
	for i := range 50 {
		body := strings.Repeat("x", 1+i*1000)
		response, err := l.client.Post("http://half.test/", "text/plain", strings.NewReader(body))
		must(t, err)
		if got := bodyOf(t, response); response.StatusCode != 200 || got != body {
			t.Fatalf("a request that nobody took: %d, %d bytes of %d", response.StatusCode, len(got), len(body))
		}
	}
	for i := range 50 {
		body := strings.Repeat("x", i*1000)
		request, err := http.NewRequest(http.MethodPut, "http://drops.test/", strings.NewReader(body))
		must(t, err)
		response, err := l.client.Do(request)
		must(t, err)
		if got := bodyOf(t, response); response.StatusCode != 200 || got != body {
			t.Fatalf("an idempotent request: %d, %d bytes of %d", response.StatusCode, len(got), len(body))
		}
	}
	if dropped.Load() == 0 {
		t.Error("no request met the endpoint that drops it")
	}
	failures, before := 0, dropped.Load()
	for range 50 {
		response, err := l.client.Post("http://drops.test/", "text/plain", strings.NewReader("once"))
		must(t, err)
		if bodyOf(t, response); response.StatusCode == 502 {
			failures++
		}
	}
	if met := int(dropped.Load() - before); failures == 0 || failures != met {
		t.Errorf("%d of the POSTs failed, %d met the endpoint that drops them: none may be sent twice", failures, met)
	}
}

func TestABodyThatIsTooLargeToKeepIsNotSentTwice(t *testing.T) {
	l := newLab(t)
	var met atomic.Int32
	drops := func(http.ResponseWriter, *http.Request) {
		met.Add(1)
		panic(http.ErrAbortHandler)
	}
	readsAndDrops := func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		drops(w, r)
	}
	l.service("web", serve(t, readsAndDrops), serve(t, readsAndDrops))
	l.ingress("web", "shop.test/ web")
	l.apply()
	request, err := http.NewRequest(http.MethodPut, "http://shop.test/", strings.NewReader(strings.Repeat("x", 2*maxKept)))
	must(t, err)
	response, err := l.client.Do(request)
	must(t, err)
	if bodyOf(t, response); response.StatusCode != 502 || met.Load() != 1 {
		t.Errorf("%d after %d attempts", response.StatusCode, met.Load())
	}
}

// TestNoRequestFailsWhileEndpointsComeAndGo: an endpoint leaves the Config, then its server stops, as a pod does.
func TestNoRequestFailsWhileEndpointsComeAndGo(t *testing.T) {
	l := newLab(t)
	l.service("web")
	l.ingress("web", "shop.test/ web")
	type instance struct {
		server  *http.Server
		address string
	}
	start := func() instance {
		listener, err := net.Listen("tcp4", "127.0.0.1:0")
		must(t, err)
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, "ok")
		})}
		go s.Serve(listener)
		return instance{s, listener.Addr().String()}
	}
	running := []instance{start(), start()}
	put := func() {
		l.slices = nil
		for i, r := range running {
			l.slices = append(l.slices, sliceOf("web", i, r.address, discoveryv1.EndpointConditions{}))
		}
		l.apply()
	}
	put()
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var requests atomic.Int64
	for i := range 4 {
		wg.Go(func() {
			client := l.newClient(nil)
			for ctx.Err() == nil {
				method, body := "GET", io.Reader(nil)
				if i%2 == 1 {
					method, body = "POST", strings.NewReader("some body")
				}
				request, _ := http.NewRequest(method, "http://shop.test/", body)
				response, err := client.Do(request)
				if err != nil {
					t.Errorf("%s: %v", method, err)
					return
				}
				if text, err := io.ReadAll(response.Body); response.StatusCode != 200 || err != nil {
					t.Errorf("%s: %d %s %v", method, response.StatusCode, text, err)
				}
				response.Body.Close()
				requests.Add(1)
			}
		})
	}
	for range 15 {
		time.Sleep(100 * time.Millisecond)
		gone := running[0]
		running = append(running[1:], start())
		put()
		must(t, gone.server.Shutdown(t.Context()))
	}
	stop()
	wg.Wait()
	for _, r := range running {
		r.server.Close()
	}
	if requests.Load() < 100 {
		t.Errorf("only %d requests", requests.Load())
	}
}
