package hello

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// Main runs "podyard hello FLAGS", "podyard hello visit FLAGS" or "podyard hello get URL" and returns the exit code.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	run := serve
	if len(args) > 0 {
		switch args[0] {
		case "visit":
			run, args = visit, args[1:]
		case "get":
			run, args = fetch, args[1:]
		}
	}
	if err := run(ctx, args, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "hello:", err)
		return 1
	}
	return 0
}

// Answer is what a server says. Behind is the answer of the tier behind it.
type Answer struct {
	Message string  `json:"message"`
	Version string  `json:"version"`
	Pod     string  `json:"pod"`
	Served  int64   `json:"served"`
	Behind  *Answer `json:"behind,omitempty"`
}

type server struct {
	message, version, behind string
	// broken makes the readiness probe fail for ever: the bad commit of the demo.
	broken bool
	served atomic.Int64
	client http.Client
}

func serve(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("hello", flag.ContinueOnError)
	listen := flags.String("listen", ":8080", "address to listen on")
	s := &server{client: http.Client{Timeout: 2 * time.Second}}
	flags.StringVar(&s.message, "message", "hello", "what to say")
	flags.StringVar(&s.version, "version", "1", "version to report")
	flags.StringVar(&s.behind, "behind", "", "URL of the tier behind this one")
	flags.BoolVar(&s.broken, "broken", false, "never become ready")
	if err := flags.Parse(args); err != nil {
		return err
	}
	web := &http.Server{Addr: *listen, Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		<-ctx.Done()
		drain, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = web.Shutdown(drain) // after five seconds the process ends all the same
	}()
	fmt.Fprintf(out, "hello %s listens on %s\n", s.version, *listen)
	if err := web.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-drained // it stopped listening at once; what it is answering still is to be answered
	return nil
}

func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.HandleFunc("GET /", s.answer)
	return mux
}

func (s *server) ready(w http.ResponseWriter, _ *http.Request) {
	if s.broken {
		http.Error(w, "version "+s.version+" is broken", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (s *server) answer(w http.ResponseWriter, r *http.Request) {
	host, _ := os.Hostname()
	a := Answer{Message: s.message, Version: s.version, Pod: host, Served: s.served.Add(1)}
	if s.behind != "" {
		var err error
		if a.Behind, err = s.ask(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(a) // the client went away
}

func (s *server) ask(ctx context.Context) (*Answer, error) {
	a := &Answer{}
	return a, get(ctx, &s.client, s.behind, a)
}

// fetch prints what a URL answers.
func fetch(ctx context.Context, args []string, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("get takes one URL")
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var a Answer
	if err := get(ctx, http.DefaultClient, args[0], &a); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(a)
}

// get fetches JSON.
func get(ctx context.Context, client *http.Client, url string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(into)
}
