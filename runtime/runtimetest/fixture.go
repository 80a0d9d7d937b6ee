package runtimetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podyard/podyard/runtime"
)

// patience is for how long the suite waits for what must come. It only delays the report of a failure.
const patience = 60 * time.Second

// fixture is one check under way: verbs that must succeed, in a namespace of its own that is cleared afterwards.
type fixture struct {
	*testing.T
	Harness
	ctx       context.Context
	namespace string
}

func newFixture(t *testing.T, h Harness) *fixture {
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	var random [4]byte
	rand.Read(random[:])
	f := &fixture{T: t, Harness: h, ctx: ctx, namespace: fmt.Sprintf("conformance-%x", random)}
	t.Cleanup(f.clear)
	return f
}

// clear removes the publications and pods of the namespace, also after a failure.
func (f *fixture) clear() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.ctx), patience)
	defer cancel()
	if err := f.unpublishAll(ctx); err != nil {
		f.Errorf("clean up: %v", err)
	}
	state, err := f.Runtime.State(ctx)
	if err != nil {
		f.Errorf("clean up: %v", err)
		return
	}
	for _, p := range state.Pods {
		if p.Manifest.Namespace != f.namespace {
			continue
		}
		if err := f.Runtime.RemoveSandbox(ctx, p.ID); err != nil {
			f.Errorf("clean up: %v", err)
		}
	}
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// config of a pod that does nothing by itself. Its UID depends on its name only.
func (f *fixture) config(name string, volumes ...runtime.Volume) runtime.SandboxConfig {
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(f.namespace+"/"+name)))
	uid := fmt.Sprintf("%s-%s-%s-%s-%s", sum[:8], sum[8:12], sum[12:16], sum[16:20], sum[20:32])
	return runtime.SandboxConfig{
		Pod: &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name, UID: types.UID(uid)},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "main:v1"}}},
		},
		Hostname: name,
		Search:   []string{f.namespace + ".svc.cluster.local", "svc.cluster.local", "cluster.local"},
		Volumes:  volumes,
	}
}

// sandbox is created and not started.
func (f *fixture) sandbox(name string, volumes ...runtime.Volume) string {
	f.Helper()
	id, err := f.Runtime.CreateSandbox(f.ctx, f.config(name, volumes...))
	f.must(err)
	return id
}

// pod is a sandbox that runs.
func (f *fixture) pod(name string, volumes ...runtime.Volume) string {
	f.Helper()
	id := f.sandbox(name, volumes...)
	f.must(f.Runtime.StartSandbox(f.ctx, id))
	return id
}

// containerConfig of a container that behaves so.
func (f *fixture) containerConfig(name string, b Behaviour, mounts ...runtime.Mount) runtime.ContainerConfig {
	image, command := f.Command(b)
	return runtime.ContainerConfig{Name: name, Image: image, Command: command, Mounts: mounts, GracePeriod: time.Second}
}

func (f *fixture) create(sandbox string, config runtime.ContainerConfig) string {
	f.Helper()
	id, err := f.Runtime.CreateContainer(f.ctx, sandbox, config)
	f.must(err)
	return id
}

func (f *fixture) start(sandbox string, config runtime.ContainerConfig) string {
	f.Helper()
	id := f.create(sandbox, config)
	f.must(f.Runtime.StartContainer(f.ctx, id))
	return id
}

// run starts a container that behaves so.
func (f *fixture) run(sandbox, name string, b Behaviour, mounts ...runtime.Mount) string {
	f.Helper()
	return f.start(sandbox, f.containerConfig(name, b, mounts...))
}

func (f *fixture) state() *runtime.State {
	f.Helper()
	state, err := f.Runtime.State(f.ctx)
	f.must(err)
	return state
}

// pods of the namespace, in the order of the state.
func (f *fixture) pods() []runtime.Pod {
	f.Helper()
	return slices.DeleteFunc(f.state().Pods, func(p runtime.Pod) bool { return p.Manifest.Namespace != f.namespace })
}

func (f *fixture) findPod(id string) *runtime.Pod {
	f.Helper()
	pods := f.pods()
	if i := slices.IndexFunc(pods, func(p runtime.Pod) bool { return p.ID == id }); i >= 0 {
		return &pods[i]
	}
	return nil
}

func (f *fixture) observePod(id string) runtime.Pod {
	f.Helper()
	p := f.findPod(id)
	if p == nil {
		f.Fatalf("the state holds no pod with the ID %s", id)
	}
	return *p
}

func (f *fixture) find(id string) *runtime.Container {
	f.Helper()
	for _, p := range f.pods() {
		for i := range p.Containers {
			if p.Containers[i].ID == id {
				return &p.Containers[i]
			}
		}
	}
	return nil
}

func (f *fixture) observe(id string) runtime.Container {
	f.Helper()
	c := f.find(id)
	if c == nil {
		f.Fatalf("the state holds no container with the ID %s", id)
	}
	return *c
}

// until waits for what comes by itself.
func (f *fixture) until(what string, done func() bool) {
	f.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.Fatalf("waited %s until %s", patience, what)
		}
	}
}

// exited waits until a container has ended.
func (f *fixture) exited(id string) runtime.Container {
	f.Helper()
	f.until("the container has exited", func() bool { return f.observe(id).State == runtime.Exited })
	return f.observe(id)
}

// try runs a command in a container and returns what it printed and its exit code.
func (f *fixture) try(id string, command ...string) (stdout, stderr string, code int) {
	f.Helper()
	var out, errOut bytes.Buffer
	code, err := f.Runtime.Exec(f.ctx, id, runtime.ExecOptions{Command: command}, &out, &errOut)
	f.must(err)
	return out.String(), errOut.String(), code
}

// exec runs a command that must succeed and returns its output.
func (f *fixture) exec(id string, command ...string) string {
	f.Helper()
	stdout, stderr, code := f.try(id, command...)
	if code != 0 {
		f.Fatalf("%q exits with %d: %s%s", command, code, stdout, stderr)
	}
	return stdout
}

// reads fails unless a file holds that text, seen from inside a container.
func (f *fixture) reads(id, path, want string) {
	f.Helper()
	if got := f.exec(id, "cat", path); got != want {
		f.Errorf("%s holds %q; want %q", path, got, want)
	}
}

// lacks fails if a file is there, seen from inside a container.
func (f *fixture) lacks(id, path string) {
	f.Helper()
	if stdout, _, code := f.try(id, "cat", path); code == 0 {
		f.Errorf("%s is there and holds %q; want no such file", path, stdout)
	}
}
