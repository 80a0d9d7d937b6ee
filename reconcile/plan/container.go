package plan

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

// Restart back-off: upstream's values (pkg/kubelet/kubelet.go: backOffPeriod, MaxContainerBackOff; client-go
// util/flowcontrol/backoff.go: a back-off is forgotten after twice the maximum).
const (
	initialBackoff = 10 * time.Second
	maxBackoff     = 5 * time.Minute
	backoffReset   = 2 * maxBackoff
)

// mendApps keeps the app containers running. They begin in their order: one that begins, or whose postStart hook runs,
// lets those after it wait, as in the kubelet's SyncPod (pkg/kubelet/kuberuntime/kuberuntime_manager.go). One that cannot
// begin does not hold up the others, there neither.
func (p *planner) mendApps(v *podView) {
	busy := false
	failed := p.observed.Problems[v.ref().String()].Container
	for i := range v.Manifest.Spec.Containers {
		spec := &v.Manifest.Spec.Containers[i]
		c := Latest(v.Pod, spec.Name)
		begins := !begun(v.Pod, c) || c.State == runtime.Created
		if busy && (begins || c.State == runtime.Exited) {
			continue
		}
		acted := p.mendContainer(v, spec, c)
		busy = busy || begins && acted && failed != spec.Name || c != nil && c.State == runtime.Running && c.Starting
	}
}

// mendContainer brings an app container or a sidecar to where it should be, and tells whether there was anything to do
// now.
func (p *planner) mendContainer(v *podView, spec *corev1.Container, c *runtime.Container) bool {
	switch {
	case c == nil:
		return p.startContainer(v, spec, StartContainer{Attempt: 0, Reason: firstReason(v)})
	case c.State == runtime.Created:
		return p.startContainer(v, spec, StartContainer{Attempt: c.Attempt, Backoff: c.Backoff, Reason: "it was created and not started"})
	case c.State == runtime.Running && c.Unhealthy != "":
		p.stopContainer(v, c, probeGrace(&v.Manifest.Spec, spec, c), c.Unhealthy)
		return true
	case c.State == runtime.Exited && restarts(&v.Manifest.Spec, spec, c.ExitCode):
		return p.restart(v, spec, c)
	default:
		return false
	}
}

func firstReason(v *podView) string {
	if len(v.Manifest.Spec.InitContainers) > 0 {
		return "its turn has come"
	}
	return "it was never created"
}

// probeGrace is what a container gets that a probe has condemned: the probe's own grace period, or the pod's. Upstream:
// setTerminationGracePeriod (pkg/kubelet/kuberuntime/kuberuntime_container.go).
func probeGrace(pod *corev1.PodSpec, spec *corev1.Container, c *runtime.Container) time.Duration {
	probe := spec.LivenessProbe
	if c.UnhealthyProbe == "startup" {
		probe = spec.StartupProbe
	}
	if probe != nil && probe.TerminationGracePeriodSeconds != nil {
		return time.Duration(*probe.TerminationGracePeriodSeconds) * time.Second
	}
	return gracePeriod(pod)
}

func (p *planner) stopContainer(v *podView, c *runtime.Container, grace time.Duration, reason string) {
	p.do(StopContainer{PodRef: v.ref(), Container: c.Name, ContainerID: c.ID, Grace: grace, Reason: reason})
}

// stopStranded kills what has lost its network; nothing else begins in the pod before that is done.
func (p *planner) stopStranded(v *podView) bool {
	found := false
	for i := range v.Containers {
		if c := &v.Containers[i]; stranded(v.Pod, c) {
			p.stopContainer(v, c, 0, "the pod's sandbox was restarted and the container has lost its network")
			found = true
		}
	}
	return found
}

// restart waits for the back-off, then starts the next attempt from the bytes that ran before: a tag that moved, or a
// registry that is down, does not change a pod in the middle of its life.
func (p *planner) restart(v *podView, spec *corev1.Container, c *runtime.Container) bool {
	if !begun(v.Pod, c) {
		return p.startNext(v, spec, c, "the pod's sandbox was restarted") // the sandbox went, not the program
	}
	if at := restartAt(c); p.now.Before(at) {
		p.checkAt(at)
		return false
	}
	return p.startNext(v, spec, c, fmt.Sprintf("it ended: %s, exit code %d", TerminationReason(c), c.ExitCode))
}

func (p *planner) startNext(v *podView, spec *corev1.Container, c *runtime.Container, reason string) bool {
	return p.startContainer(v, spec, StartContainer{Attempt: c.Attempt + 1, Backoff: nextBackoff(c), ImageID: c.ImageID, Reason: reason})
}

// startContainer waits for the image where nothing pins the content. It tells whether the container is started now.
func (p *planner) startContainer(v *podView, spec *corev1.Container, action StartContainer) bool {
	if action.ImageID == "" && p.imageReady(v.Manifest, spec) != "" {
		return false
	}
	action.PodRef, action.Container = v.ref(), spec.Name
	p.do(action)
	return true
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

// restarts tells whether a container that ended is to run again: first its own rules count, then its own policy, then the
// pod's. Upstream: ContainerShouldRestart (pkg/api/v1/pod/util.go).
func restarts(pod *corev1.PodSpec, c *corev1.Container, exitCode int) bool {
	policy := pod.RestartPolicy
	if c.RestartPolicy != nil {
		if ruled(c.RestartPolicyRules, exitCode) {
			return true
		}
		policy = corev1.RestartPolicy(*c.RestartPolicy)
	}
	switch policy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return exitCode != 0
	default:
		return true
	}
}

// ruled tells whether a rule knows the exit code. All say to restart: no other action is accepted.
func ruled(rules []corev1.ContainerRestartRule, exitCode int) bool {
	for _, r := range rules {
		if r.ExitCodes == nil {
			continue
		}
		in := slices.Contains(r.ExitCodes.Values, int32(exitCode))
		if in == (r.ExitCodes.Operator == corev1.ContainerRestartRuleOnExitCodesOpIn) {
			return true
		}
	}
	return false
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
