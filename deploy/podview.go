package deploy

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/status"
)

// seenPod is what is known of one pod: what the engine has, unless it is only wanted; what the plan says of it; its spec,
// as far as it can be told.
type seenPod struct {
	status.Ref
	observed *runtime.Pod
	planned  plan.ObjectStatus
	spec     corev1.PodSpec
}

// viewPods shows the pods that the engine has, and those that wait to be created.
func viewPods(round reconcile.Status) []status.Pod {
	if round.State == nil {
		return nil
	}
	planned := map[status.Ref]plan.ObjectStatus{}
	for _, o := range round.Result.Objects {
		if o.Kind == "Pod" {
			planned[viewRef(o.Ref)] = o
		}
	}
	var seen []seenPod
	for i := range round.State.Pods {
		pod := &round.State.Pods[i]
		ref := status.Ref{Kind: "Pod", Namespace: pod.Manifest.Namespace, Name: pod.Manifest.Name}
		seen = append(seen, seenPod{ref, pod, planned[ref], pod.Manifest.Spec})
		delete(planned, ref)
	}
	for ref, o := range planned {
		if o.Pod != nil {
			seen = append(seen, seenPod{ref, nil, o, specOf(round, o)})
		}
	}
	slices.SortStableFunc(seen, func(a, b seenPod) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	pods := make([]status.Pod, 0, len(seen))
	for _, s := range seen {
		pods = append(pods, s.view())
	}
	return pods
}

// specOf is the spec of a pod that is only wanted: its own, or that of the object that makes it.
func specOf(round reconcile.Status, o plan.ObjectStatus) corev1.PodSpec {
	for range 3 { // Pod, ReplicaSet, Deployment
		if object := round.Set.Find(o.Kind, o.Namespace, o.Name); object != nil {
			if template, ok := manifests.TemplateOf(object); ok {
				return *template.Spec
			}
		}
		i := slices.IndexFunc(round.Result.Objects, func(owner plan.ObjectStatus) bool { return owner.Ref == o.Owner })
		if i < 0 {
			break
		}
		o = round.Result.Objects[i]
	}
	return corev1.PodSpec{}
}

func (s seenPod) view() status.Pod {
	v := status.Pod{
		Namespace: s.Namespace, Name: s.Name, Health: status.Health(s.planned.Health), Message: s.planned.Message,
		Containers: []status.Container{},
	}
	if s.planned.Owner != (manifests.Ref{}) {
		owner := viewRef(s.planned.Owner)
		v.Owner = &owner
	}
	if s.observed != nil {
		v.IP, v.Sandbox, v.Created = s.observed.IP, string(s.observed.Phase), s.observed.CreatedAt
	}
	st := s.planned.Pod
	if st == nil { // the plan has not come to it, or nothing but its name is known
		v.State, v.Ready = string(s.observed.Phase), readyOf(0, s.spec)
		return v
	}
	word := wordOf(st, &s.spec, s.planned.Health == plan.Terminating)
	v.State, v.Restarts, v.Ready = word.word, word.restarts, readyOf(word.ready, s.spec)
	v.Phase, v.Reason, v.QOSClass, v.HostIP = string(st.Phase), st.Reason, string(st.QOSClass), st.HostIP
	v.IP = cmp.Or(v.IP, st.PodIP)
	for _, c := range st.Conditions {
		v.Conditions = append(v.Conditions, metav1.Condition{Type: string(c.Type), Status: metav1.ConditionStatus(c.Status),
			Reason: c.Reason, Message: c.Message, LastTransitionTime: c.LastTransitionTime})
	}
	v.Containers = s.containers(st)
	return v
}

// readyOf counts as kubectl does: app containers and sidecars.
func readyOf(ready int, spec corev1.PodSpec) string {
	total := len(spec.Containers)
	for i := range spec.InitContainers {
		if sidecar(&spec.InitContainers[i]) {
			total++
		}
	}
	return fmt.Sprintf("%d/%d", ready, total)
}

// sidecar is an init container that runs on beside the app containers.
func sidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// containers are shown in the order in which they start; those for debugging are last.
func (s seenPod) containers(st *corev1.PodStatus) []status.Container {
	out := []status.Container{}
	for i := range s.spec.InitContainers {
		c := &s.spec.InitContainers[i]
		v := s.container(c, st.InitContainerStatuses)
		v.Init, v.Sidecar = true, sidecar(c)
		out = append(out, v)
	}
	for i := range s.spec.Containers {
		out = append(out, s.container(&s.spec.Containers[i], st.ContainerStatuses))
	}
	for _, ephemeral := range st.EphemeralContainerStatuses {
		v := s.container(&corev1.Container{Name: ephemeral.Name, Image: ephemeral.Image}, st.EphemeralContainerStatuses)
		v.Ephemeral = true
		out = append(out, v)
	}
	return out
}

// container shows one container; one of which there is no status waits for its pod.
func (s seenPod) container(c *corev1.Container, statuses []corev1.ContainerStatus) status.Container {
	v := status.Container{Name: c.Name, Image: c.Image, State: "Waiting", Stdin: c.Stdin, TTY: c.TTY}
	i := slices.IndexFunc(statuses, func(cs corev1.ContainerStatus) bool { return cs.Name == c.Name })
	if i < 0 {
		return v
	}
	cs := &statuses[i]
	v.Ready, v.Restarts = cs.Ready, int(cs.RestartCount)
	v.Last = endingOf(cs.LastTerminationState.Terminated)
	ended := v.Last
	switch {
	case cs.State.Running != nil:
		v.State, v.Started = "Running", cs.State.Running.StartedAt.Time
	case cs.State.Terminated != nil:
		ended = endingOf(cs.State.Terminated)
		v.State, v.Reason, v.Message = "Terminated", ended.Reason, ended.Message
	case cs.State.Waiting != nil:
		v.Reason, v.Message = cs.State.Waiting.Reason, cs.State.Waiting.Message
	}
	if ended != nil {
		v.Finished, v.ExitCode = ended.Finished, &ended.ExitCode
		if v.Started.IsZero() {
			v.Started = ended.Started
		}
	}
	s.observe(&v)
	return v
}

func endingOf(t *corev1.ContainerStateTerminated) *status.Ending {
	if t == nil {
		return nil
	}
	return &status.Ending{Reason: t.Reason, Message: t.Message, ExitCode: int(t.ExitCode), Started: t.StartedAt.Time, Finished: t.FinishedAt.Time}
}

// observe adds what a status of Kubernetes has no place for.
func (s seenPod) observe(v *status.Container) {
	if s.observed == nil {
		return
	}
	c := plan.Latest(s.observed, v.Name)
	if c == nil {
		return
	}
	v.ImageID = c.ImageID
	if v.State != "Running" {
		return
	}
	switch {
	case c.Starting:
		v.Message = "its postStart hook has not ended yet"
	case c.Unhealthy != "":
		v.Message = c.Unhealthy
	case c.NotReady != "":
		v.Message = "readiness probe failed: " + c.NotReady
	}
}
