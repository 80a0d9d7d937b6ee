package docker

import (
	"slices"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"

	"github.com/podyard/podyard/runtime"
)

func inspected(state container.State, labels map[string]string) container.InspectResponse {
	return container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{
			ID: "c0", Created: "2026-01-02T03:04:05.000000006Z", State: &state, HostConfig: &container.HostConfig{}, Image: "sha256:aa",
		},
		Config: &container.Config{Labels: labels},
	}
}

const never = "0001-01-01T00:00:00Z"

func TestWhatTheEngineSaysOfAContainer(t *testing.T) {
	created := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	labels := map[string]string{labelRole: roleContainer, labelContainerName: "main", labelAttempt: "4", labelBackoff: "40s", labelImage: "app:v1"}
	for _, c := range []struct {
		name     string
		state    container.State
		phase    runtime.ContainerState
		code     int
		err      string
		finished bool
	}{
		{"created", container.State{Status: "created", StartedAt: never, FinishedAt: never}, runtime.Created, 0, "", false},
		{"running", container.State{Status: "running", StartedAt: "2026-01-02T03:04:06Z", FinishedAt: "2026-01-01T00:00:00Z"}, runtime.Running, 0, "", false},
		{"paused", container.State{Status: "paused", StartedAt: "2026-01-02T03:04:06Z", FinishedAt: never}, runtime.Running, 0, "", false},
		{"exited", container.State{Status: "exited", ExitCode: 3, StartedAt: "2026-01-02T03:04:06Z", FinishedAt: "2026-01-02T03:04:07Z"}, runtime.Exited, 3, "", true},
		{"not startable", container.State{Status: "created", ExitCode: 127, Error: "OCI runtime create failed: no: unknown", StartedAt: never, FinishedAt: never}, runtime.Exited, 127, "no", true},
		{"being removed", container.State{Status: "removing", ExitCode: 137, StartedAt: "2026-01-02T03:04:06Z", FinishedAt: "2026-01-02T03:04:07Z"}, runtime.Exited, 137, "", true},
	} {
		got := decode(inspected(c.state, labels), "podyard", nil).container
		if got.State != c.phase || got.ExitCode != c.code || got.Error != c.err || got.FinishedAt.IsZero() == c.finished {
			t.Errorf("%s: %+v", c.name, got)
		}
		if got.Name != "main" || got.Attempt != 4 || got.Backoff != 40*time.Second || got.Image != "app:v1" || got.ImageID != "sha256:aa" || !got.CreatedAt.Equal(created) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

func TestAnEndBeforeTheStartIsNone(t *testing.T) {
	state := container.State{Status: "exited", StartedAt: "2026-01-02T03:04:06.2Z", FinishedAt: "2026-01-02T03:04:06.1Z"}
	got := decode(inspected(state, map[string]string{labelRole: roleContainer}), "podyard", nil).container
	if got.FinishedAt.Before(got.StartedAt) {
		t.Errorf("started %v, finished %v", got.StartedAt, got.FinishedAt)
	}
}

func TestAManifestIsDecodedOnceAndShared(t *testing.T) {
	labels := map[string]string{labelRole: roleSandbox, labelPod: `{"metadata":{"name":"web","namespace":"default","uid":"u"}}`}
	first := decode(inspected(container.State{Status: "running"}, labels), "podyard", nil)
	second := decode(inspected(container.State{Status: "exited"}, labels), "podyard", first)
	if first.pod.Manifest.Name != "web" || first.pod.Manifest != second.pod.Manifest || second.pod.Phase != runtime.Exited {
		t.Errorf("%+v, then %+v", first.pod, second.pod)
	}
}

func TestASpoiledManifestLeavesWhatTheLabelsTell(t *testing.T) {
	labels := map[string]string{labelRole: roleSandbox, labelPod: `{`, labelPodName: "web", labelPodNamespace: "default", labelPodUID: "u"}
	got := decode(inspected(container.State{Status: "running"}, labels), "podyard", nil).pod.Manifest
	if got.Name != "web" || got.Namespace != "default" || got.UID != "u" {
		t.Errorf("%+v", got)
	}
}

func TestALateAnswerDoesNotReplaceANewerOne(t *testing.T) {
	c := cache{entries: map[string]*entry{}}
	early, late := c.ticket(), c.ticket()
	newer, older := &entry{id: "a", running: true}, &entry{id: "a"}
	c.put("a", late, newer)
	if got := c.put("a", early, older); got != newer || c.get("a") != newer {
		t.Errorf("the cache holds %+v", got)
	}
	c.put("a", c.ticket(), nil)
	if got := c.put("a", late, newer); got != nil || c.get("a") != nil {
		t.Errorf("what was removed came back: %+v", got)
	}
}

func TestAnEndForWantOfMemoryIsToldByItsEventAsWell(t *testing.T) {
	e := &Engine{options: Options{Instance: "me"}, cache: cache{entries: map[string]*entry{}}}
	changed, claims := newInbox(), newInbox()
	ended := func() *runtime.Container {
		state := container.State{Status: "exited", ExitCode: 137, StartedAt: "2026-01-02T03:04:06Z", FinishedAt: "2026-01-02T03:04:07Z"}
		found := decode(inspected(state, map[string]string{labelRole: roleContainer}), "podyard", nil)
		return e.cache.put("c0", e.cache.ticket(), found).container
	}
	if ended().OOMKilled {
		t.Error("it was OOMKilled before anything said so")
	}
	oom := events.Message{Type: events.ContainerEventType, Action: events.ActionOOM,
		Actor: events.Actor{ID: "c0", Attributes: map[string]string{labelInstance: "me"}}}
	e.sort(oom, changed, claims)
	if ids := changed.take(); !slices.Equal(ids, []string{"c0"}) {
		t.Errorf("the event makes %v looked at", ids)
	}
	if !ended().OOMKilled {
		t.Error("the event came after the end, and is lost")
	}
	e.cache.put("c0", e.cache.ticket(), nil)
	if e.sort(oom, changed, claims); len(e.cache.ooms) > 0 {
		t.Errorf("of a container that is gone is remembered %v", e.cache.ooms)
	}
	if !slices.Contains(e.subscription().Filters.Get("event"), string(events.ActionOOM)) {
		t.Error("the engine is not asked for such events")
	}
}

func TestContainersWithoutASandboxMakeAMissingPod(t *testing.T) {
	labels := map[string]string{labelRole: roleContainer, labelSandbox: "gone", labelPodName: "web", labelPodNamespace: "default", labelPodUID: "u", labelContainerName: "main"}
	pods := podsOf([]*entry{decode(inspected(container.State{Status: "running"}, labels), "podyard", nil)}, "10.89.0.1")
	if len(pods) != 1 || pods[0].Phase != runtime.Missing || pods[0].ID != "gone" || pods[0].Manifest.Name != "web" || len(pods[0].Containers) != 1 {
		t.Errorf("%+v", pods)
	}
}

func TestAPodInTheHostsNetworkHasTheHostsAddress(t *testing.T) {
	labels := map[string]string{labelRole: roleSandbox, labelPod: `{"metadata":{"name":"web"},"spec":{"hostNetwork":true,"containers":null}}`}
	entries := []*entry{decode(inspected(container.State{Status: "running"}, labels), "podyard", nil)}
	if pods := podsOf(entries, "10.89.0.1"); pods[0].IP != "10.89.0.1" {
		t.Errorf("the address is %q", pods[0].IP)
	}
}
