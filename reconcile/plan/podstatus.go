package plan

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podyard/podyard/runtime"
)

// Reasons of a container that waits, in upstream's words (pkg/kubelet/kubelet_pods.go, pkg/kubelet/container).
const (
	reasonCreating     = "ContainerCreating"
	reasonInitializing = "PodInitializing"
	reasonCrashLoop    = "CrashLoopBackOff"
)

// statusOf is the status of a pod as the kubelet would report it; upstream's generateAPIPodStatus
// (pkg/kubelet/kubelet_pods.go).
func (p *planner) statusOf(v *podView) *corev1.PodStatus {
	spec := &v.Manifest.Spec
	status := &corev1.PodStatus{Phase: v.phase, QOSClass: qosClass(spec)}
	if !v.CreatedAt.IsZero() && v.Pod.ID != "" {
		status.StartTime = &metav1.Time{Time: v.CreatedAt}
	}
	if v.end != nil {
		status.Reason, status.Message = v.end.reason, v.end.message
	}
	if ip := p.observed.HostIP; ip != "" {
		status.HostIP, status.HostIPs = ip, []corev1.HostIP{{IP: ip}}
	}
	if ip := p.address(v); ip != "" {
		status.PodIP, status.PodIPs = ip, []corev1.PodIP{{IP: ip}}
	}
	status.InitContainerStatuses = p.containerStatuses(v, spec.InitContainers, true)
	status.ContainerStatuses = p.containerStatuses(v, spec.Containers, false)
	status.EphemeralContainerStatuses = p.ephemeralStatuses(v)
	status.Conditions = podConditions(v, status)
	return status
}

// address of a pod: a pod on the host's network has the host's.
func (p *planner) address(v *podView) string {
	if v.IP == "" && v.Manifest.Spec.HostNetwork && v.ID != "" {
		return p.observed.HostIP
	}
	return v.IP
}

func (p *planner) containerStatuses(v *podView, specs []corev1.Container, areInits bool) []corev1.ContainerStatus {
	if len(specs) == 0 {
		return nil
	}
	statuses := make([]corev1.ContainerStatus, len(specs))
	for i := range specs {
		statuses[i] = p.containerStatus(v, &specs[i], areInits)
	}
	return statuses
}

// containerStatus follows upstream's convertToAPIContainerStatuses (pkg/kubelet/kubelet_pods.go), and UpdatePodStatus
// (pkg/kubelet/prober/prober_manager.go) for ready and started.
func (p *planner) containerStatus(v *podView, spec *corev1.Container, isInit bool) corev1.ContainerStatus {
	status := corev1.ContainerStatus{Name: spec.Name, Image: spec.Image}
	latest, past := attempts(v.Pod, spec.Name)
	if latest != nil {
		p.describe(&status, latest)
	}
	if past != nil && past.State == runtime.Exited {
		status.LastTerminationState = terminated(past)
	}
	done := isInit && !sidecar(spec)
	if !done || latest == nil || latest.State != runtime.Exited || latest.ExitCode != 0 {
		p.explainWaiting(v, spec, latest, &status)
	}
	if status.State == (corev1.ContainerState{}) {
		status.State = waiting(defaultReason(v), "")
	}
	isStarted := started(latest)
	status.Started = &isStarted
	status.Ready = ready(v.Pod, latest)
	if done {
		status.Ready = status.State.Terminated != nil && status.State.Terminated.ExitCode == 0
	}
	if done && latest == nil && initProgress(v.Pod) == len(v.Manifest.Spec.InitContainers) {
		removedInit(&status)
	}
	return status
}

// defaultReason is why a container waits of which nothing else is known.
func defaultReason(v *podView) string {
	if len(v.Manifest.Spec.InitContainers) > 0 {
		return reasonInitializing
	}
	return reasonCreating
}

// removedInit is about an init container that is not there any more: its pod runs, so it succeeded.
func removedInit(status *corev1.ContainerStatus) {
	status.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed",
		Message: "Unable to get init container status from container runtime and pod has been initialized, treat it as exited normally"}}
	status.Ready = true
}

// describe fills in what the engine tells of an attempt.
func (p *planner) describe(status *corev1.ContainerStatus, c *runtime.Container) {
	status.RestartCount = int32(c.Attempt)
	status.ContainerID, status.ImageID = containerID(c), p.imageID(c)
	switch c.State {
	case runtime.Running:
		status.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(c.StartedAt)}}
	case runtime.Exited:
		status.State = terminated(c)
	}
}

func containerID(c *runtime.Container) string { return "docker://" + c.ID }

// imageID is the digest under which the image can be pulled, if there is one, as dockershim wrote it.
func (p *planner) imageID(c *runtime.Container) string {
	if c.ImageID == "" {
		return ""
	}
	if image := p.observed.Images[c.Image]; image.ID == c.ImageID && image.Digest != "" {
		return "docker-pullable://" + image.Digest
	}
	return "docker://" + c.ImageID
}

func waiting(reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

func terminated(c *runtime.Container) corev1.ContainerState {
	message := c.Message
	if message == "" {
		message = c.Error
	}
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: int32(c.ExitCode), Reason: TerminationReason(c), Message: message, ContainerID: containerID(c),
		StartedAt: metav1.NewTime(c.StartedAt), FinishedAt: metav1.NewTime(c.FinishedAt),
	}}
}

// explainWaiting turns a container that is to run, and does not, into one that waits, if there is a reason.
func (p *planner) explainWaiting(v *podView, spec *corev1.Container, latest *runtime.Container, status *corev1.ContainerStatus) {
	reason, message := p.waitingReason(v, spec, latest)
	if reason == "" {
		return
	}
	if status.State.Terminated != nil {
		status.LastTerminationState = status.State
	}
	status.State = waiting(reason, message)
}

func (p *planner) waitingReason(v *podView, spec *corev1.Container, c *runtime.Container) (reason, message string) {
	problem := p.observed.Problems[v.Manifest.Namespace+"/"+v.Manifest.Name]
	switch {
	case v.end != nil, c != nil && c.State == runtime.Running:
		return "", ""
	case c != nil && c.State == runtime.Exited:
		if !restarts(&v.Manifest.Spec, spec, c.ExitCode) {
			return "", ""
		}
		if begun(v.Pod, c) && restartAt(c).After(p.now) {
			return reasonCrashLoop, fmt.Sprintf("back-off %s restarting failed container=%s pod=%s_%s(%s)",
				c.Backoff, spec.Name, v.Manifest.Name, v.Manifest.Namespace, v.Manifest.UID)
		}
	}
	if problem.Container == spec.Name && problem.Reason != "" {
		return problem.Reason, problem.Message
	}
	if c == nil || c.State == runtime.Created {
		return p.imageProblem(spec)
	}
	return "", ""
}

// ephemeralStatuses are those of containers that podyard debug has added; no manifest holds them.
func (p *planner) ephemeralStatuses(v *podView) []corev1.ContainerStatus {
	var out []corev1.ContainerStatus
	for i := range v.Containers {
		c := &v.Containers[i]
		if !c.Ephemeral {
			continue
		}
		runs := c.State == runtime.Running
		status := corev1.ContainerStatus{Name: c.Name, Image: c.Image, State: waiting(reasonCreating, ""), Ready: runs, Started: &runs}
		p.describe(&status, c)
		out = append(out, status)
	}
	return out
}

// qosClass follows upstream's ComputePodQOS (pkg/apis/core/v1/helper/qos): Guaranteed if every container has limits for
// CPU and memory and requests as much, BestEffort if none has any.
func qosClass(spec *corev1.PodSpec) corev1.PodQOSClass {
	guaranteed, nothing := true, true
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			r := &list[i].Resources
			if len(r.Requests) == 0 && len(r.Limits) == 0 {
				guaranteed = false
				continue
			}
			for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
				request, limit := r.Requests[name], r.Limits[name]
				nothing = nothing && request.Sign() <= 0 && limit.Sign() <= 0
				guaranteed = guaranteed && limit.Sign() > 0 && (request.Sign() <= 0 || request.Cmp(limit) == 0)
			}
		}
	}
	switch {
	case nothing:
		return corev1.PodQOSBestEffort
	case guaranteed:
		return corev1.PodQOSGuaranteed
	default:
		return corev1.PodQOSBurstable
	}
}
