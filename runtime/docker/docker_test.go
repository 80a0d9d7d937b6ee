package docker

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/podyard/podyard/runtime/runtimetest"
)

func TestConformance(t *testing.T) { runtimetest.Run(t, harness) }

func TestConformanceOfRealContainers(t *testing.T) { runtimetest.RunReal(t, harness) }

func harness(t *testing.T) runtimetest.Harness {
	e := newEngine(t)
	ref := busybox(t, e.cli)
	address := serveRegistry(t, "", "")
	pullable := address + "/team/app:v1"
	pushImage(t, e.cli, ref, pullable, "")
	return runtimetest.Harness{
		Runtime:  e,
		Command:  runtimetest.Busybox(ref),
		Pullable: pullable,
		Kill:     func(t *testing.T, id string) { must(t, e.cli.ContainerKill(t.Context(), id, "SIGKILL")) },
		Remove: func(t *testing.T, id string) {
			must(t, e.cli.ContainerRemove(t.Context(), id, container.RemoveOptions{Force: true}))
		},
		Foreign: func(t *testing.T) runtimetest.Foreign { return foreign(t, e.cli, ref) },
	}
}

// serveRegistry serves an empty registry on the loopback interface, which Docker trusts without TLS, and returns its
// address. With a user it asks for a login.
func serveRegistry(t *testing.T, user, password string) string {
	t.Helper()
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); u != user || p != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// pushImage pushes an image under another name, which it then removes from the engine.
func pushImage(t *testing.T, cli *client.Client, ref, as, auth string) {
	t.Helper()
	must(t, cli.ImageTag(t.Context(), ref, as))
	t.Cleanup(func() { _, _ = cli.ImageRemove(context.Background(), as, image.RemoveOptions{Force: true}) })
	if auth == "" {
		auth = "e30=" // {}: the engine wants the header
	}
	progress, err := cli.ImagePush(t.Context(), as, image.PushOptions{RegistryAuth: auth})
	must(t, err)
	defer progress.Close()
	must(t, streamError(progress))
	_, err = cli.ImageRemove(t.Context(), as, image.RemoveOptions{Force: true})
	must(t, err)
}

// foreign is a container that does not carry our label, as somebody's data base would be there before us.
func foreign(t *testing.T, cli *client.Client, ref string) runtimetest.Foreign {
	t.Helper()
	name := "podyard-docker-test-foreign-" + instanceFor(t)
	_, err := cli.VolumeCreate(t.Context(), volume.CreateOptions{Name: name})
	must(t, err)
	t.Cleanup(func() { _ = cli.VolumeRemove(context.Background(), name, true) })
	made, err := cli.ContainerCreate(t.Context(),
		&container.Config{Image: ref, Cmd: []string{"sleep", "1000000"}, Labels: map[string]string{labelPodName: "web"}},
		&container.HostConfig{NetworkMode: "none", Mounts: []mount.Mount{{Type: mount.TypeVolume, Source: name, Target: "/data"}}},
		nil, nil, name)
	must(t, err)
	t.Cleanup(func() {
		_ = cli.ContainerRemove(context.Background(), made.ID, container.RemoveOptions{Force: true})
	})
	must(t, cli.ContainerStart(t.Context(), made.ID, container.StartOptions{}))
	before := got(cli.ContainerInspect(t.Context(), made.ID))(t)
	return runtimetest.Foreign{ContainerID: made.ID, Volume: name, Check: func(t *testing.T) {
		t.Helper()
		after := got(cli.ContainerInspect(t.Context(), made.ID))(t)
		if !after.State.Running || after.State.StartedAt != before.State.StartedAt || after.Name != before.Name {
			t.Errorf("the foreign container was %+v and is %+v", before.State, after.State)
		}
		if _, err := cli.VolumeInspect(t.Context(), name); err != nil {
			t.Errorf("the foreign volume: %v", err)
		}
	}}
}
