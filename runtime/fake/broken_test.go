package fake_test

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/runtime/fake"
	"github.com/podyard/podyard/runtime/runtimetest"
)

// brokenEnv chooses one of brokenRuntimes in a process of its own: its checks are to fail there, and not here.
const brokenEnv = "PODYARD_TEST_BROKEN_RUNTIME"

// brokenRuntimes each break one sentence of the contract; check is what must notice.
var brokenRuntimes = []struct {
	name, check string
	breaks      func(runtime.Runtime) runtime.Runtime
}{
	{"kills without grace", "a stop ends within the grace period", func(r runtime.Runtime) runtime.Runtime { return killer{r} }},
	{"keeps old files", "files on disk are written and replaced as a whole", func(r runtime.Runtime) runtime.Runtime {
		return hoarder{r, map[string]runtime.File{}}
	}},
	{"writes anywhere", "a path outside of the volume is refused", func(r runtime.Runtime) runtime.Runtime { return careless{r} }},
	{"leaves pods", "removing a sandbox removes what is in it", func(r runtime.Runtime) runtime.Runtime { return leaver{r} }},
	{"tears data down", "teardown removes everything of ours but persistent volumes, and those if told to",
		func(r runtime.Runtime) runtime.Runtime { return destroyer{r} }},
	{"never signals", "a container killed behind our back is signalled and reported", func(r runtime.Runtime) runtime.Runtime { return silent{r} }},
	{"mixes outputs", "stdout and stderr are kept apart", func(r runtime.Runtime) runtime.Runtime { return mixer{r} }},
	{"loses exit codes", "a command's output and exit code come back", func(r runtime.Runtime) runtime.Runtime { return optimist{r} }},
	{"believes everything", "a tcp probe answers by who listens", func(r runtime.Runtime) runtime.Runtime { return optimist{r} }},
	{"hides start errors", "a container that cannot start is Exited and says why", func(r runtime.Runtime) runtime.Runtime { return optimist{r} }},
	{"names no image", "the error of a pull that fails names the image", func(r runtime.Runtime) runtime.Runtime { return mumbler{r} }},
	{"forgets the back-off", "a container is created and started once", func(r runtime.Runtime) runtime.Runtime { return forgetful{r} }},
	{"has one address", "a pod has an address of its own that survives a restart of its sandbox",
		func(r runtime.Runtime) runtime.Runtime { return forgetful{r} }},
	{"routes nothing", "routes come back as far as they serve", func(r runtime.Runtime) runtime.Runtime { return forgetful{r} }},
}

func TestTheSuiteNoticesABrokenRuntime(t *testing.T) {
	for _, broken := range brokenRuntimes {
		t.Run(broken.name, func(t *testing.T) {
			command := exec.Command(os.Args[0], "-test.run=^TestBrokenRuntime$")
			command.Env = append(os.Environ(), brokenEnv+"="+broken.name)
			out, err := command.CombinedOutput()
			var exit *exec.ExitError
			want := "--- FAIL: TestBrokenRuntime/" + strings.ReplaceAll(broken.check, " ", "_") + " "
			if !errors.As(err, &exit) || !strings.Contains(string(out), want) {
				t.Errorf("the suite ends with %v and does not say %q:\n%s", err, want, out)
			}
		})
	}
}

// TestBrokenRuntime breaks the runtime only in the process that the test above starts. Here it shows that the same
// checks pass as long as nothing is broken.
func TestBrokenRuntime(t *testing.T) {
	chosen := os.Getenv(brokenEnv)
	for _, broken := range brokenRuntimes {
		if chosen != "" && chosen != broken.name {
			continue
		}
		t.Run(broken.check, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := harness(fake.Options{})
				if chosen != "" {
					h.Runtime = broken.breaks(h.Runtime)
				}
				find(t, broken.check).Run(t, h)
			})
		})
	}
}

func find(t *testing.T, name string) runtimetest.Check {
	checks := runtimetest.Checks()
	i := slices.IndexFunc(checks, func(c runtimetest.Check) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("there is no check %q", name)
	}
	return checks[i]
}

type killer struct{ runtime.Runtime }

func (r killer) StopContainer(ctx context.Context, id string, _ time.Duration) error {
	return r.Runtime.StopContainer(ctx, id, 0)
}

type hoarder struct {
	runtime.Runtime
	files map[string]runtime.File
}

func (r hoarder) WriteVolume(ctx context.Context, id string, v runtime.Volume) error {
	for _, f := range v.Files {
		r.files[f.Path] = f
	}
	v.Files = nil
	for _, f := range r.files {
		v.Files = append(v.Files, f)
	}
	return r.Runtime.WriteVolume(ctx, id, v)
}

type careless struct{ runtime.Runtime }

func (r careless) WriteVolume(ctx context.Context, id string, v runtime.Volume) error {
	v.Files = nil
	return r.Runtime.WriteVolume(ctx, id, v)
}

type leaver struct{ runtime.Runtime }

func (r leaver) RemoveSandbox(context.Context, string) error { return nil }

type destroyer struct{ runtime.Runtime }

func (r destroyer) Teardown(ctx context.Context, _ bool, report func(string)) error {
	return r.Runtime.Teardown(ctx, true, report)
}

type silent struct{ runtime.Runtime }

func (r silent) Watch(context.Context) (<-chan struct{}, error) { return make(chan struct{}), nil }

type mixer struct{ runtime.Runtime }

func (r mixer) Logs(ctx context.Context, id string, options runtime.LogOptions, stdout, _ io.Writer) error {
	return r.Runtime.Logs(ctx, id, options, stdout, stdout)
}

type optimist struct{ runtime.Runtime }

func (r optimist) Exec(ctx context.Context, id string, options runtime.ExecOptions, stdout, stderr io.Writer) (int, error) {
	_, err := r.Runtime.Exec(ctx, id, options, stdout, stderr)
	return 0, err
}

func (r optimist) Probe(context.Context, *runtime.Pod, string, corev1.ProbeHandler) (runtime.ProbeResult, error) {
	return runtime.ProbeResult{OK: true}, nil
}

func (r optimist) StartContainer(ctx context.Context, id string) error {
	_ = r.Runtime.StartContainer(ctx, id)
	return nil
}

type mumbler struct{ runtime.Runtime }

func (r mumbler) PullImage(ctx context.Context, ref string, credentials []runtime.Credential) (runtime.Image, error) {
	image, err := r.Runtime.PullImage(ctx, ref, credentials)
	if err != nil {
		err = errors.New("something went wrong")
	}
	return image, err
}

type forgetful struct{ runtime.Runtime }

func (r forgetful) State(ctx context.Context) (*runtime.State, error) {
	state, err := r.Runtime.State(ctx)
	if err != nil {
		return nil, err
	}
	state.Routes = runtime.Routes{}
	for i := range state.Pods {
		state.Pods[i].IP = "10.0.0.1"
		for j := range state.Pods[i].Containers {
			state.Pods[i].Containers[j].Backoff = 0
		}
	}
	return state, nil
}
