package docker

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/docker/docker/client"
)

// TestNothingIsStartedAgainOnAnEngineThatShutsDown: it answers over the connections that are open, and takes no new ones.
func TestNothingIsStartedAgainOnAnEngineThatShutsDown(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	listener := got(net.Listen("unix", socket))(t)
	started := map[string]bool{}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started[r.URL.Path] = true
		w.WriteHeader(http.StatusNoContent)
	})}
	go server.Serve(listener)
	defer server.Close()
	cli := got(client.NewClientWithOpts(client.WithHost("unix://"+socket), client.WithVersion("1.41")))(t)
	defer cli.Close()
	e := &Engine{cli: cli}
	must(t, e.launch(context.Background(), "one", true))
	must(t, listener.Close())
	must(t, e.launch(context.Background(), "two", false))
	if err := e.launch(context.Background(), "three", true); err == nil {
		t.Error("no error")
	}
	if !started["/v1.41/containers/one/start"] || !started["/v1.41/containers/two/start"] || started["/v1.41/containers/three/start"] {
		t.Errorf("started %v", started)
	}
}

func TestWhatTheEngineCannotStartAnyMore(t *testing.T) {
	for message, want := range map[string]bool{
		"task 1f371f0e1ec2: already exists": true, "endpoint with name web already exists in network podyard": false, "no": false,
	} {
		if leftBehind(errors.New(message)) != want {
			t.Errorf("%s: want %v", message, want)
		}
	}
}
