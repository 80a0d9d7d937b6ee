package plan_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

// TestRandomLivesOfAPod lets all sorts of things happen to one pod and checks after every step what must never be: an app
// container that starts before the init containers have succeeded in this sandbox, two init containers at once, anything
// that starts in a pod that has ended, an end that is not the end.
func TestRandomLivesOfAPod(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLife(t)
		for range rapid.IntRange(5, 40).Draw(t, "steps") {
			l.step()
			l.check()
		}
	})
}

// life is one history. succeeded remembers which init containers have, in the sandbox as it is now; somebody may have
// removed them since.
type life struct {
	*rapid.T
	*world
	spec      corev1.PodSpec
	succeeded map[string]bool
	ended     corev1.PodPhase
}

func newLife(t *rapid.T) *life {
	l := &life{T: t, world: newWorld(t), succeeded: map[string]bool{}}
	policies := []*corev1.ContainerRestartPolicy{nil, nil}
	for _, p := range []corev1.ContainerRestartPolicy{corev1.ContainerRestartPolicyAlways, corev1.ContainerRestartPolicyOnFailure, corev1.ContainerRestartPolicyNever} {
		policies = append(policies, &p)
	}
	l.spec.RestartPolicy = rapid.SampledFrom([]corev1.RestartPolicy{corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever}).Draw(t, "policy")
	for i := range rapid.IntRange(0, 3).Draw(t, "inits") {
		l.spec.InitContainers = append(l.spec.InitContainers, corev1.Container{Name: fmt.Sprintf("init-%d", i), Image: "app:1",
			RestartPolicy: rapid.SampledFrom(policies).Draw(t, "init policy")})
	}
	for i := range rapid.IntRange(1, 2).Draw(t, "apps") {
		l.spec.Containers = append(l.spec.Containers, corev1.Container{Name: fmt.Sprintf("app-%d", i), Image: "app:1",
			RestartPolicy: rapid.SampledFrom(policies).Draw(t, "app policy")})
	}
	if seconds := int64(600); rapid.Bool().Draw(t, "deadline") {
		l.spec.ActiveDeadlineSeconds = &seconds
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "one"}, Spec: l.spec}
	ref := manifests.Ref{APIVersion: "v1", Kind: "Pod", Namespace: "default", Name: "one"}
	l.use(&manifests.Set{Since: l.now, Objects: []*manifests.Object{{Ref: ref, Value: pod}}})
	l.step()
	return l
}

func (l *life) step() {
	if len(l.state.Pods) == 0 {
		l.carryOut(l.plan())
		return
	}
	pod := &l.state.Pods[0]
	switch rapid.IntRange(0, 9).Draw(l.T, "event") {
	case 0, 1, 2:
		l.act(pod)
	case 3, 4:
		l.exitOne(pod)
	case 5:
		l.now = l.now.Add(time.Duration(rapid.IntRange(1, 200).Draw(l.T, "seconds")) * time.Second)
	case 6:
		l.setReady(pod, rapid.Bool().Draw(l.T, "ready"))
	case 7:
		l.shake(pod)
	case 8:
		l.lose(pod)
	case 9:
		l.now = l.now.Add(time.Second)
		l.act(pod)
	}
}

// act carries out a plan that must be allowed.
func (l *life) act(pod *runtime.Pod) {
	result := l.plan()
	var starts []string
	for _, a := range result.Actions {
		switch a := a.(type) {
		case plan.StartContainer:
			starts = append(starts, a.Container)
		case plan.StartSandbox:
			if l.ended != "" {
				l.T.Fatalf("%s starts the sandbox of a pod that is %s", a, l.ended)
			}
			clear(l.succeeded)
		}
	}
	l.allowed(pod, starts)
	l.carryOut(result)
}

func (l *life) allowed(pod *runtime.Pod, starts []string) {
	if l.ended != "" && len(starts) > 0 {
		l.T.Fatalf("%v start in a pod that is %s", starts, l.ended)
	}
	regular := 0
	for i := range l.spec.InitContainers {
		c := &l.spec.InitContainers[i]
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			continue
		}
		if latest := newest(pod, c.Name); slices.Contains(starts, c.Name) || latest != nil && latest.State == runtime.Running {
			regular++
		}
		for _, app := range l.spec.Containers {
			if slices.Contains(starts, app.Name) && !l.succeeded[c.Name] {
				l.T.Fatalf("%s starts before %s has succeeded", app.Name, c.Name)
			}
		}
	}
	if regular > 1 {
		l.T.Fatalf("%d init containers run at once", regular)
	}
}

func (l *life) exitOne(pod *runtime.Pod) {
	var running []*runtime.Container
	for i := range pod.Containers {
		if pod.Containers[i].State == runtime.Running {
			running = append(running, &pod.Containers[i])
		}
	}
	if len(running) == 0 {
		return
	}
	c := rapid.SampledFrom(running).Draw(l.T, "container")
	end(c, rapid.IntRange(0, 1).Draw(l.T, "code"), l.now)
	if c.ExitCode == 0 && !c.StartedAt.Before(pod.StartedAt) {
		l.succeeded[c.Name] = true
	}
}

// shake stops or restarts the sandbox; its containers may go with it.
func (l *life) shake(pod *runtime.Pod) {
	if pod.Phase != runtime.Running {
		return
	}
	l.now = l.now.Add(time.Second)
	how := rapid.SampledFrom([]string{"stop", "restart"}).Draw(l.T, "sandbox")
	l.sandbox(pod, how)
	if how == "restart" {
		clear(l.succeeded)
	}
	for i := range pod.Containers {
		if c := &pod.Containers[i]; c.State == runtime.Running && rapid.Bool().Draw(l.T, "goes, too") {
			end(c, 137, l.now)
		}
	}
}

// lose removes an init container that has ended, as people who tidy up do.
func (l *life) lose(pod *runtime.Pod) {
	pod.Containers = slices.DeleteFunc(pod.Containers, func(c runtime.Container) bool {
		return c.Name == "init-0" && c.State == runtime.Exited && c.ExitCode == 0
	})
}

// check looks at the pod's status: an end is the end.
func (l *life) check() {
	for _, s := range l.plan().Objects {
		phase := s.Pod.Phase
		if l.ended != "" && phase != l.ended {
			l.T.Fatalf("the pod was %s and is %s: %+v", l.ended, phase, s)
		}
		if phase == corev1.PodSucceeded || phase == corev1.PodFailed {
			l.ended = phase
		}
		for _, c := range s.Pod.Conditions {
			if c.LastTransitionTime.After(l.now) || c.LastTransitionTime.IsZero() {
				l.T.Fatalf("%s since %v, and now is %v", c.Type, c.LastTransitionTime, l.now)
			}
		}
	}
}
