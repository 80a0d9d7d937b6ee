package plan

import (
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
)

// Restart back-off: upstream's values (pkg/kubelet/kubelet.go: backOffPeriod, MaxContainerBackOff; client-go
// util/flowcontrol/backoff.go: a back-off is forgotten after twice the maximum).
const (
	initialBackoff = 10 * time.Second
	maxBackoff     = 5 * time.Minute
	backoffReset   = 2 * maxBackoff
)

// barePod keeps a pod that stands in the commit by itself. A changed pod is replaced, where Kubernetes would refuse the
// change: deleted first, since both would have the same name.
func (p *planner) barePod(object *manifests.Object, desired *corev1.Pod) {
	key := ownerKey{"Pod", desired.Namespace, desired.Name}
	hash := manifests.TemplateHash(&corev1.PodTemplateSpec{ObjectMeta: desired.ObjectMeta, Spec: desired.Spec})
	gone := true
	for _, v := range p.owned[key] {
		v.claimed, gone = true, false
		p.barePodKeep(v, key, hash)
		p.report(object.Ref, p.podStatus(v, manifests.Ref{}))
	}
	if gone {
		p.barePodCreate(object, key, desired, hash)
	}
}

func (p *planner) barePodKeep(v *podView, key ownerKey, hash string) {
	switch {
	case v.Phase == runtime.Missing:
		p.delete(v, "its sandbox was removed")
	case v.Manifest.Annotations[hashAnnotation] == hash:
	case p.imagesReady(&p.find(key).Spec) == "":
		p.delete(v, fmt.Sprintf("%s changed", key))
	}
}

// find returns the pod of the commit.
func (p *planner) find(key ownerKey) *corev1.Pod {
	return p.desired.Find(key.kind, key.namespace, key.name).Value.(*corev1.Pod)
}

func (p *planner) barePodCreate(object *manifests.Object, key ownerKey, desired *corev1.Pod, hash string) {
	status := ObjectStatus{Ref: object.Ref, Health: Reconciling, Message: "is being created", Summary: map[string]string{
		"phase": string(corev1.PodPending), "images": images(&desired.Spec)}}
	if waiting := p.imagesReady(&desired.Spec); waiting != "" {
		status.Message = waiting
		p.report(object.Ref, status)
		return
	}
	pod := desired.DeepCopy()
	pod.UID = p.uid("Pod", pod.Namespace, pod.Name, hash)
	pod.Annotations = withEntries(pod.Annotations, ownerAnnotation, key.annotation(), hashAnnotation, hash)
	p.create(pod, fmt.Sprintf("%s does not run", key))
	if failed := p.observed.Problems[pod.Namespace+"/"+pod.Name]; failed != "" {
		status.Message = failed
	}
	p.report(object.Ref, status)
}

// create plans a pod with all its containers.
func (p *planner) create(pod *corev1.Pod, reason string) {
	names := make([]string, 0, len(pod.Spec.Containers))
	for _, c := range pod.Spec.Containers {
		names = append(names, c.Name)
	}
	p.do(CreatePod{Pod: pod, Containers: names, Reason: reason})
}

// containers mends every pod that stays.
func (p *planner) containers() {
	for _, v := range p.pods {
		if !v.deleted && v.ID != "" { // without an ID its creation is under way
			p.mend(v)
		}
	}
}

// mend brings a pod's sandbox and containers to what its manifest says, as upstream's computePodActions does.
func (p *planner) mend(v *podView) {
	if v.Phase != runtime.Running {
		p.do(StartSandbox{PodRef: v.ref(), Reason: sandboxReason(v)})
		return
	}
	for i := range v.Manifest.Spec.Containers {
		p.mendContainer(v, &v.Manifest.Spec.Containers[i])
	}
	p.forgetPast(v)
}

func sandboxReason(v *podView) string {
	if v.Phase == runtime.Created {
		return "its sandbox was created and not started"
	}
	return "its sandbox stopped"
}

func (p *planner) mendContainer(v *podView, spec *corev1.Container) {
	c := Latest(v.Pod, spec.Name)
	switch {
	case c == nil:
		p.startContainer(v, spec, StartContainer{Attempt: 0, Reason: "it was never created"})
	case c.State == runtime.Created:
		p.startContainer(v, spec, StartContainer{Attempt: c.Attempt, Backoff: c.Backoff, Reason: "it was created and not started"})
	case stranded(v.Pod, c):
		p.stopContainer(v, c, 0, "the pod's sandbox was restarted and the container has lost its network")
	case c.State == runtime.Running && c.Unhealthy != "":
		p.stopContainer(v, c, gracePeriod(&v.Manifest.Spec), c.Unhealthy)
	case c.State == runtime.Exited && restarts(v.Manifest.Spec.RestartPolicy, c.ExitCode):
		p.restart(v, spec, c)
	}
}

func (p *planner) stopContainer(v *podView, c *runtime.Container, grace time.Duration, reason string) {
	p.do(StopContainer{PodRef: v.ref(), Container: c.Name, ContainerID: c.ID, Grace: grace, Reason: reason})
}

// restart waits for the back-off, then starts the next attempt from the bytes that ran before: a tag that moved, or a
// registry that is down, does not change a pod in the middle of its life.
func (p *planner) restart(v *podView, spec *corev1.Container, c *runtime.Container) {
	at := restartAt(c)
	if c.StartedAt.Before(v.StartedAt) {
		at = p.now // the sandbox went, not the program
	}
	if p.now.Before(at) {
		p.checkAt(at)
		return
	}
	p.startContainer(v, spec, StartContainer{
		Attempt: c.Attempt + 1, Backoff: nextBackoff(c), ImageID: c.ImageID,
		Reason: fmt.Sprintf("it ended: %s, exit code %d", TerminationReason(c), c.ExitCode),
	})
}

// startContainer waits for the image where nothing pins the content.
func (p *planner) startContainer(v *podView, spec *corev1.Container, action StartContainer) {
	if action.ImageID == "" && p.imageReady(spec) != "" {
		return
	}
	action.PodRef, action.Container = v.ref(), spec.Name
	p.do(action)
}

// forgetPast keeps one past attempt of each container for its log, as the kubelet's garbage collector does.
func (p *planner) forgetPast(v *podView) {
	for i := range v.Containers {
		c := &v.Containers[i]
		if newest := Latest(v.Pod, c.Name); c.State == runtime.Exited && c.Attempt < newest.Attempt-1 {
			p.do(RemoveContainer{PodRef: v.ref(), Container: c.Name, ContainerID: c.ID, Reason: "only the last past attempt is kept"})
		}
	}
}

// restarts tells whether a container that ended is to run again.
func restarts(policy corev1.RestartPolicy, exitCode int) bool {
	switch policy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return exitCode != 0
	default:
		return true
	}
}

// restartAt is when the next attempt may start. The first crash restarts at once; then 10 s, 20 s, 40 s, … 5 min,
// counted from the end of the container.
func restartAt(c *runtime.Container) time.Time {
	if ranLong(c) {
		return c.FinishedAt
	}
	return c.FinishedAt.Add(c.Backoff)
}

// nextBackoff is what the attempt after c waits if it fails too: 0 → 10 s → 20 s → … → 5 min.
func nextBackoff(c *runtime.Container) time.Duration {
	if ranLong(c) || c.Backoff == 0 {
		return initialBackoff
	}
	return min(2*c.Backoff, maxBackoff)
}

func ranLong(c *runtime.Container) bool { return c.FinishedAt.Sub(c.StartedAt) >= backoffReset }

func withEntries(m map[string]string, pairs ...string) map[string]string {
	out := maps.Clone(m)
	if out == nil {
		out = map[string]string{}
	}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
	}
	return out
}
