package reconcile

import (
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

// ruling is the commit by which everything has been decided that begins now; nil if that is not sure yet.
func (s *simulation) ruling() *manifests.Set {
	last := s.commits[len(s.commits)-1]
	if time.Since(last.Since) < 2*time.Second {
		return nil
	}
	return last
}

// deciding are the commits by one of which a stop that begins now was decided.
func (s *simulation) deciding() []*manifests.Set {
	if set := s.ruling(); set != nil {
		return []*manifests.Set{set}
	}
	return s.lastCommits()
}

// undisturbed: nothing was broken for so long, and no fault was met. The caller holds mu.
func (s *simulation) undisturbed(d time.Duration) bool { return time.Since(s.lastChaos) > d }

// noteStop remembers when a pod's main container was told to stop first. The caller holds mu.
func (s *simulation) noteStop(state *runtime.State, container string) {
	for i := range state.Pods {
		if c := plan.Latest(&state.Pods[i], "main"); c != nil && c.ID == container {
			s.stopBegan[state.Pods[i].ID] = time.Now()
		}
	}
}

// checkStopOf looks at the first moment of the stop of a pod's main container. The caller holds mu.
func (s *simulation) checkStopOf(state *runtime.State, pod *runtime.Pod, main *runtime.Container) {
	set := s.ruling()
	if set == nil {
		return
	}
	kind, name, _ := strings.Cut(pod.Manifest.Annotations["podyard.dev/owner"], "/")
	object := set.Find(kind, "default", name)
	switch {
	case object == nil:
	case kind == "Pod":
		s.checkBareStop(set, pod, main)
	case !s.removing(pod.ID) || !settled(pod):
	case kind == "StatefulSet":
		s.checkStatefulStop(state, pod, object.Value.(*appsv1.StatefulSet))
	case kind == "DaemonSet":
		s.checkDaemonStop(state, pod, object.Value.(*appsv1.DaemonSet))
	}
}

// settled: the pod serves, and for so long that the daemon must know; and it does not cease to by itself.
func settled(pod *runtime.Pod) bool {
	c := plan.Latest(pod, "main")
	return serves(pod) && programs[c.Image].LiveUntil == 0 && time.Since(servesSince(pod)) > programs[c.Image].ReadyAfter+15*time.Second
}

// servesSince is when the last of what a pod needs to serve began: its program, or a sidecar.
func servesSince(pod *runtime.Pod) (since time.Time) {
	for _, spec := range containersOf(&pod.Manifest.Spec) {
		if c := plan.Latest(pod, spec.Name); c != nil && (spec.Name == "main" || isSidecar(spec)) && c.StartedAt.After(since) {
			since = c.StartedAt
		}
	}
	return since
}

// checkBareStop: a bare pod that is as the commit says is not removed, and is stopped for its deadline only, in time.
func (s *simulation) checkBareStop(set *manifests.Set, pod *runtime.Pod, main *runtime.Container) {
	if !s.undisturbed(time.Minute) {
		return
	}
	if s.removing(pod.ID) {
		if pod.CreatedAt.After(set.Since.Add(2 * time.Second)) {
			s.Errorf("pod %s is removed, although it is as the commit says", pod.Manifest.Name)
		}
		return
	}
	if hook := containerSpec(pod.Manifest, "main").Lifecycle.PostStart; isCommand(hook, []string{"ls"}) || main.State != runtime.Running {
		return // the hook fails, and the container with it; or the program's end came first
	}
	deadline := pod.Manifest.Spec.ActiveDeadlineSeconds
	if deadline == nil {
		s.Errorf("container main of pod %s is stopped for no reason: %+v", pod.Manifest.Name, main)
		return
	}
	if late := time.Since(pod.CreatedAt) - time.Duration(*deadline)*time.Second; late < 0 || late > 5*time.Second {
		s.Errorf("pod %s is stopped %s after its deadline", pod.Manifest.Name, late)
	}
}

// checkStatefulStop: scaled down from the highest ordinal, in order one after the other; updated from the highest, not below
// the partition, and as many at once as may be unavailable.
func (s *simulation) checkStatefulStop(state *runtime.State, pod *runtime.Pod, set *appsv1.StatefulSet) {
	first, replicas := firstOrdinal(&set.Spec), int(*set.Spec.Replicas)
	rolling := set.Spec.UpdateStrategy.RollingUpdate
	ordinal := ordinalIn(set.Name, pod)
	slot := ordinal - first
	var others []*runtime.Pod
	for i := range state.Pods {
		p := &state.Pods[i]
		if p.ID != pod.ID && p.Phase != runtime.Missing && p.Manifest.Annotations["podyard.dev/owner"] == "StatefulSet/"+set.Name {
			others = append(others, p)
		}
	}
	if slot < 0 || slot >= replicas {
		s.checkCondemned(pod, others, set)
		return
	}
	if slot < int(*rolling.Partition) && pod.Manifest.Annotations["podyard.dev/claims-when-deleted"] == "" {
		s.Errorf("pod %s is removed, below the partition %d", pod.Manifest.Name, *rolling.Partition)
	}
	image := set.Spec.Template.Spec.Containers[0].Image
	n := 0
	for _, p := range others {
		at := ordinalIn(set.Name, p)
		wanted := at >= first && at < first+replicas
		n += count(wanted && !s.removing(p.ID) && (serves(p) || crashes(&p.Manifest.Spec)))
		if outdated(pod, image) && outdated(p, image) && wanted && at > ordinal && settled(p) && !s.removing(p.ID) {
			s.Errorf("pod %s is updated before pod %s", pod.Manifest.Name, p.Manifest.Name)
		}
	}
	if least := replicas - rolling.MaxUnavailable.IntValue(); n < least {
		s.Errorf("StatefulSet %s keeps %d serving pods without %s, at least %d must stay:%s", set.Name, n, pod.Manifest.Name, least, s.describe(state.Pods))
	}
}

func (s *simulation) checkCondemned(pod *runtime.Pod, others []*runtime.Pod, set *appsv1.StatefulSet) {
	for _, commit := range s.lastCommits() {
		o := commit.Find("StatefulSet", "default", set.Name)
		if o == nil || o.Value.(*appsv1.StatefulSet).Spec.PodManagementPolicy != appsv1.OrderedReadyPodManagement {
			return
		}
	}
	first, replicas := firstOrdinal(&set.Spec), int(*set.Spec.Replicas)
	for _, p := range others {
		at := ordinalIn(set.Name, p)
		switch {
		case at >= first && at < first+replicas || !s.undisturbed(time.Minute):
		case s.removing(p.ID):
			s.Errorf("pods %s and %s are scaled down at once", pod.Manifest.Name, p.Manifest.Name)
		case at > ordinalIn(set.Name, pod):
			s.Errorf("pod %s is scaled down before %s", pod.Manifest.Name, p.Manifest.Name)
		}
	}
}

func ordinalIn(set string, pod *runtime.Pod) int {
	ordinal, _ := strconv.Atoi(strings.TrimPrefix(pod.Manifest.Name, set+"-"))
	return ordinal
}

func outdated(pod *runtime.Pod, image string) bool {
	return pod.Manifest.Spec.Containers[0].Image != image
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// checkDaemonStop: with a surge, the old pod goes when the new one is available.
func (s *simulation) checkDaemonStop(state *runtime.State, pod *runtime.Pod, set *appsv1.DaemonSet) {
	if set.Spec.UpdateStrategy.RollingUpdate.MaxSurge.IntValue() == 0 {
		return
	}
	for i := range state.Pods {
		p := &state.Pods[i]
		if p.ID != pod.ID && p.Manifest.Annotations["podyard.dev/owner"] == "DaemonSet/"+set.Name && !s.removing(p.ID) &&
			(ripe(p, set.Spec.MinReadySeconds) || crashes(&p.Manifest.Spec)) {
			return
		}
	}
	s.Errorf("pod %s is removed before another of its DaemonSet is available:%s", pod.Manifest.Name, s.describe(state.Pods))
}

// ripe: the pod serves, and may have done so for the minimum.
func ripe(pod *runtime.Pod, minReady int32) bool {
	if !serves(pod) {
		return false
	}
	return time.Since(servesSince(pod)) >= time.Duration(minReady)*time.Second
}

// checkTold looks at a container that is told to stop: it has a grace period, unless its network is gone; and a sidecar is
// told when main has ended, or has used up the time of both.
func (s *simulation) checkTold(pod *runtime.Pod, c *runtime.Container, grace time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.State != runtime.Running || c.StartedAt.Before(pod.StartedAt) {
		return
	}
	if grace < minimumGrace {
		s.Errorf("container %s of pod %s is told to stop within %s", c.Name, pod.Manifest.Name, grace)
	}
	main := plan.Latest(pod, "main")
	if c.Name == "main" || !isSidecar(containerSpec(pod.Manifest, c.Name)) || main == nil || main.State != runtime.Running || main.StartedAt.Before(pod.StartedAt) ||
		!s.removing(pod.ID) || !s.undisturbed(time.Minute) {
		return
	}
	whole := time.Duration(*pod.Manifest.Spec.TerminationGracePeriodSeconds) * time.Second
	if began := s.stopBegan[pod.ID]; began.IsZero() || time.Since(began) < whole-time.Second {
		s.Errorf("sidecar %s of pod %s is told to stop while main runs", c.Name, pod.Manifest.Name)
	}
}

// checkReady: Services lead to pods that serve.
func (s *simulation) checkReady(state *runtime.State, routes runtime.Routes) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.undisturbed(10 * time.Second) {
		return
	}
	for address := range readyAddresses(&runtime.State{Routes: routes}) {
		i := slices.IndexFunc(state.Pods, func(p runtime.Pod) bool { return p.IP == address })
		if i < 0 {
			s.Errorf("Services lead to %s, where no pod is", address)
			continue
		}
		pod := &state.Pods[i]
		if s.mayPass(pod) {
			continue
		}
		if !serves(pod) && !crashes(&pod.Manifest.Spec) {
			s.Errorf("Services lead to pod %s, which is not ready: %+v", pod.Manifest.Name, plan.Latest(pod, "main"))
		}
	}
}

// checkPorts: Services lead to each pod where it listens itself.
func (s *simulation) checkPorts(state *runtime.State, routes runtime.Routes) {
	for _, slice := range routes.Endpoints {
		for _, e := range slice.Endpoints {
			i := slices.IndexFunc(state.Pods, func(p runtime.Pod) bool { return p.Manifest.UID == e.TargetRef.UID })
			if i < 0 {
				continue // it is gone, and checkReady says whether it may be
			}
			want, got := portOf(state.Pods[i].Manifest.Spec.Containers[0].Image), int32(0)
			for _, port := range slice.Ports {
				got = *port.Port
			}
			if got != want {
				s.Errorf("Services lead to pod %s at port %d, and it listens at %d", e.TargetRef.Name, got, want)
			}
		}
	}
}

// mayPass: the program has ceased to answer, but a new daemon takes the pod for ready, as the routes do, until its probe has
// failed thrice. The caller holds mu.
func (s *simulation) mayPass(pod *runtime.Pod) bool {
	main := plan.Latest(pod, "main")
	return main != nil && programs[main.Image].LiveUntil > 0 && !s.undisturbed(time.Minute)
}

// portsOf are the ports of the host that a pod asks for.
func portsOf(spec *corev1.PodSpec) []int32 {
	var out []int32
	for _, p := range spec.Containers[0].Ports {
		if p.HostPort != 0 {
			out = append(out, p.HostPort)
		}
	}
	return out
}
