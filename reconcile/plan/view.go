package plan

import (
	"cmp"
	"fmt"
	"iter"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
)

// podView is one observed pod with what can be said of it. Deciding reads views; nothing reads raw containers twice.
type podView struct {
	*runtime.Pod
	owner ownerKey
	// end is how the pod came to its end; nil while it goes on.
	end   *ending
	phase corev1.PodPhase
	// ready: every app container and sidecar runs, is ready and has the pod's network. readySince is when the last became
	// so.
	ready      bool
	readySince time.Time
	// restarts of all app containers and sidecars; mostRestarts and mostOfSidecars are those of the one with the most.
	restarts, mostRestarts, mostOfSidecars int
	// problem is the first container's reason not to be ready, in words; empty when ready.
	problem string
	// deleted: this plan or an earlier one takes the pod away. claimed: an owner in the commit knows it.
	deleted, claimed bool
	// fixed: the commit holds the pod itself, although a controller counts it in; nobody else deletes it. released: its
	// owner does not select it any more.
	// adopted: a controller that did not make it has it now.
	fixed, released, adopted bool
	// held: it stays as it is, because its owner waits for its turn in the sync.
	held bool
}

func (p *planner) view(pod *runtime.Pod) *podView {
	v := &podView{Pod: pod, owner: ownerOf(pod.Manifest), end: p.ending(pod)}
	v.phase = phase(pod, v.end)
	v.count()
	v.problem = p.problemOf(v)
	return v
}

// count finds out about readiness and restarts.
func (v *podView) count() {
	spec := &v.Manifest.Spec
	v.ready = v.Phase == runtime.Running && v.end == nil && len(spec.Containers) > 0
	for c, isSidecar := range serving(spec) {
		latest := Latest(v.Pod, c.Name)
		if latest != nil {
			v.restarts += latest.Attempt
		}
		switch {
		case latest != nil && isSidecar:
			v.mostOfSidecars = max(v.mostOfSidecars, latest.Attempt)
		case latest != nil:
			v.mostRestarts = max(v.mostRestarts, latest.Attempt)
		}
		if ready(v.Pod, latest) {
			v.readySince = later(v.readySince, latest.ReadySince)
		} else {
			v.ready = false
		}
	}
}

// serving lists the containers whose readiness is the pod's: sidecars, then app containers.
func serving(spec *corev1.PodSpec) iter.Seq2[*corev1.Container, bool] {
	return func(yield func(*corev1.Container, bool) bool) {
		for i := range spec.InitContainers {
			if c := &spec.InitContainers[i]; sidecar(c) && !yield(c, true) {
				return
			}
		}
		for i := range spec.Containers {
			if !yield(&spec.Containers[i], false) {
				return
			}
		}
	}
}

// live reports whether the pod is meant to stay and able to serve, as upstream's IsPodActive.
func (v *podView) live() bool {
	return !v.deleted && v.end == nil
}

// available as upstream's IsPodAvailable (pkg/api/v1/pod): ready for at least minReady.
func (v *podView) available(minReady time.Duration, now time.Time) bool {
	return v.ready && !now.Before(v.readySince.Add(minReady))
}

func (v *podView) ref() PodRef {
	return PodRef{Namespace: v.Manifest.Namespace, Name: v.Manifest.Name, UID: string(v.Manifest.UID), SandboxID: v.ID}
}

// delete plans the removal of a pod, once.
func (p *planner) delete(v *podView, reason string) {
	if v.deleted {
		return
	}
	v.deleted = true
	p.do(DeletePod{PodRef: v.ref(), Grace: v.grace(), Volumes: p.goesWith(v), Reason: reason})
}

// grace is what the pod's containers get to stop.
func (v *podView) grace() time.Duration {
	if v.end != nil && v.end.reason == reasonEvicted {
		return evictionGrace
	}
	return gracePeriod(&v.Manifest.Spec)
}

func gracePeriod(spec *corev1.PodSpec) time.Duration {
	if spec.TerminationGracePeriodSeconds == nil {
		return corev1.DefaultTerminationGracePeriodSeconds * time.Second
	}
	return time.Duration(*spec.TerminationGracePeriodSeconds) * time.Second
}

// Latest is a container's newest attempt, or nil if it was never created.
func Latest(pod *runtime.Pod, name string) *runtime.Container {
	latest, _ := attempts(pod, name)
	return latest
}

// attempts are a container's newest attempt and the one before, as far as they are there.
func attempts(pod *runtime.Pod, name string) (latest, past *runtime.Container) {
	for i := range pod.Containers {
		switch c := &pod.Containers[i]; {
		case c.Name != name:
		case latest == nil || c.Attempt > latest.Attempt:
			latest, past = c, latest
		case past == nil || c.Attempt > past.Attempt:
			past = c
		}
	}
	return latest, past
}

// stranded tells that a container runs in the network namespace of a sandbox that has died since: Docker leaves it
// running, with a loopback interface only.
func stranded(pod *runtime.Pod, c *runtime.Container) bool {
	return c.State == runtime.Running && pod.Phase == runtime.Running && c.StartedAt.Before(pod.StartedAt)
}

// begun tells that an attempt belongs to the sandbox as it runs now. After a restart of the sandbox everything begins
// anew, init containers included.
func begun(pod *runtime.Pod, c *runtime.Container) bool {
	switch {
	case c == nil:
		return false
	case c.State == runtime.Created:
		return !c.CreatedAt.Before(pod.StartedAt)
	default:
		return !c.StartedAt.Before(pod.StartedAt)
	}
}

// started: the container runs, its postStart hook is done and its startup probe has succeeded.
func started(c *runtime.Container) bool {
	return c != nil && c.State == runtime.Running && c.Started && !c.Starting
}

func ready(pod *runtime.Pod, c *runtime.Container) bool {
	return started(c) && c.Ready && pod.Phase == runtime.Running && !stranded(pod, c)
}

// problemOf says in words why a pod is not ready: the pod's own problem, or that of the first container that has one.
func (p *planner) problemOf(v *podView) string {
	failed := p.observed.Problems[v.Manifest.Namespace+"/"+v.Manifest.Name].Message
	switch {
	case v.end != nil && v.end.reason != "":
		return v.end.reason + ": " + strings.TrimSpace(v.end.message)
	case v.ready:
		return ""
	case failed != "":
		return failed
	case v.end == nil && v.Phase == runtime.Exited:
		return "its sandbox is gone"
	case v.end != nil:
		return p.howEnded(v)
	}
	if c := waitingInit(v.Pod); c != nil {
		return fmt.Sprintf("init container %s: %s", c.Name, p.whyNotInitialized(v.Pod, c))
	}
	for c := range serving(&v.Manifest.Spec) {
		if latest := Latest(v.Pod, c.Name); !ready(v.Pod, latest) {
			return fmt.Sprintf("container %s: %s", c.Name, p.whyNotReady(v.Pod, c, latest))
		}
	}
	return ""
}

// howEnded tells of the first container that failed, or of the first at all.
func (p *planner) howEnded(v *podView) string {
	if name := failedInit(v.Pod); name != "" {
		return fmt.Sprintf("init container %s: %s", name, p.exitedReason(Latest(v.Pod, name), false))
	}
	message := ""
	for _, spec := range v.Manifest.Spec.Containers {
		c := Latest(v.Pod, spec.Name)
		if message == "" || c.ExitCode != 0 {
			message = fmt.Sprintf("container %s: %s", spec.Name, p.exitedReason(c, false))
		}
		if c.ExitCode != 0 {
			break
		}
	}
	return message
}

// whyNotReady uses upstream's reasons (pkg/kubelet/images, pkg/kubelet/container/sync_result.go) and says more.
func (p *planner) whyNotReady(pod *runtime.Pod, spec *corev1.Container, c *runtime.Container) string {
	switch {
	case c == nil || c.State == runtime.Created:
		return reasonCreating
	case c.State == runtime.Exited:
		return p.exitedReason(c, restarts(&pod.Manifest.Spec, spec, c.ExitCode))
	case stranded(pod, c):
		return "its network is gone, it is being restarted"
	case c.Starting:
		return "its postStart hook has not ended yet"
	case c.Unhealthy != "":
		return c.Unhealthy
	case c.NotReady != "":
		return "readiness probe failed: " + c.NotReady
	case !c.Started:
		return "startup probe has not succeeded yet"
	default:
		return "readiness probe has not succeeded yet"
	}
}

// whyNotInitialized is the same for an init container.
func (p *planner) whyNotInitialized(pod *runtime.Pod, spec *corev1.Container) string {
	c := Latest(pod, spec.Name)
	switch {
	case sidecar(spec):
		return p.whyNotReady(pod, spec, c)
	case !begun(pod, c) || c.State == runtime.Created:
		return reasonCreating
	case c.State == runtime.Exited:
		return p.exitedReason(c, restarts(&pod.Manifest.Spec, spec, c.ExitCode))
	default:
		return "it has not ended yet"
	}
}

func (p *planner) exitedReason(c *runtime.Container, again bool) string {
	what := TerminationReason(c)
	if c.Error != "" {
		what += ": " + c.Error
	} else {
		what += fmt.Sprintf(", exit code %d", c.ExitCode)
	}
	if !again {
		return what
	}
	if wait := restartAt(c).Sub(p.now); wait > 0 {
		return fmt.Sprintf("%s: restarting in %s (%s)", reasonCrashLoop, wait.Round(time.Second), what)
	}
	return what
}

// TerminationReason is upstream's word for how a container ended.
func TerminationReason(c *runtime.Container) string {
	switch {
	case c.OOMKilled:
		return "OOMKilled"
	case c.Error != "":
		return "ContainerCannotRun"
	case c.ExitCode == 0:
		return "Completed"
	default:
		return "Error"
	}
}

// podStatus is what is shown of a pod.
func (p *planner) podStatus(v *podView, owner manifests.Ref) ObjectStatus {
	pod := v.Manifest
	status := ObjectStatus{
		Ref:     podRef(pod),
		Owner:   owner,
		Health:  podHealth(v),
		Message: v.problem,
		Summary: map[string]string{
			"phase": string(v.phase), "ip": p.address(v), "restarts": fmt.Sprint(v.restarts), "images": images(&pod.Spec),
		},
		Conditions: []metav1.Condition{podReadyCondition(v)},
		Pod:        p.statusOf(v),
	}
	if v.deleted {
		status.Message = cmp.Or(status.Message, "is being stopped")
	}
	return status
}

func podRef(pod *corev1.Pod) manifests.Ref {
	return manifests.Ref{APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name}
}

func podHealth(v *podView) Health {
	switch {
	case v.deleted:
		return Terminating
	case v.ready, v.phase == corev1.PodSucceeded:
		return Ready
	case v.phase == corev1.PodFailed:
		return Stalled
	default:
		return Reconciling
	}
}

func podReadyCondition(v *podView) metav1.Condition {
	c := metav1.Condition{Type: string(corev1.PodReady), Status: metav1.ConditionFalse, Reason: reasonNotReady, Message: v.problem}
	if v.ready {
		c.Status, c.Reason, c.LastTransitionTime = metav1.ConditionTrue, "ContainersReady", metav1.NewTime(v.readySince)
	}
	return c
}

func images(spec *corev1.PodSpec) string {
	names := make([]string, 0, len(spec.Containers))
	for _, c := range spec.Containers {
		names = append(names, c.Image)
	}
	return strings.Join(names, ",")
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
