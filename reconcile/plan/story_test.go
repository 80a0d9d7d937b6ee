package plan_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/tools/txtar"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

var update = flag.Bool("update", false, "write what the stories print into their files")

// TestStories runs testdata/*.txtar. A story is prose, commits (YAML files), a script, and what the script prints.
// Commands of a script:
//
//	commit FILE           make a file the desired state
//	image REF here|gone|broken [N]
//	                      the engine has the image, lacks it, or its pull has failed N times, just now
//	plan                  print the actions and their reasons
//	do                    print them and carry them out; what is started runs at once
//	ready POD…            the readiness probe succeeds (a pattern: web-*, or web-*#2); unready is the opposite
//	settle                do, and let what is new become ready, until nothing is left to do
//	exit POD CONTAINER CODE
//	                      the container ends; with "oom" as the code it is killed for memory
//	unhealthy POD CONTAINER REASON
//	sandbox POD stop|lose|restart
//	remove POD            someone removes the pod behind our back
//	stopping POD          its removal is under way
//	after DURATION        time passes
//	status [KIND]         print the status of every object, or of one kind
//	routes                print each Service with its endpoints
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { runStory(t, file) })
	}
}

func runStory(t *testing.T, path string) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	var script string
	want := -1
	for i, f := range archive.Files {
		switch f.Name {
		case "script":
			script = string(f.Data)
		case "want":
			want = i
		default:
			w.commits[f.Name] = f.Data
		}
	}
	for line := range strings.Lines(script) {
		if fields := strings.Fields(line); len(fields) > 0 && !strings.HasPrefix(fields[0], "#") {
			fmt.Fprintf(&w.out, "> %s\n", strings.Join(fields, " "))
			w.run(fields)
		}
	}
	if *update {
		archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return f.Name == "want" })
		archive.Files = append(archive.Files, txtar.File{Name: "want", Data: w.out.Bytes()})
		if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want < 0 || string(archive.Files[want].Data) != w.out.String() {
		t.Errorf("%s printed (run with -update to accept):\n%s", path, w.out.String())
	}
}

// world is an engine on paper: what a script does to the observed state.
type world struct {
	t       *testing.T
	commits map[string][]byte
	set     *manifests.Set
	state   runtime.State
	now     time.Time
	// unready pods have a readiness probe that fails.
	unready map[string]bool
	out     bytes.Buffer
}

var epoch = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func newWorld(t *testing.T) *world {
	return &world{t: t, commits: map[string][]byte{}, now: epoch, unready: map[string]bool{},
		state: runtime.State{Instance: "story", Images: map[string]runtime.Image{}, ServiceCIDR: "10.89.192.0/18"}}
}

func load(t testing.TB, name string, yaml []byte, since time.Time) *manifests.Set {
	t.Helper()
	set, err := manifests.Load(context.Background(), fstest.MapFS{name: {Data: yaml}}, ".", manifests.Options{})
	if err != nil {
		t.Fatalf("load %s: %v", name, err)
	}
	set.Since = since
	return set
}

func (w *world) run(args []string) {
	switch args[0] {
	case "commit":
		w.set = load(w.t, args[1], w.commits[args[1]], w.now)
		for _, object := range w.set.Objects {
			w.assumeImages(object.Value)
		}
	case "image":
		w.image(args[1:])
	case "plan":
		w.print(w.plan())
	case "do":
		w.do()
	case "settle":
		w.settle()
	case "ready", "unready":
		w.each(args[1:], func(p *runtime.Pod) { w.setReady(p, args[0] == "ready") })
	case "exit":
		w.exit(args[1], args[2], args[3])
	case "unhealthy":
		w.each(args[1:2], func(p *runtime.Pod) { newest(p, args[2]).Unhealthy = strings.Join(args[3:], " ") })
	case "sandbox":
		w.each(args[1:2], func(p *runtime.Pod) { w.sandbox(p, args[2]) })
	case "remove":
		gone := map[string]bool{}
		w.each(args[1:2], func(p *runtime.Pod) { gone[p.ID] = true })
		w.state.Pods = slices.DeleteFunc(w.state.Pods, func(p runtime.Pod) bool { return gone[p.ID] })
	case "stopping":
		w.each(args[1:], func(p *runtime.Pod) { p.Stopping = true })
	case "after":
		d, err := time.ParseDuration(args[1])
		if err != nil {
			w.t.Fatal(err)
		}
		w.now = w.now.Add(d)
	case "status":
		w.status(append(args, "")[1])
	case "routes":
		w.routes()
	default:
		w.t.Fatalf("unknown command %q", args[0])
	}
}

// plan plans twice: the same input must give the same output.
func (w *world) plan() plan.Result {
	first, second := plan.Plan(w.set, w.observed(), w.now), plan.Plan(w.set, w.observed(), w.now)
	if !reflect.DeepEqual(first, second) {
		w.t.Errorf("planned twice, two results:\n%v\n%v", first, second)
	}
	if !first.NextCheck.IsZero() && !first.NextCheck.After(w.now) {
		w.t.Errorf("NextCheck %v is not after now", first.NextCheck)
	}
	return first
}

// observed is a copy, so that a plan that changes its input is found out by the next one.
func (w *world) observed() *runtime.State {
	state := w.state
	state.Pods = slices.Clone(w.state.Pods)
	for i := range state.Pods {
		state.Pods[i].Containers = slices.Clone(state.Pods[i].Containers)
	}
	slices.SortFunc(state.Pods, func(a, b runtime.Pod) int {
		return strings.Compare(a.Manifest.Namespace+"/"+a.Manifest.Name, b.Manifest.Namespace+"/"+b.Manifest.Name)
	})
	return &state
}

func (w *world) print(result plan.Result) {
	for _, a := range result.Actions {
		fmt.Fprintf(&w.out, "%s: %s\n", a, a.Why())
	}
	if !result.NextCheck.IsZero() {
		fmt.Fprintf(&w.out, "next check in %s\n", result.NextCheck.Sub(w.now))
	}
}

func (w *world) do() bool {
	result := w.plan()
	w.print(result)
	w.state.Routes = result.Routes
	for _, a := range result.Actions {
		w.apply(a)
	}
	return len(result.Actions) > 0
}

func (w *world) settle() {
	for range 50 {
		if !w.do() {
			return
		}
		w.now = w.now.Add(time.Second)
	}
	w.t.Error("does not settle")
}

func (w *world) apply(action plan.Action) {
	switch a := action.(type) {
	case plan.PullImage:
		w.state.Images[a.Image] = runtime.Image{ID: "sha256:" + a.Image, PulledAt: w.now}
	case plan.CreatePod:
		w.createPod(a)
	case plan.StartSandbox:
		w.withID(a.SandboxID, func(p *runtime.Pod) { p.Phase, p.StartedAt = runtime.Running, w.now })
	case plan.StartContainer:
		w.withID(a.SandboxID, func(p *runtime.Pod) { w.start(p, a) })
	case plan.StopContainer:
		w.withID(a.SandboxID, func(p *runtime.Pod) { end(newest(p, a.Container), 137, w.now) })
	case plan.RemoveContainer:
		w.withID(a.SandboxID, func(p *runtime.Pod) {
			p.Containers = slices.DeleteFunc(p.Containers, func(c runtime.Container) bool { return c.ID == a.ContainerID })
		})
	case plan.DeletePod:
		w.state.Pods = slices.DeleteFunc(w.state.Pods, func(p runtime.Pod) bool { return p.ID == a.SandboxID })
	}
}

func (w *world) createPod(a plan.CreatePod) {
	for _, p := range w.state.Pods {
		if p.Manifest.Name == a.Pod.Name && p.Manifest.Namespace == a.Pod.Namespace {
			w.t.Errorf("pod %s is created twice", a.Pod.Name)
		}
	}
	p := runtime.Pod{Manifest: a.Pod, ID: string(a.Pod.UID), IP: fmt.Sprintf("10.89.1.%d", len(w.state.Pods)+1),
		Phase: runtime.Running, CreatedAt: w.now, StartedAt: w.now}
	for _, name := range a.Containers {
		w.start(&p, plan.StartContainer{Container: name})
	}
	w.state.Pods = append(w.state.Pods, p)
}

func (w *world) start(p *runtime.Pod, a plan.StartContainer) {
	p.Containers = append(p.Containers, runtime.Container{
		ID: fmt.Sprintf("%s/%s/%d", p.ID, a.Container, a.Attempt), Name: a.Container, Attempt: a.Attempt, Backoff: a.Backoff,
		State: runtime.Running, CreatedAt: w.now, StartedAt: w.now, ImageID: a.ImageID,
	})
	w.setReady(p, !w.unready[p.Manifest.Name] && !hasReadinessProbe(p))
}

func hasReadinessProbe(p *runtime.Pod) bool {
	return slices.ContainsFunc(p.Manifest.Spec.Containers, func(c corev1.Container) bool { return c.ReadinessProbe != nil })
}

func (w *world) setReady(p *runtime.Pod, ready bool) {
	for i := range p.Containers {
		if c := &p.Containers[i]; c.State == runtime.Running {
			if ready && !c.Ready {
				c.ReadySince = w.now
			}
			c.Ready, c.Started = ready, true
		}
	}
}

func (w *world) exit(pattern, container, code string) {
	w.each([]string{pattern}, func(p *runtime.Pod) {
		c := newest(p, container)
		n, err := strconv.Atoi(code)
		if err != nil {
			c.OOMKilled, n = code == "oom", 137
		}
		end(c, n, w.now)
	})
}

func end(c *runtime.Container, code int, at time.Time) {
	c.State, c.ExitCode, c.FinishedAt = runtime.Exited, code, at
	c.Ready, c.Started, c.Unhealthy = false, false, ""
}

func (w *world) sandbox(p *runtime.Pod, what string) {
	switch what {
	case "stop":
		p.Phase, p.FinishedAt = runtime.Exited, w.now
	case "lose":
		p.Phase = runtime.Missing
	case "restart":
		p.Phase, p.StartedAt = runtime.Running, w.now
	}
}

func (w *world) image(args []string) {
	switch ref := args[0]; args[1] {
	case "here":
		w.state.Images[ref] = runtime.Image{ID: "sha256:" + ref, PulledAt: w.now}
	case "gone":
		w.state.Images[ref] = runtime.Image{}
	case "broken":
		n, err := strconv.Atoi(args[2])
		if err != nil {
			w.t.Fatal(err)
		}
		w.state.Images[ref] = runtime.Image{Failures: n, FailedAt: w.now, Error: "pull image " + ref + ": not found"}
	}
}

// assumeImages: unless a story says otherwise, images are on the host.
func (w *world) assumeImages(value any) {
	for _, ref := range imagesOf(value) {
		if _, told := w.state.Images[ref]; !told {
			w.state.Images[ref] = runtime.Image{ID: "sha256:" + ref, PulledAt: w.now}
		}
	}
}

// each does something to every pod that matches one of the patterns; web-*#2 is the second of them by creation.
func (w *world) each(patterns []string, f func(*runtime.Pod)) {
	found := 0
	for _, pattern := range patterns {
		glob, number, one := strings.Cut(pattern, "#")
		n := 0
		for i := range w.state.Pods {
			if ok, err := filepath.Match(glob, w.state.Pods[i].Manifest.Name); !ok || err != nil {
				continue
			}
			if n++; !one || number == strconv.Itoa(n) {
				f(&w.state.Pods[i])
				found++
			}
		}
	}
	if found == 0 {
		w.t.Errorf("no pod matches %v", patterns)
	}
}

func (w *world) withID(id string, f func(*runtime.Pod)) {
	for i := range w.state.Pods {
		if w.state.Pods[i].ID == id {
			f(&w.state.Pods[i])
		}
	}
}

func newest(p *runtime.Pod, name string) *runtime.Container {
	var found *runtime.Container
	for i := range p.Containers {
		if c := &p.Containers[i]; c.Name == name && (found == nil || c.Attempt > found.Attempt) {
			found = c
		}
	}
	return found
}

func (w *world) status(kind string) {
	for _, s := range w.plan().Objects {
		if kind != "" && s.Kind != kind {
			continue
		}
		fmt.Fprintf(&w.out, "%s: %s", s.Ref, s.Health)
		if s.Message != "" {
			fmt.Fprintf(&w.out, ": %s", s.Message)
		}
		for _, c := range s.Conditions {
			fmt.Fprintf(&w.out, " [%s=%s %s]", c.Type, c.Status, c.Reason)
		}
		fmt.Fprintln(&w.out)
	}
}

func (w *world) routes() {
	routes := w.plan().Routes
	for i, s := range routes.Services {
		fmt.Fprintf(&w.out, "%s/%s %s\n", s.Namespace, s.Name, s.Spec.ClusterIP)
		slice := routes.Endpoints[i]
		for _, port := range slice.Ports {
			fmt.Fprintf(&w.out, "  port %q → %d/%s\n", *port.Name, *port.Port, *port.Protocol)
		}
		for _, e := range slice.Endpoints {
			fmt.Fprintf(&w.out, "  %s ready=%v serving=%v terminating=%v\n", e.Addresses[0], *e.Conditions.Ready, *e.Conditions.Serving, *e.Conditions.Terminating)
		}
	}
}

func imagesOf(value any) []string {
	var refs []string
	var spec *corev1.PodSpec
	switch v := value.(type) {
	case *corev1.Pod:
		spec = &v.Spec
	case *appsv1.Deployment:
		spec = &v.Spec.Template.Spec
	default:
		return nil
	}
	for _, c := range spec.Containers {
		refs = append(refs, c.Image)
	}
	return refs
}
