package fake_test

import (
	"context"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/runtime/fake"
)

// host is an engine in a bubble, with verbs that must succeed.
type host struct {
	*testing.T
	*fake.Engine
	ctx context.Context
}

// on runs a test on an engine that is ensured and holds the image app:v1 with this program.
func on(t *testing.T, options fake.Options, app fake.Program, test func(h host)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := host{t, fake.New(options), t.Context()}
		app.Local = true
		h.Push("app:v1", app)
		h.must(h.Ensure(h.ctx, nil))
		test(h)
	})
}

func (h host) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func config(name string, volumes ...runtime.Volume) runtime.SandboxConfig {
	return runtime.SandboxConfig{
		Pod:      &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID("uid-" + name)}},
		Hostname: name, Volumes: volumes,
	}
}

// pod runs a sandbox and in it the container main.
func (h host) pod(name string, volumes ...runtime.Volume) (sandbox, container string) {
	h.Helper()
	sandbox, err := h.CreateSandbox(h.ctx, config(name, volumes...))
	h.must(err)
	h.must(h.StartSandbox(h.ctx, sandbox))
	c := runtime.ContainerConfig{Name: "main", Image: "app:v1"}
	for _, v := range volumes {
		c.Mounts = append(c.Mounts, runtime.Mount{Volume: v.Name, Path: "/" + v.Name})
	}
	container, err = h.CreateContainer(h.ctx, sandbox, c)
	h.must(err)
	h.must(h.StartContainer(h.ctx, container))
	return sandbox, container
}

func (h host) pods() []runtime.Pod {
	h.Helper()
	state, err := h.State(h.ctx)
	h.must(err)
	return state.Pods
}

func (h host) onlyPod() runtime.Pod {
	h.Helper()
	pods := h.pods()
	if len(pods) != 1 {
		h.Fatalf("there are %d pods; want 1", len(pods))
	}
	return pods[0]
}

func (h host) onlyContainer() runtime.Container {
	h.Helper()
	p := h.onlyPod()
	if len(p.Containers) != 1 {
		h.Fatalf("there are %d containers; want 1", len(p.Containers))
	}
	return p.Containers[0]
}
