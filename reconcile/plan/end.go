package plan

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

// ending is how a pod came to its end. Nothing in it is started again.
type ending struct {
	phase corev1.PodPhase
	// reason and message are those of the pod's status; empty if its containers ended by themselves.
	reason, message string
	// why is the same as the reason of a KillPod.
	why string
	// keepSandbox: a later plan must be able to find the same again.
	keepSandbox bool
}

const (
	reasonDeadline = "DeadlineExceeded"
	reasonEvicted  = "Evicted"
	// evictionGrace is upstream's immediateEvictionGracePeriodSeconds (pkg/kubelet/eviction/eviction_manager.go).
	evictionGrace = time.Second
)

// ending is found anew by every plan, so it must not change once it is reached: a pod that ended by itself is not called
// late afterwards, and one that was stopped for being late stays so whatever its containers' exit codes are.
func (p *planner) ending(pod *runtime.Pod) *ending {
	if pod.Phase == runtime.Missing || len(pod.Manifest.Spec.Containers) == 0 {
		return nil
	}
	byItself := endOfContainers(pod)
	if byItself != nil && pod.Phase != runtime.Running {
		return p.beforeDeadline(pod, byItself)
	}
	if e := evicted(pod); e != nil {
		return e
	}
	return p.beforeDeadline(pod, byItself)
}

// beforeDeadline is how the pod ended, or DeadlineExceeded if that came first. Upstream: active_deadline.go
// (pkg/kubelet).
func (p *planner) beforeDeadline(pod *runtime.Pod, byItself *ending) *ending {
	seconds := pod.Manifest.Spec.ActiveDeadlineSeconds
	if seconds == nil || pod.CreatedAt.IsZero() {
		return byItself
	}
	deadline := pod.CreatedAt.Add(time.Duration(*seconds) * time.Second)
	if byItself != nil && lastFinished(pod).Before(deadline) {
		return byItself
	}
	if p.now.Before(deadline) {
		p.checkAt(deadline)
		return byItself
	}
	return &ending{
		phase: corev1.PodFailed, reason: reasonDeadline,
		message: "Pod was active on the node longer than the specified deadline",
		why:     fmt.Sprintf("it was active for longer than its activeDeadlineSeconds, %d s", *seconds),
	}
}

// endOfContainers: an init container failed for good, or every app container ended for good. Sidecars do not count.
func endOfContainers(pod *runtime.Pod) *ending {
	if failed := failedInit(pod); failed != "" {
		return &ending{phase: corev1.PodFailed, why: fmt.Sprintf("init container %s failed and is not restarted", failed)}
	}
	spec := &pod.Manifest.Spec
	phase := corev1.PodSucceeded
	for i := range spec.Containers {
		c := Latest(pod, spec.Containers[i].Name)
		if c == nil || c.State != runtime.Exited || restarts(spec, &spec.Containers[i], c.ExitCode) {
			return nil
		}
		if c.ExitCode != 0 {
			phase = corev1.PodFailed
		}
	}
	return &ending{phase: phase, why: "all its containers have ended"}
}

// failedInit is the name of an init container that failed and is not restarted.
func failedInit(pod *runtime.Pod) string {
	spec := &pod.Manifest.Spec
	for i := range spec.InitContainers {
		c, s := Latest(pod, spec.InitContainers[i].Name), &spec.InitContainers[i]
		if !sidecar(s) && c != nil && c.State == runtime.Exited && c.ExitCode != 0 && !restarts(spec, s, c.ExitCode) {
			return s.Name
		}
	}
	return ""
}

// evicted: an emptyDir holds more than it may. Upstream: emptyDirLimitEviction (pkg/kubelet/eviction/eviction_manager.go).
func evicted(pod *runtime.Pod) *ending {
	for i := range pod.Manifest.Spec.Volumes {
		v := &pod.Manifest.Spec.Volumes[i]
		used, measured := pod.Usage[v.Name]
		if !measured || v.EmptyDir == nil || v.EmptyDir.SizeLimit == nil {
			continue
		}
		if limit := v.EmptyDir.SizeLimit; limit.Sign() > 0 && used > limit.Value() {
			message := fmt.Sprintf("Usage of EmptyDir volume %q exceeds the limit %q. ", v.Name, limit.String())
			return &ending{phase: corev1.PodFailed, reason: reasonEvicted, message: message, keepSandbox: true,
				why: fmt.Sprintf("emptyDir %s holds %d bytes and may hold %s", v.Name, used, limit.String())}
		}
	}
	return nil
}

func lastFinished(pod *runtime.Pod) time.Time {
	last := time.Time{}
	for i := range pod.Containers {
		if c := &pod.Containers[i]; !c.Ephemeral {
			last = later(last, c.FinishedAt)
		}
	}
	return last
}

// kill stops what still runs in a pod that has ended.
func (p *planner) kill(v *podView) {
	if anyRunning(v.Pod) || v.Phase == runtime.Running && !v.end.keepSandbox {
		p.do(KillPod{PodRef: v.ref(), Grace: v.grace(), KeepSandbox: v.end.keepSandbox, Reason: v.end.why})
	}
}

func anyRunning(pod *runtime.Pod) bool {
	for i := range pod.Containers {
		if pod.Containers[i].State == runtime.Running {
			return true
		}
	}
	return false
}

// forsaken tells that a pod whose sandbox stopped is not worth a new one: what still runs would not be started again, so
// it ends. Upstream: the first branch of computePodActions (pkg/kubelet/kuberuntime/kuberuntime_manager.go).
func forsaken(pod *runtime.Pod) bool {
	if pod.Phase != runtime.Exited || !anyRunning(pod) {
		return false
	}
	spec := &pod.Manifest.Spec
	for i := range spec.Containers {
		c := Latest(pod, spec.Containers[i].Name)
		if c == nil || c.State == runtime.Created || restarts(spec, &spec.Containers[i], killedCode) {
			return false
		}
	}
	return true
}

// killedCode is the exit code of what SIGKILL ended.
const killedCode = 128 + 9
