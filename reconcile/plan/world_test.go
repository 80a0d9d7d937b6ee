package plan_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing/fstest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

// reporter is what testing.TB and rapid's have in common.
type reporter interface {
	Helper()
	Error(args ...any)
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// world is an engine on paper: what a script does to the observed state.
type world struct {
	t       reporter
	commits map[string][]byte
	set     *manifests.Set
	// file is the commit, syncs counts changes of it.
	file  string
	syncs int
	state runtime.State
	now   time.Time
	out   bytes.Buffer
	// used is what pods use, by ID; held are ports of the host that a program outside has, as 80/TCP.
	used map[string]*runtime.PodMetrics
	held map[string]bool
}

var epoch = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func newWorld(t reporter) *world {
	return &world{t: t, commits: map[string][]byte{}, used: map[string]*runtime.PodMetrics{}, held: map[string]bool{}, now: epoch, state: runtime.State{
		Instance: "story", Images: map[string]runtime.Image{}, ServiceCIDR: "10.89.192.0/18", HostIP: "10.89.0.1", HTTPPort: 80, HTTPSPort: 443,
		Host:     map[string]string{corev1.LabelHostname: "quay", corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64"},
		Problems: map[string]runtime.Problem{},
	}}
}

func load(t reporter, name string, yaml []byte, since time.Time) *manifests.Set {
	t.Helper()
	set, err := manifests.Load(context.Background(), fstest.MapFS{name: {Data: yaml}}, ".", manifests.Options{})
	if err != nil {
		t.Fatalf("load %s: %v", name, err)
	}
	set.Since = since
	return set
}

func (w *world) must(err error) {
	if err != nil {
		w.t.Fatal(err)
	}
}

// use makes a Set the desired state. Unless a story says otherwise, its images are on the host.
func (w *world) use(set *manifests.Set) {
	w.set = set
	for _, object := range set.Objects {
		for _, ref := range imagesOf(object) {
			if _, told := w.state.Images[ref]; !told {
				w.state.Images[ref] = runtime.Image{ID: "sha256:" + ref, PulledAt: w.now}
			}
		}
	}
}

func imagesOf(object *manifests.Object) []string {
	template, ok := manifests.TemplateOf(object)
	if !ok {
		return nil
	}
	var refs []string
	for _, c := range slices.Concat(template.Spec.InitContainers, template.Spec.Containers) {
		refs = append(refs, c.Image)
	}
	return refs
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
		pod := &state.Pods[i]
		pod.Containers, pod.Written = slices.Clone(pod.Containers), maps.Clone(pod.Written)
		slices.SortFunc(pod.Containers, func(a, b runtime.Container) int {
			return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Attempt, b.Attempt))
		})
	}
	slices.SortFunc(state.Pods, func(a, b runtime.Pod) int {
		return strings.Compare(a.Manifest.Namespace+"/"+a.Manifest.Name, b.Manifest.Namespace+"/"+b.Manifest.Name)
	})
	return &state
}

func (w *world) do() bool {
	result := w.plan()
	w.print(result)
	w.carryOut(result)
	return len(result.Actions) > 0
}

func (w *world) carryOut(result plan.Result) {
	w.state.Routes = result.Routes
	for _, a := range result.Actions {
		w.apply(a)
	}
}

// settle also lets init containers succeed.
func (w *world) settle() {
	for range 50 {
		done := w.endInits()
		if !w.do() && !done {
			return
		}
		w.now = w.now.Add(time.Second)
	}
	w.t.Error("does not settle")
}

func (w *world) endInits() (found bool) {
	for i := range w.state.Pods {
		p := &w.state.Pods[i]
		for _, spec := range p.Manifest.Spec.InitContainers {
			if c := newest(p, spec.Name); spec.RestartPolicy == nil && c != nil && c.State == runtime.Running {
				end(c, 0, w.now)
				found = true
			}
		}
	}
	return found
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
	case plan.UpdateVolume:
		w.withID(a.SandboxID, func(p *runtime.Pod) { w.write(p) })
	case plan.KillPod:
		w.withID(a.SandboxID, func(p *runtime.Pod) { w.kill(p, a) })
	case plan.DeletePod:
		w.state.Pods = slices.DeleteFunc(w.state.Pods, func(p runtime.Pod) bool { return p.ID == a.SandboxID })
		w.removeVolumes(a.Volumes...)
	case plan.RemoveVolume:
		w.removeVolumes(a.Volume)
	case plan.PublishPorts:
		w.publish(a.Publication)
	case plan.UnpublishPorts:
		w.unpublish(a.Namespace, a.Name)
	case plan.WriteNote:
		w.writeNote(a)
	}
}

func (w *world) writeNote(a plan.WriteNote) {
	if a.Text == "" {
		delete(w.state.Notes, a.Name)
		return
	}
	if w.state.Notes == nil {
		w.state.Notes = map[string]string{}
	}
	w.state.Notes[a.Name] = a.Text
}

func (w *world) removeVolumes(names ...string) {
	w.state.Volumes = slices.DeleteFunc(w.state.Volumes, func(v runtime.PersistentVolume) bool { return slices.Contains(names, v.Name) })
}

func (w *world) createPod(a plan.CreatePod) {
	for _, p := range w.state.Pods {
		if p.Manifest.Name == a.Pod.Name && p.Manifest.Namespace == a.Pod.Namespace {
			w.t.Errorf("pod %s is created twice", a.Pod.Name)
		}
	}
	p := runtime.Pod{Manifest: a.Pod, ID: string(a.Pod.UID), IP: fmt.Sprintf("10.89.1.%d", len(w.state.Pods)+1),
		Phase: runtime.Running, CreatedAt: w.now, StartedAt: w.now}
	if a.Pod.Spec.HostNetwork {
		p.IP = ""
	}
	w.write(&p)
	for _, v := range a.Pod.Spec.Volumes {
		if v.PersistentVolumeClaim == nil {
			continue
		}
		volume, err := plan.ClaimVolume(w.set, w.observed(), a.Pod.Namespace, v.PersistentVolumeClaim.ClaimName)
		w.must(err)
		if !volume.Adopted {
			w.addVolume(volume.Claim, volume.Labels)
		}
	}
	for _, name := range a.Containers {
		w.start(&p, plan.StartContainer{Container: name})
	}
	w.state.Pods = append(w.state.Pods, p)
}

func (w *world) addVolume(name string, labels map[string]string) {
	if len(labels) == 0 {
		w.state.OtherVolumes = append(w.state.OtherVolumes, name)
		return
	}
	for _, v := range w.state.Volumes {
		if v.Name == name {
			return
		}
	}
	w.state.Volumes = append(w.state.Volumes, runtime.PersistentVolume{Name: name, Labels: labels, CreatedAt: w.now})
	slices.SortFunc(w.state.Volumes, func(a, b runtime.PersistentVolume) int { return cmp.Compare(a.Name, b.Name) })
}

// write puts the files into a pod's volumes.
func (w *world) write(p *runtime.Pod) {
	p.Written = map[string]string{}
	for i := range p.Manifest.Spec.Volumes {
		v := &p.Manifest.Spec.Volumes[i]
		if hash := plan.FilesHash(w.set, p.Manifest, v); hash != "" {
			p.Written[v.Name] = hash
		}
	}
}

func (w *world) kill(p *runtime.Pod, a plan.KillPod) {
	for i := range p.Containers {
		if c := &p.Containers[i]; c.State == runtime.Running {
			end(c, 137, w.now)
		}
	}
	if !a.KeepSandbox {
		p.Phase, p.FinishedAt = runtime.Exited, w.now
	}
}

func (w *world) start(p *runtime.Pod, a plan.StartContainer) {
	c := runtime.Container{
		ID: fmt.Sprintf("%s/%s/%d", p.ID, a.Container, a.Attempt), Name: a.Container, Attempt: a.Attempt, Backoff: a.Backoff,
		State: runtime.Running, CreatedAt: w.now, StartedAt: w.now, ImageID: a.ImageID,
	}
	spec := specOf(p, a.Container)
	c.Image, c.ImageID = spec.Image, cmp.Or(c.ImageID, w.state.Images[spec.Image].ID)
	c.Started = spec.StartupProbe == nil
	if c.Started && spec.ReadinessProbe == nil {
		c.Ready, c.ReadySince = true, w.now
	}
	p.Containers = slices.DeleteFunc(p.Containers, func(o runtime.Container) bool { return o.ID == c.ID })
	p.Containers = append(p.Containers, c)
}

func specOf(p *runtime.Pod, name string) *corev1.Container {
	for _, list := range [][]corev1.Container{p.Manifest.Spec.InitContainers, p.Manifest.Spec.Containers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}

func (w *world) setReady(p *runtime.Pod, ready bool) {
	for i := range p.Containers {
		c := &p.Containers[i]
		if c.State != runtime.Running {
			continue
		}
		if ready && !c.Ready {
			c.ReadySince, c.UnreadySince = w.now, time.Time{}
		}
		if !ready && c.Ready {
			c.UnreadySince = w.now
		}
		c.Ready, c.Started = ready, true
	}
}

func (w *world) setStarting(p *runtime.Pod, names []string, starting bool) {
	for _, name := range names {
		c := newest(p, name)
		c.Starting, c.Started = starting, !starting
		c.Ready = !starting && specOf(p, name).ReadinessProbe == nil
		if c.Ready {
			c.ReadySince = w.now
		}
	}
}

func (w *world) exit(args []string) {
	w.each(args[:1], func(p *runtime.Pod) {
		c := newest(p, args[1])
		n, err := strconv.Atoi(args[2])
		if err != nil {
			c.OOMKilled, n = args[2] == "oom", 137
		}
		c.Message = strings.Join(args[3:], " ")
		end(c, n, w.now)
	})
}

func end(c *runtime.Container, code int, at time.Time) {
	c.State, c.ExitCode, c.FinishedAt = runtime.Exited, code, at
	c.Ready, c.Started, c.Starting, c.Unhealthy = false, false, false, ""
}

// problem takes a pod's name, or a pattern if the pod is there.
func (w *world) problem(args []string) {
	key := "default/" + args[0]
	if strings.ContainsAny(args[0], "*") {
		w.each(args[:1], func(p *runtime.Pod) { key = p.Manifest.Namespace + "/" + p.Manifest.Name })
	}
	if len(args) == 1 {
		delete(w.state.Problems, key)
		return
	}
	container := args[1]
	if container == "-" {
		container = ""
	}
	w.state.Problems[key] = runtime.Problem{Container: container, Reason: args[2], Message: strings.Join(args[3:], " ")}
}

func (w *world) sandbox(p *runtime.Pod, what string) {
	switch what {
	case "stop":
		p.Phase, p.FinishedAt = runtime.Exited, w.now
	case "lose": // all that is known is what the labels of its containers tell
		p.Phase = runtime.Missing
		p.Manifest = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: p.Manifest.Namespace, Name: p.Manifest.Name, UID: p.Manifest.UID}}
		p.CreatedAt, p.StartedAt, p.IP = time.Time{}, time.Time{}, ""
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
	case "pulling":
		w.state.Images[ref] = runtime.Image{Pulling: true}
	case "broken":
		n, err := strconv.Atoi(args[2])
		w.must(err)
		w.state.Images[ref] = runtime.Image{Failures: n, FailedAt: w.now, Error: "pull image " + ref + ": not found"}
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
