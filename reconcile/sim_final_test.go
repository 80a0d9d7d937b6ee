package reconcile

import (
	"errors"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/runtime/fake"
)

// converge ends the troubles with a good commit, waits, and checks that the engine holds just that, also after a commit
// that changes a ConfigMap only; breaks one thing of each kind behind the daemon's back, waits, and checks again. Each time it
// must come to a point where nothing moves any more.
func (s *simulation) converge() {
	s.hear(true)
	final := s.newSet()
	for _, name := range []string{"api", "web"} {
		if !s.cast[name] {
			continue
		}
		add(final, "Deployment", name, s.randomDeployment(name, []string{"good:1", "good:2", "good:3"}, goodDress))
		add(final, "Service", name, service(name))
	}
	s.addGoodWorkloads(final)
	s.addGoodJob(final)
	ordered := s.order(final, goodHooks)
	if s.cast["tide"] {
		s.addTide(final)
		s.engine.SetLoad("tide", fake.Load{CPU: tideAtEnd})
	}
	for _, name := range []string{"job", "late"} {
		if !s.cast["pods"] {
			break
		}
		pod := s.barePod(name, map[string]string{"job": "job", "late": "good:1"}[name], goodDress)
		pod.Spec.RestartPolicy, pod.Spec.Containers[0].RestartPolicy, pod.Spec.ActiveDeadlineSeconds = corev1.RestartPolicyOnFailure, nil, nil
		pod.Spec.Containers[0].Lifecycle.PostStart = nil
		if name == "late" && ordered {
			continue // it fails, so the sync after it would not come to its end
		}
		if name == "late" {
			pod.Spec.ActiveDeadlineSeconds = pointer(int64(90))
		}
		add(final, "Pod", name, pod)
	}
	s.addFronts(final, goodPorts, true)
	s.addDoors(final)
	release := s.engine.HoldPort(lastPort, corev1.ProtocolTCP)
	s.deploy(final)
	s.settle()
	s.checkFinal(final)
	s.checkPublished(final, lastPort)
	release()
	time.Sleep(time.Minute)
	s.checkPublished(final, 0)
	s.checkDoors(final)
	final = withConfig(final, "changed")
	s.deploy(final)
	time.Sleep(time.Minute)
	s.checkFinal(final)
	s.closePublication()
	s.onSandbox(s.engine.RestartSandbox)
	s.onSandbox(s.engine.KillSandbox)
	s.onContainer(s.removeContainer)
	s.settle()
	s.checkFinal(final)
	s.checkPublished(final, 0)
	s.checkDoors(final)
}

// lastPort is one of goodPorts that no commit before has asked for, so that it is free.
const lastPort = 82

// slowest is longer than anything lets the loop wait: the longest back-off, and a round that no event asks for.
const slowest = 6 * time.Minute

// settle waits until nothing on the engine changes any more and nobody tries to change it, for an hour at most.
func (s *simulation) settle() {
	calls, since := 0, time.Now()
	for begin := time.Now(); time.Since(since) <= slowest || s.quietFor() <= slowest; {
		time.Sleep(time.Minute)
		all := s.changingCalls()
		if len(all) > calls {
			calls, since = len(all), time.Now()
		}
		if time.Since(begin) > time.Hour {
			s.Fatalf("no fixed point: %v", all[max(0, len(all)-20):])
		}
	}
}

func (s *simulation) quietFor() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.lastChange)
}

// withConfig is the same commit with another value in its ConfigMap.
func withConfig(set *manifests.Set, value string) *manifests.Set {
	out := &manifests.Set{Since: time.Now()}
	for _, o := range set.Objects {
		if o.Kind != "ConfigMap" {
			out.Objects = append(out.Objects, o)
		}
	}
	add(out, "ConfigMap", "conf", &corev1.ConfigMap{Data: map[string]string{"value": value}})
	return out
}

func (s *simulation) checkFinal(set *manifests.Set) {
	state := s.engine.Truth()
	pods := barePods(set) + s.checkFinalWorkloads(state, set) + s.checkFinalJob(state, set)
	for _, d := range manifests.All[*appsv1.Deployment](set) {
		want := finalReplicas(set, d)
		pods += want
		hash := manifests.TemplateHash(&d.Spec.Template)
		n := 0
		for i := range state.Pods {
			pod := &state.Pods[i]
			if pod.Manifest.Labels["app"] == d.Name && pod.Manifest.Labels["pod-template-hash"] == hash && serves(pod) {
				n++
			}
		}
		if n != want {
			s.Fatalf("Deployment %s: %d pods of the last commit serve, want %d; status: %+v", d.Name, n, want, s.reconciler.Status().Result.Objects)
		}
		if set.Find("Service", "default", d.Name) != nil {
			s.checkEndpoints(state, d)
		}
	}
	if n := withoutHooks(state); n != pods {
		s.Fatalf("%d pods on the engine, want %d:%s", n, pods, s.describe(state.Pods))
	}
	for i := range state.Pods {
		s.checkFinalPod(set, &state.Pods[i])
	}
}

// barePods counts those of a commit that are no hooks; withoutHooks does so on the engine.
func barePods(set *manifests.Set) int {
	n := 0
	for _, o := range set.Objects {
		if _, isHook := manifests.HookOf(o); o.Kind == "Pod" && !isHook {
			n++
		}
	}
	return n
}

func withoutHooks(state *runtime.State) int {
	n := len(state.Pods)
	for i := range state.Pods {
		if state.Pods[i].Manifest.Annotations["podyard.dev/hook"] != "" {
			n--
		}
	}
	return n
}

// checkFinalPod: what was to end has ended with all that it had, and what runs sees the last commit's ConfigMap.
func (s *simulation) checkFinalPod(set *manifests.Set, pod *runtime.Pod) {
	if isOfJob(pod) {
		return
	}
	main := plan.Latest(pod, "main")
	switch pod.Manifest.Name {
	case "job":
		if main == nil || main.ExitCode != 0 {
			s.Fatalf("the job ended as %+v", main)
		}
		fallthrough
	case "late":
		for _, c := range pod.Containers {
			if c.State == runtime.Running || pod.Phase == runtime.Running {
				s.Fatalf("pod %s is %s, and container %s is %s, although it ended", pod.Manifest.Name, pod.Phase, c.Name, c.State)
			}
		}
		return
	}
	if findVolume(pod.Manifest, "conf") == nil {
		return
	}
	want := set.Find("ConfigMap", "default", "conf").Value.(*corev1.ConfigMap).Data["value"]
	if got := s.read(main.ID, "/conf/value"); got != want {
		s.Fatalf("pod %s sees %q of the ConfigMap, want %q", pod.Manifest.Name, got, want)
	}
}

// read is what a container sees in a file. A fault that nothing has met yet may be met here.
func (s *simulation) read(container, path string) string {
	for {
		var out strings.Builder
		_, err := s.engine.Exec(s.Context(), container, runtime.ExecOptions{Command: []string{"cat", path}}, &out, nil)
		if !errors.Is(err, fake.ErrInjected) {
			return out.String()
		}
	}
}

func (s *simulation) checkEndpoints(state *runtime.State, d *appsv1.Deployment) {
	n := 0
	for _, slice := range state.Routes.Endpoints {
		if slice.Labels[discoveryv1.LabelServiceName] == d.Name {
			n += len(slice.Endpoints)
		}
	}
	if n != int(*d.Spec.Replicas) {
		s.Fatalf("Service %s leads to %d pods, want %d", d.Name, n, *d.Spec.Replicas)
	}
}

func (s *simulation) changingCalls() []fake.Call {
	return slices.DeleteFunc(s.engine.Calls(), func(c fake.Call) bool {
		return errors.Is(c.Err, runtime.ErrPortTaken) || slices.Contains([]string{"State", "Probe", "ImageStatus", "Watch", "Exec", "VolumeUsage", "ContainerStats"}, c.Verb)
	})
}
