package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podyard/podyard/wire"
)

// recorder is a balancer that keeps what it was told, and fails on demand.
type recorder struct {
	mu    sync.Mutex
	rules []rule
	gone  []netip.Addr
	err   error
}

func (r *recorder) apply(_ context.Context, rules []rule) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rules = rules
	return r.err
}

func (r *recorder) disconnect(gone map[netip.Addr]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for ip := range gone {
		r.gone = append(r.gone, ip)
	}
}

func (r *recorder) close() {}

// engine stands in for Docker: one agent's standard input and output, to which daemons attach and from which they go.
type engine struct {
	agent    *agent
	balancer *recorder
	stdin    *io.PipeWriter
	mu       sync.Mutex
	attached []io.Writer
}

func newEngine(t *testing.T, stateFile string) *engine {
	t.Helper()
	e := &engine{balancer: &recorder{}}
	e.agent = &agent{
		opts: AgentOptions{StateFile: stateFile}, log: slog.New(slog.DiscardHandler),
		hello:    Hello{Version: "v1", Backend: "recorder"},
		balancer: e.balancer, resolver: newResolver(AgentOptions{}, newForwarder(nil)),
		table: Table{Domain: DefaultDomain}, jobs: make(chan request, 16),
		probes: make(chan struct{}, maxProbes), answers: wire.NewAnswers(slog.New(slog.DiscardHandler)),
	}
	e.agent.restore(t.Context())
	var in *io.PipeReader
	in, e.stdin = io.Pipe()
	go e.agent.read(t.Context(), in)
	go e.agent.work(t.Context())
	go e.agent.answers.Write(t.Context(), e)
	t.Cleanup(func() { in.Close() })
	return e
}

// Write is the agent's standard output: all who are attached hear it.
func (e *engine) Write(p []byte) (int, error) {
	e.mu.Lock()
	attached := e.attached
	e.mu.Unlock()
	for _, w := range attached {
		_, _ = w.Write(p) // fails for those who went away
	}
	return len(p), nil
}

// attach returns a daemon's end. Closing it does not close the agent's standard input.
func (e *engine) attach() net.Conn {
	daemon, ours := net.Pipe()
	e.mu.Lock()
	e.attached = append(e.attached, ours)
	e.mu.Unlock()
	go io.Copy(e.stdin, ours)
	return daemon
}

func (e *engine) client(t *testing.T) *Client {
	t.Helper()
	c, err := NewClient(soon(t), e.attach())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestTableIsInForceWhenApplyReturns(t *testing.T) {
	e := newEngine(t, filepath.Join(t.TempDir(), "table.json"))
	c := e.client(t)
	if c.Hello().Version != "v1" || c.Hello().Backend != "recorder" || len(c.Table().Services) != 0 {
		t.Errorf("greeted by %+v", c.Hello())
	}
	table := dnsTable()
	if err := c.Apply(soon(t), table); err != nil {
		t.Fatal(err)
	}
	if len(e.balancer.rules) != 2 || e.agent.resolver.zone.Load().names["web.shop.svc.cluster.local."] == nil {
		t.Errorf("rules %+v", e.balancer.rules)
	}
	if !c.Table().Equal(table) || !e.client(t).Table().Equal(table) {
		t.Error("the clients do not know the table")
	}
	if next := newEngine(t, e.agent.opts.StateFile); !next.client(t).Table().Equal(table) {
		t.Error("the next agent does not know the table")
	}
}

func TestFailureIsReportedAndTheOldTableStays(t *testing.T) {
	e := newEngine(t, "")
	c := e.client(t)
	if err := c.Apply(soon(t), dnsTable()); err != nil {
		t.Fatal(err)
	}
	e.balancer.err = errors.New("no buffer space")
	err := c.Apply(soon(t), Table{})
	if err == nil || !strings.Contains(err.Error(), "no buffer space") {
		t.Errorf("error %v", err)
	}
	if !c.Table().Equal(dnsTable()) || !e.client(t).Table().Equal(dnsTable()) {
		t.Error("the table that failed is taken for the one in force")
	}
}

func TestDaemonsComeAndGoInTheMiddleOfALine(t *testing.T) {
	e := newEngine(t, "")
	if err := e.client(t).Apply(soon(t), dnsTable()); err != nil {
		t.Fatal(err)
	}
	whole, err := wire.Encode(request{ID: "dead-1", Apply: &Table{}})
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(whole) - 1 {
		dead := e.attach()
		if cut > 0 {
			if _, err := dead.Write(whole[:cut]); err != nil {
				t.Fatal(err)
			}
		}
		dead.Close()
		if cut == len(whole)-2 {
			break // one byte short of the end the line is whole but for the line end, which the next daemon sends
		}
		next, err := NewClient(soon(t), e.attach())
		if err != nil {
			t.Fatalf("after %q: %v", whole[:cut], err)
		}
		if !next.Table().Equal(dnsTable()) {
			t.Fatalf("%q took effect", whole[:cut])
		}
		next.Close()
	}
}

func TestSeveralDaemonsAtOnce(t *testing.T) {
	e := newEngine(t, "")
	var wg sync.WaitGroup
	for i := range 8 {
		c := e.client(t)
		wg.Go(func() {
			for j := range 20 {
				table := Table{Domain: DefaultDomain, Services: []Service{{Namespace: "n", Name: fmt.Sprintf("s%d-%d", i, j)}}}
				if err := c.Apply(soon(t), table); err != nil {
					t.Error(err)
				}
				if !c.Table().Equal(table) {
					t.Error("not the table that was applied")
				}
			}
		})
	}
	wg.Wait()
}

func TestProbesRunSideBySide(t *testing.T) {
	silent, err := net.Listen("tcp4", "127.0.0.1:0") // accepts, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	port := int32(silent.Addr().(*net.TCPAddr).Port)
	c := newEngine(t, "").client(t)
	start := time.Now()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			ok, message, err := c.Probe(soon(t), ProbeRequest{Scheme: "http", Host: "127.0.0.1", Port: port,
				Headers: []Header{{"Authorization", "sesame"}}, Timeout: 500 * time.Millisecond})
			if ok || err != nil || message == "" || strings.Contains(message, "sesame") {
				t.Errorf("%t %q %v", ok, message, err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("20 probes of half a second took %s", took)
	}
}

func TestHugeTableFitsOneLine(t *testing.T) {
	e := newEngine(t, "")
	c := e.client(t)
	table := Table{Domain: DefaultDomain}
	for i := range 3000 {
		s := dnsTable().Services[1]
		s.Name = fmt.Sprintf("db-%d", i)
		table.Services = append(table.Services, s)
	}
	if line, _ := wire.Encode(table); len(line) < 1<<20 {
		t.Fatalf("only %d bytes", len(line))
	}
	if err := c.Apply(soon(t), table); err != nil {
		t.Fatal(err)
	}
	if !e.client(t).Table().Equal(table) {
		t.Error("not the same table came back")
	}
}

func TestCallsEndWithTheStreamAndWithTheirContext(t *testing.T) {
	daemon, agentEnd := net.Pipe() // nobody reads or answers at the other end
	if _, err := NewClient(cancelled(t), daemon); !errors.Is(err, context.Canceled) {
		t.Errorf("a greeting without end: %v", err)
	}
	agentEnd.Close()

	e := newEngine(t, "")
	c := e.client(t)
	e.mu.Lock()
	ours := e.attached[0].(net.Conn)
	e.mu.Unlock()
	if c.Err() != nil {
		t.Errorf("before the end: %v", c.Err())
	}
	ours.Close()
	<-c.Done()
	if !errors.Is(c.Err(), ErrClosed) {
		t.Errorf("after the end: %v", c.Err())
	}
	if err := c.Apply(soon(t), Table{}); !errors.Is(err, ErrClosed) {
		t.Errorf("apply after the end: %v", err)
	}
}

func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	t.Cleanup(cancel)
	stop, end := context.WithCancel(ctx)
	time.AfterFunc(30*time.Millisecond, end)
	t.Cleanup(end)
	return stop
}

func TestEndOfInputEndsNothing(t *testing.T) {
	// The reader ends, then goes on, as a pipe does whose writer was replaced.
	hello, _ := wire.Encode(request{ID: "x-1", Hello: &helloRequest{}})
	in := io.MultiReader(strings.NewReader(`{"id":"x-0","hel`), &endsOnce{next: bytes.NewReader(append([]byte("\n"), hello...))})
	e := newEngine(t, "")
	out := make(chan []byte, 1)
	e.mu.Lock()
	e.attached = []io.Writer{writerFunc(func(p []byte) { out <- bytes.Clone(p) })}
	e.mu.Unlock()
	go e.agent.read(t.Context(), in)
	select {
	case line := <-out:
		if r, err := wire.DecodeAnswer[response](line); err != nil || r.ID != "x-1" || r.Hello == nil {
			t.Errorf("%s, %v", line, err)
		}
	case <-time.After(10 * time.Second):
		t.Error("no answer after the end of input")
	}
}

// endsOnce reports the end before it goes on.
type endsOnce struct {
	ended bool
	next  io.Reader
}

func (e *endsOnce) Read(p []byte) (int, error) {
	if !e.ended {
		e.ended = true
		return 0, errors.New("broken pipe")
	}
	return e.next.Read(p)
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

func TestDamagedStateIsNoReasonNotToStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "table.json")
	if err := os.WriteFile(path, []byte(`{"services":[{"name":`), 0o600); err != nil {
		t.Fatal(err)
	}
	c := newEngine(t, path).client(t)
	if n := len(c.Table().Services); n != 0 {
		t.Errorf("%d Services", n)
	}
	if err := c.Apply(soon(t), dnsTable()); err != nil {
		t.Fatal(err)
	}
	if table, err := readState(path); err != nil || !table.Equal(dnsTable()) {
		t.Errorf("%v", err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("left beside the file: %v", entries)
	}
}

func TestStateThatCannotBeWrittenIsAnError(t *testing.T) {
	c := newEngine(t, filepath.Join(t.TempDir(), "no", "table.json")).client(t)
	if err := c.Apply(soon(t), dnsTable()); err == nil || !strings.Contains(err.Error(), "write state") {
		t.Errorf("error %v", err)
	}
}

func TestFlagsAreChecked(t *testing.T) {
	good := []string{"--ip=10.77.0.2", "--pod-cidr=10.77.64.0/18", "--publication-cidr=10.77.128.0/19", "--service-cidr=10.77.192.0/18"}
	if opts, err := parse(append(good, "--upstream=192.0.2.1", "--upstream=192.0.2.2:54", "--state=/s")); err != nil ||
		len(opts.Upstreams) != 2 || opts.StateFile != "/s" || opts.Backend != "" {
		t.Errorf("%+v, %v", opts, err)
	}
	for _, bad := range [][]string{
		{}, good[:2], good[:3], append(good, "--backend=ipvs"), append(good, "--upstream=x"), append(good, "--fallback=x"), append(good, "extra"),
		append(good, "--ip=fd00::1"), append(good, "--ip=10.77.192.1"), append(good, "--ip=10.77.159.1"), append(good, "--pod-cidr=10.77.64.0"),
	} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%v is accepted", bad)
		}
	}
}

// FuzzRequest: no line makes the decoder panic, and what it takes for a request is one.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		`{"id":"a-1","hello":{}}`, `{"id":"a-2","apply":{"domain":"cluster.local","services":[{"name":"web"}]}}`,
		`{"id":"a-3","probe":{"scheme":"http","host":"10.0.0.1","port":80,"path":"/?a=b"}}`,
		`{"id":"","hello":{}}`, `{"id":"a","hello":{},"probe":{}}`, `{`, `null`, `[]`, "\x00", `{"id":"a-1","hel{"id":"b-1","hello":{}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := decodeRequest(line)
		if err != nil {
			if !errors.Is(err, wire.ErrNoMessage) {
				t.Errorf("error %v", err)
			}
			return
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.ContainsAny(again, "\r\n") {
			t.Errorf("%q is more than one line", again)
		}
		same, err := decodeRequest(again)
		if err != nil {
			t.Fatalf("%q: %v", again, err)
		}
		if last, _ := json.Marshal(same); !bytes.Equal(again, last) {
			t.Errorf("%q became %q", again, last)
		}
		if r.Apply != nil {
			compile(*r.Apply)
			newZone(*r.Apply, netip.Addr{})
		}
	})
}
