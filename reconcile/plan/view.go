package plan

import (
	"fmt"
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
	phase corev1.PodPhase
	// ready: every container runs, is ready and has the pod's network. readySince is when the last became so.
	ready      bool
	readySince time.Time
	restarts   int
	// problem is the first container's reason not to be ready, in words; empty when ready.
	problem string
	// deleted: this plan or an earlier one takes the pod away. claimed: an owner in the commit knows it.
	deleted, claimed bool
}

func (p *planner) view(pod *runtime.Pod) *podView {
	v := &podView{Pod: pod, owner: ownerOf(pod.Manifest)}
	v.phase = phase(pod)
	v.ready = pod.Phase == runtime.Running && len(pod.Manifest.Spec.Containers) > 0
	if pod.Phase == runtime.Missing || pod.Phase == runtime.Exited {
		v.ready, v.problem = false, "its sandbox is gone"
	}
	for i := range pod.Manifest.Spec.Containers {
		spec := &pod.Manifest.Spec.Containers[i]
		container := Latest(pod, spec.Name)
		if container != nil {
			v.restarts += container.Attempt
		}
		if ready(pod, container) {
			v.readySince = later(v.readySince, container.ReadySince)
			continue
		}
		v.ready = false
		if v.problem == "" {
			v.problem = fmt.Sprintf("container %s: %s", spec.Name, p.whyNotReady(pod, container))
		}
	}
	if failed := p.observed.Problems[pod.Manifest.Namespace+"/"+pod.Manifest.Name]; failed != "" && !v.ready {
		v.problem = failed
	}
	return v
}

// live reports whether the pod is meant to stay and able to serve, as upstream's IsPodActive.
func (v *podView) live() bool {
	return !v.deleted && v.Phase != runtime.Missing && v.phase != corev1.PodSucceeded && v.phase != corev1.PodFailed
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
	p.do(DeletePod{PodRef: v.ref(), Grace: gracePeriod(&v.Manifest.Spec), Reason: reason})
}

func gracePeriod(spec *corev1.PodSpec) time.Duration {
	if spec.TerminationGracePeriodSeconds == nil {
		return corev1.DefaultTerminationGracePeriodSeconds * time.Second
	}
	return time.Duration(*spec.TerminationGracePeriodSeconds) * time.Second
}

// Latest is a container's newest attempt, or nil if it was never created.
func Latest(pod *runtime.Pod, name string) *runtime.Container {
	var found *runtime.Container
	for i := range pod.Containers {
		if c := &pod.Containers[i]; c.Name == name && (found == nil || c.Attempt > found.Attempt) {
			found = c
		}
	}
	return found
}

// stranded tells that a container runs in the network namespace of a sandbox that has died since: Docker leaves it
// running, with a loopback interface only.
func stranded(pod *runtime.Pod, c *runtime.Container) bool {
	return c.State == runtime.Running && pod.Phase == runtime.Running && c.StartedAt.Before(pod.StartedAt)
}

func ready(pod *runtime.Pod, c *runtime.Container) bool {
	return c != nil && c.State == runtime.Running && c.Ready && pod.Phase == runtime.Running && !stranded(pod, c)
}

// whyNotReady uses upstream's reasons (pkg/kubelet/images, pkg/kubelet/container/sync_result.go) and says more.
func (p *planner) whyNotReady(pod *runtime.Pod, c *runtime.Container) string {
	switch {
	case c == nil || c.State == runtime.Created:
		return "ContainerCreating"
	case c.State == runtime.Exited:
		return p.exitedReason(pod, c)
	case stranded(pod, c):
		return "its network is gone, it is being restarted"
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

func (p *planner) exitedReason(pod *runtime.Pod, c *runtime.Container) string {
	what := TerminationReason(c)
	if c.Error != "" {
		what += ": " + c.Error
	} else {
		what += fmt.Sprintf(", exit code %d", c.ExitCode)
	}
	if !restarts(pod.Manifest.Spec.RestartPolicy, c.ExitCode) {
		return what
	}
	if wait := restartAt(c).Sub(p.now); wait > 0 {
		return fmt.Sprintf("CrashLoopBackOff: restarting in %s (%s)", wait.Round(time.Second), what)
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

// phase follows upstream's getPhase (pkg/kubelet/kubelet_pods.go) for pods without init containers.
func phase(pod *runtime.Pod) corev1.PodPhase {
	waiting, running, succeeded, failed := 0, 0, 0, 0
	for _, spec := range pod.Manifest.Spec.Containers {
		switch c := Latest(pod, spec.Name); {
		case c == nil || c.State == runtime.Created:
			waiting++
		case c.State == runtime.Running:
			running++
		case restarts(pod.Manifest.Spec.RestartPolicy, c.ExitCode):
			running++ // waiting to be restarted: upstream calls the pod Running
		case c.ExitCode == 0:
			succeeded++
		default:
			failed++
		}
	}
	switch {
	case waiting > 0 || running+succeeded+failed == 0:
		return corev1.PodPending
	case running > 0:
		return corev1.PodRunning
	case failed > 0:
		return corev1.PodFailed
	default:
		return corev1.PodSucceeded
	}
}

// podStatus is what is shown of a pod.
func (p *planner) podStatus(v *podView, owner manifests.Ref) ObjectStatus {
	pod := v.Manifest
	status := ObjectStatus{
		Ref:     manifests.Ref{APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name},
		Owner:   owner,
		Health:  podHealth(v),
		Message: v.problem,
		Summary: map[string]string{
			"phase": string(v.phase), "ip": v.IP, "restarts": fmt.Sprint(v.restarts), "images": images(&pod.Spec),
		},
		Conditions: []metav1.Condition{podReadyCondition(v)},
	}
	if v.deleted && status.Message == "" {
		status.Message = "is being stopped"
	}
	return status
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
	c := metav1.Condition{Type: string(corev1.PodReady), Status: metav1.ConditionFalse, Reason: "ContainersNotReady", Message: v.problem}
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
