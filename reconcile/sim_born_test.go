package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

// checkBorn looks at a pod that has just been made. The caller holds mu.
func (s *simulation) checkBorn(state *runtime.State, pod *runtime.Pod) {
	s.checkPort(state, pod)
	if len(s.lastCommits()) > 1 {
		return // it is not sure by which it was decided
	}
	kind, name, _ := strings.Cut(pod.Manifest.Annotations["podyard.dev/owner"], "/")
	object := s.lastCommits()[0].Find(kind, "default", name)
	if object == nil {
		return
	}
	switch value := object.Value.(type) {
	case *appsv1.Deployment:
		s.checkRecreate(state, pod, value)
	case *appsv1.StatefulSet:
		s.checkIdentity(state, pod, value)
	case *appsv1.ReplicaSet:
		s.checkAdopted(state, pod, value)
	}
}

// checkPort: a pod is made only when nobody has its port of the host.
func (s *simulation) checkPort(state *runtime.State, pod *runtime.Pod) {
	for i := range state.Pods {
		other := &state.Pods[i]
		if other.ID == pod.ID || other.Phase != runtime.Running {
			continue
		}
		for _, port := range portsOf(&pod.Manifest.Spec) {
			if slices.Contains(portsOf(&other.Manifest.Spec), port) {
				s.Errorf("pod %s is made, although pod %s has port %d of the host", pod.Manifest.Name, other.Manifest.Name, port)
			}
		}
	}
}

// checkRecreate: the first new pod comes when the last old one is gone.
func (s *simulation) checkRecreate(state *runtime.State, pod *runtime.Pod, d *appsv1.Deployment) {
	if d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		return
	}
	for i := range state.Pods {
		other := &state.Pods[i]
		if other.Phase != runtime.Missing && other.Manifest.Annotations["podyard.dev/owner"] == "Deployment/"+d.Name &&
			other.Manifest.Labels["pod-template-hash"] != pod.Manifest.Labels["pod-template-hash"] {
			s.Errorf("Deployment %s has strategy Recreate, and pod %s is made beside %s", d.Name, pod.Manifest.Name, other.Manifest.Name)
		}
	}
}

// checkIdentity: an ordinal has its own volume, and below the partition the old template.
func (s *simulation) checkIdentity(state *runtime.State, pod *runtime.Pod, set *appsv1.StatefulSet) {
	ordinal := ordinalIn(set.Name, pod)
	want := fmt.Sprintf("own-%s-%d", set.Name, ordinal)
	volume := findVolume(pod.Manifest, "own")
	if volume == nil || volume.PersistentVolumeClaim == nil || volume.PersistentVolumeClaim.ClaimName != want {
		s.Errorf("pod %s has not the claim %s: %+v", pod.Manifest.Name, want, volume)
	}
	if below(set, pod) && !outdatedIn(set, pod) && s.older[s.commits[len(s.commits)-1].Sync] {
		s.Errorf("pod %s below the partition has the new template, and this commit found one of the old template there", pod.Manifest.Name)
	}
}

// noteOlder remembers that the last commit found a pod of an old template below the partition of its StatefulSet. From then on
// all pods there are made of it, even if there is none left.
func (s *simulation) noteOlder() {
	state := s.engine.Truth()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.commits) == 0 || s.cast["order"] || !s.undisturbed(10*time.Second) { // a wave that has not come yet decides nothing
		return
	}
	set := s.ruling()
	if set == nil {
		return
	}
	o := set.Find("StatefulSet", "default", "store")
	if o == nil {
		return
	}
	store := o.Value.(*appsv1.StatefulSet)
	for i := range state.Pods {
		pod := &state.Pods[i]
		if pod.Phase == runtime.Running && pod.Manifest.Annotations["podyard.dev/owner"] == "StatefulSet/store" &&
			below(store, pod) && outdatedIn(store, pod) && !s.removing(pod.ID) && time.Since(pod.CreatedAt) > 5*time.Second {
			s.older[set.Sync] = true
		}
	}
}

func below(set *appsv1.StatefulSet, pod *runtime.Pod) bool {
	slot := ordinalIn(set.Name, pod) - firstOrdinal(&set.Spec)
	return slot >= 0 && slot < int(*set.Spec.Replicas) && slot < int(*set.Spec.UpdateStrategy.RollingUpdate.Partition)
}

func outdatedIn(set *appsv1.StatefulSet, pod *runtime.Pod) bool {
	return outdated(pod, set.Spec.Template.Spec.Containers[0].Image)
}

// late: the pod's deadline is over, whether or not it is stopped already.
func late(pod *runtime.Pod) bool {
	seconds := pod.Manifest.Spec.ActiveDeadlineSeconds
	return seconds != nil && time.Since(pod.CreatedAt) >= time.Duration(*seconds)*time.Second
}

// checkAdopted: a bare pod that a ReplicaSet selects is one of those it wants.
func (s *simulation) checkAdopted(state *runtime.State, pod *runtime.Pod, set *appsv1.ReplicaSet) {
	if !s.undisturbed(15 * time.Second) {
		return
	}
	n := s.staying(state.Pods, "ReplicaSet/"+set.Name)
	for i := range state.Pods {
		other := &state.Pods[i]
		main := plan.Latest(other, "main")
		if strings.HasPrefix(other.Manifest.Annotations["podyard.dev/owner"], "Pod/") && other.Manifest.Labels["team"] == set.Spec.Selector.MatchLabels["team"] &&
			pod.CreatedAt.Sub(other.CreatedAt) > 5*time.Second && main != nil && main.State == runtime.Running && !s.removing(other.ID) && !late(other) {
			n++
		}
	}
	if n > int(*set.Spec.Replicas) {
		s.Errorf("ReplicaSet %s has %d pods with those it should have adopted, wants %d", set.Name, n, *set.Spec.Replicas)
	}
}

// checkRestart looks at an attempt of a container that has just been made: the one before has ended, the policy lets it run
// again, and it has waited as long as it must. The caller holds mu. Upstream: pkg/kubelet/kubelet.go (MaxContainerBackOff),
// client-go util/flowcontrol/backoff.go.
func (s *simulation) checkRestart(pod *runtime.Pod, c *runtime.Container) {
	if _, known := s.backoffs[c.ID]; known || pod.Phase == runtime.Missing {
		return
	}
	s.backoffs[c.ID] = 0
	i := slices.IndexFunc(pod.Containers, func(p runtime.Container) bool { return p.Name == c.Name && p.Attempt == c.Attempt-1 })
	if c.Attempt == 0 || i < 0 {
		return
	}
	past := &pod.Containers[i]
	wait, longest := s.backoffs[past.ID], 5*time.Minute
	s.backoffs[c.ID] = min(max(2*wait, 10*time.Second), longest)
	if past.FinishedAt.Sub(past.StartedAt) >= 2*longest {
		wait, s.backoffs[c.ID] = 0, 10*time.Second
	}
	spec := containerSpec(pod.Manifest, c.Name)
	switch {
	case past.State != runtime.Exited:
		s.Errorf("container %s of pod %s is made anew while it is %s", c.Name, pod.Manifest.Name, past.State)
	case c.Name == "main" && ends(pod.Manifest, spec, past.ExitCode):
		s.Errorf("container main of pod %s is restarted, although it ended with %d", pod.Manifest.Name, past.ExitCode)
	case past.StartedAt.Before(pod.StartedAt) || s.tampered[string(pod.Manifest.UID)]: // its sandbox is a new one
	default:
		s.checkWait(pod, c, past, wait)
	}
}

// ends tells whether a container that ended so stays as it is.
func ends(pod *corev1.Pod, spec *corev1.Container, code int) bool {
	policy := string(pod.Spec.RestartPolicy)
	if spec.RestartPolicy != nil {
		policy = string(*spec.RestartPolicy)
	}
	return policy == "Never" || policy == "OnFailure" && code == 0
}

// checkWait: no sooner than the back-off says, and no later where nothing else is in the way.
func (s *simulation) checkWait(pod *runtime.Pod, c, past *runtime.Container, wait time.Duration) {
	waited := c.CreatedAt.Sub(past.FinishedAt)
	if waited < wait {
		s.Errorf("attempt %d of container %s of pod %s comes after %s, not after %s", c.Attempt, c.Name, pod.Manifest.Name, waited, wait)
	}
	spec := containerSpec(pod.Manifest, c.Name)
	hooked := spec.Lifecycle != nil && isCommand(spec.Lifecycle.PostStart, []string{"ls"})
	calm := s.undisturbed(waited+time.Minute) && !s.deaf && time.Since(s.commits[len(s.commits)-1].Since) > waited+time.Minute
	if calm && !hooked && programs[c.Image].StartError == "" && waited > wait+5*time.Second {
		s.Errorf("attempt %d of container %s of pod %s comes after %s, later than after %s", c.Attempt, c.Name, pod.Manifest.Name, waited, wait)
	}
}
