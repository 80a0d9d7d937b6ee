package docker

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/runtime/runtimetest"
)

// testBinary is what infra images of the tests are made from.
var testBinary string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "podyard-docker-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	testBinary = filepath.Join(dir, "podyard")
	if err := buildTestBinary(testBinary, "CGO_ENABLED=0"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer removeImported()
	return m.Run()
}

// imported are the images that the tests made, by ID: one that was pushed has a digest as another name. They go when all
// tests are through, since containers of a test outlive its images else.
var imported = struct {
	sync.Mutex
	ids map[string]bool
}{ids: map[string]bool{}}

func removeImported() {
	cli, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return // then there were no images either
	}
	defer cli.Close()
	for id := range imported.ids {
		if _, err := cli.ImageRemove(context.Background(), id, image.RemoveOptions{Force: true, PruneChildren: true}); err != nil {
			fmt.Fprintln(os.Stderr, "image left on the engine:", err)
		}
	}
}

func buildTestBinary(target string, env ...string) error {
	build := exec.Command("go", "build", "-o", target, "./testdata/testpod")
	build.Env = append(os.Environ(), env...)
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the test binary: %w\n%s", err, out)
	}
	return nil
}

// instanceFor is an instance name of this test alone, also among test processes.
func instanceFor(t *testing.T) string {
	hash := fmt.Sprintf("%x", hashOf(t.Name()))[:6]
	return fmt.Sprintf("dt-%d-%s", os.Getpid(), hash)
}

func hashOf(text string) []byte {
	return []byte(hashFiles([]runtime.File{{Path: text}}, nil))
}

// newEngine is an engine of an instance of its own that is torn down after the test, also if the test failed.
func newEngine(t *testing.T) *Engine {
	t.Helper()
	return newEngineOf(t, Options{Instance: instanceFor(t), Binary: testBinary})
}

func newEngineOf(t *testing.T, options Options) *Engine {
	t.Helper()
	e, err := New(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := e.Teardown(ctx, true, nil); err != nil {
			t.Errorf("teardown: %v", err)
		}
		e.Close()
	})
	return e
}

func ensuredEngine(t *testing.T) *Engine {
	t.Helper()
	e := newEngine(t)
	must(t, e.Ensure(t.Context(), func(line string) { t.Log(line) }))
	return e
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func got[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		must(t, err)
		return value
	}
}

// busybox imports an image of busybox alone, with its applets under /bin.
func busybox(t *testing.T, cli *client.Client) string {
	t.Helper()
	ref := "podyard-docker-test/busybox:" + instanceFor(t)
	importImage(t, cli, ref, `CMD ["sleep","1000000"]`)
	return ref
}

func importImage(t *testing.T, cli *client.Client, ref string, changes ...string) {
	t.Helper()
	source := image.ImportSource{Source: runtimetest.BusyboxTar(t), SourceName: "-"}
	progress, err := cli.ImageImport(t.Context(), source, ref, image.ImportOptions{Changes: changes})
	must(t, err)
	defer progress.Close()
	must(t, streamError(progress))
	made, err := cli.ImageInspect(t.Context(), ref)
	must(t, err)
	imported.Lock()
	defer imported.Unlock()
	imported.ids[made.ID] = true
}

func testPod(name string, containers ...corev1.Container) *corev1.Pod {
	return &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(fmt.Sprintf("uid-%s-%d", name, time.Now().UnixNano()))},
		Spec:       corev1.PodSpec{Containers: containers},
	}
}

func sandboxOf(pod *corev1.Pod, volumes ...runtime.Volume) runtime.SandboxConfig {
	return runtime.SandboxConfig{
		Pod: pod, Hostname: pod.Name, Volumes: volumes,
		Search: []string{"default.svc.cluster.local", "svc.cluster.local", "cluster.local"},
	}
}

// startPod starts a sandbox with its files.
func startPod(t *testing.T, e *Engine, config runtime.SandboxConfig) string {
	t.Helper()
	id := got(e.CreateSandbox(t.Context(), config))(t)
	must(t, e.StartSandbox(t.Context(), id))
	for _, v := range config.Volumes {
		if v.Kind == runtime.Files {
			must(t, e.WriteVolume(t.Context(), id, v))
		}
	}
	return id
}

func startContainer(t *testing.T, e *Engine, sandbox string, config runtime.ContainerConfig) string {
	t.Helper()
	id := got(e.CreateContainer(t.Context(), sandbox, config))(t)
	must(t, e.StartContainer(t.Context(), id))
	return id
}

// sh runs a script in a container and returns its output; it must succeed.
func sh(t *testing.T, e *Engine, id, script string) string {
	t.Helper()
	var out, errs bytes.Buffer
	code, err := e.Exec(t.Context(), id, runtime.ExecOptions{Command: []string{"sh", "-c", script}}, &out, &errs)
	if err != nil || code != 0 {
		t.Fatalf("sh -c %q: exit code %d, %v\n%s%s", script, code, err, out.String(), errs.String())
	}
	return strings.TrimSpace(out.String())
}

func state(t *testing.T, e *Engine) *runtime.State {
	t.Helper()
	return got(e.State(t.Context()))(t)
}

func podIn(t *testing.T, e *Engine, id string) runtime.Pod {
	t.Helper()
	pods := state(t, e).Pods
	i := slices.IndexFunc(pods, func(p runtime.Pod) bool { return p.ID == id })
	if i < 0 {
		t.Fatalf("no pod %s in %d pods", short(id), len(pods))
	}
	return pods[i]
}

func eventually(t *testing.T, what string, check func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !check() {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestAPodFromCreationToRemoval(t *testing.T) {
	e := ensuredEngine(t)
	ref := busybox(t, e.cli)
	pod := testPod("web", corev1.Container{Name: "main", Image: ref})
	begin := time.Now()
	id := startPod(t, e, sandboxOf(pod))
	main := startContainer(t, e, id, runtime.ContainerConfig{
		Name: "main", Image: ref, Backoff: 10 * time.Second, Command: []string{"sh", "-c", "echo hello; exec sleep 1000"},
	})
	t.Logf("pod ran after %v", time.Since(begin))
	seen := podIn(t, e, id)
	if seen.Phase != runtime.Running || seen.Manifest.Name != "web" || len(seen.Containers) != 1 {
		t.Fatalf("pod: %+v", seen)
	}
	c := seen.Containers[0]
	if c.State != runtime.Running || c.Name != "main" || c.Backoff != 10*time.Second || c.Image != ref || !strings.HasPrefix(c.ImageID, "sha256:") {
		t.Fatalf("container: %+v", c)
	}
	if out := sh(t, e, main, "cat /etc/resolv.conf; hostname -i; hostname"); !strings.Contains(out, "ndots:5") || !strings.Contains(out, seen.IP) || !strings.HasSuffix(out, "web") {
		t.Errorf("resolv.conf, address and name:\n%s", out)
	}
	must(t, e.StopContainer(t.Context(), main, 0))
	if c := podIn(t, e, id).Containers[0]; c.State != runtime.Exited || c.ExitCode != 137 {
		t.Errorf("after SIGKILL: %+v", c)
	}
	must(t, e.RemoveSandbox(t.Context(), id))
	if pods := state(t, e).Pods; len(pods) != 0 {
		t.Errorf("after removal: %+v", pods)
	}
	must(t, e.RemoveSandbox(t.Context(), id))
}

func httpGet(port int) corev1.ProbeHandler {
	return corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: intstr.FromInt32(int32(port))}}
}
