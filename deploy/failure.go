package deploy

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

// tries is how often a container may end, or the pull of an image fail, before a rollout is given up: a little more than a
// minute, by the back-off of 10, 20 and 40 s. Programs that wait for another by crashing come up within that.
const tries = 4

// failure is why a rollout will not succeed.
type failure struct {
	object  manifests.Ref
	message string
	// container is the one whose log tells more; nil if there is none.
	container *runtime.Container
}

// findFailure looks for what makes a rollout that began at since fail: an object that the commit holds is stalled, or a pod made
// for it crash-loops or does not get its image. What the commit did not touch does not count: to go back would not mend it.
// Nor do the runs of a CronJob: they are no part of the rollout. Nil if there is none.
func findFailure(s reconcile.Status, touched touched, since time.Time) *failure {
	roots := rootsOf(s.Result.Objects)
	for i := range s.Result.Objects {
		o := &s.Result.Objects[i]
		root := roots[o.Ref]
		switch {
		case !touched.has(root) || root.Kind == "CronJob":
		case o.Ref == root && o.Health == plan.Stalled && !pending(o):
			return &failure{o.Ref, fmt.Sprintf("%s: %s", o.Ref, o.Message), failing(s, roots, o.Ref)}
		case o.Kind == "Pod" && o.Pod != nil:
			if f := podFailure(s.State, o, since); f != nil {
				return f
			}
		}
	}
	return nil
}

// rootsOf is what the commit holds of each object: itself, or what owns it in the end. An owner comes before what it owns.
func rootsOf(objects []plan.ObjectStatus) map[manifests.Ref]manifests.Ref {
	roots := map[manifests.Ref]manifests.Ref{}
	for i := range objects {
		o := &objects[i]
		root, owned := roots[o.Owner]
		if !owned {
			root = o.Ref
		}
		roots[o.Ref] = root
	}
	return roots
}

// podFailure judges a pod by its restarts and pulls. The pods of a Job may fail as often as the Job says.
func podFailure(state *runtime.State, o *plan.ObjectStatus, since time.Time) *failure {
	if message := pullFailure(state, o.Pod); message != "" {
		return &failure{o.Ref, fmt.Sprintf("%s: %s", o.Ref, message), nil}
	}
	pod := observedPod(state, o.Ref)
	if pod == nil || pod.CreatedAt.Before(since) || o.Owner.Kind == "Job" {
		return nil
	}
	for i := range pod.Containers {
		c := &pod.Containers[i]
		if ended := endedTimes(pod, c); ended >= tries && !c.Ready && !c.Ephemeral {
			return &failure{o.Ref, fmt.Sprintf("%s: container %s has ended %d times, the last time with exit code %d (%s)",
				o.Ref, c.Name, ended, lastEnded(pod, c).ExitCode, plan.TerminationReason(lastEnded(pod, c))), lastEnded(pod, c)}
		}
	}
	return nil
}

// pullFailure is what is wrong with an image that cannot be had.
func pullFailure(state *runtime.State, pod *corev1.PodStatus) string {
	for _, c := range slices.Concat(pod.InitContainerStatuses, pod.ContainerStatuses) {
		if c.State.Waiting == nil {
			continue
		}
		switch c.State.Waiting.Reason {
		case "ErrImageNeverPull":
			return c.State.Waiting.Message
		case "ErrImagePull", "ImagePullBackOff":
			if image := state.Images[c.Image]; image.Failures >= tries {
				return fmt.Sprintf("image %s could not be pulled %d times: %s", c.Image, image.Failures, image.Error)
			}
		}
	}
	return ""
}

// endedTimes is how often a container has ended, if c is its latest attempt; 0 for earlier ones.
func endedTimes(pod *runtime.Pod, c *runtime.Container) int {
	if plan.Latest(pod, c.Name) != c {
		return 0
	}
	if c.State == runtime.Exited {
		return c.Attempt + 1
	}
	return c.Attempt
}

// lastEnded is the newest attempt of a container that has ended, or else the container itself.
func lastEnded(pod *runtime.Pod, c *runtime.Container) *runtime.Container {
	for i := range slices.Backward(pod.Containers) {
		if other := &pod.Containers[i]; other.Name == c.Name && other.State == runtime.Exited {
			return other
		}
	}
	return c
}

// failing is the container that keeps an object from being ready, in its newest pod: the first that has ended, or else the
// first that is not ready.
func failing(s reconcile.Status, roots map[manifests.Ref]manifests.Ref, root manifests.Ref) *runtime.Container {
	var newest *runtime.Pod
	for i := range s.Result.Objects {
		o := &s.Result.Objects[i]
		if o.Kind != "Pod" || roots[o.Ref] != root || o.Health == plan.Ready || o.Health == plan.Terminating {
			continue
		}
		if pod := observedPod(s.State, o.Ref); pod != nil && (newest == nil || pod.CreatedAt.After(newest.CreatedAt)) {
			newest = pod
		}
	}
	if newest == nil {
		return nil
	}
	var unready *runtime.Container
	for i := range newest.Containers {
		switch c := &newest.Containers[i]; {
		case c.State == runtime.Exited && c.ExitCode != 0:
			return lastEnded(newest, c)
		case unready == nil && !c.Ready && c.State == runtime.Running:
			unready = c
		}
	}
	return unready
}

func observedPod(state *runtime.State, ref manifests.Ref) *runtime.Pod {
	for i := range state.Pods {
		if m := state.Pods[i].Manifest; m.Namespace == ref.Namespace && m.Name == ref.Name && !state.Pods[i].Stopping {
			return &state.Pods[i]
		}
	}
	return nil
}

// touched is what a commit changed against the last good revision.
type touched struct {
	objects map[manifests.Ref]bool
	// namespaces in which something changed that others may use, such as a ConfigMap; "" for what all may use.
	namespaces map[string]bool
}

func newTouched(before, set *manifests.Set) touched {
	t := touched{map[manifests.Ref]bool{}, map[string]bool{}}
	compare(before, set, func(_ string, b, a *manifests.Object) {
		ref := either(b, a).Ref
		t.objects[ref] = true
		if !slices.Contains(havePods, ref.Kind) {
			t.namespaces[ref.Namespace] = true
		}
	})
	return t
}

// havePods are the kinds that have pods: nothing else depends on what they say.
var havePods = []string{"Pod", "ReplicationController", "ReplicaSet", "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"}

func (t touched) has(ref manifests.Ref) bool {
	return t.objects[ref] || t.namespaces[ref.Namespace] || t.namespaces[""]
}
