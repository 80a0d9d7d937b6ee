package plan

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

// sidecar tells an init container that runs for as long as the pod does; upstream's IsRestartableInitContainer.
func sidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// firstContainers are those that may start at once in a new pod: the first init container, or all app containers.
func firstContainers(spec *corev1.PodSpec) []string {
	if len(spec.InitContainers) > 0 {
		return []string{spec.InitContainers[0].Name}
	}
	names := make([]string, 0, len(spec.Containers))
	for _, c := range spec.Containers {
		names = append(names, c.Name)
	}
	return names
}

// initialize takes the init containers one step further and keeps the sidecars running. It tells whether the app
// containers may run. Upstream: computeInitContainerActions (pkg/kubelet/kuberuntime/kuberuntime_container.go).
func (p *planner) initialize(v *podView) bool {
	inits := v.Manifest.Spec.InitContainers
	current := initProgress(v.Pod)
	for i := range inits[:current] {
		if spec := &inits[i]; sidecar(spec) {
			p.mendContainer(v, spec, Latest(v.Pod, spec.Name))
		}
	}
	if current == len(inits) {
		return true
	}
	if !p.early(v, current) {
		p.mendInit(v, &inits[current])
	}
	return false
}

// early tells of containers that run before it is their turn; nothing else begins in the pod until they are gone. App containers
// would run on and are stopped, an init container comes to its end.
func (p *planner) early(v *podView, current int) bool {
	found := false
	for i := range v.Manifest.Spec.Containers {
		if c := Latest(v.Pod, v.Manifest.Spec.Containers[i].Name); c != nil && c.State == runtime.Running {
			p.stopContainer(v, c, v.grace(), "it began before the init containers had run again in the pod's new sandbox")
			found = true
		}
	}
	for i := current + 1; i < len(v.Manifest.Spec.InitContainers); i++ {
		spec := &v.Manifest.Spec.InitContainers[i]
		c := Latest(v.Pod, spec.Name)
		found = found || !sidecar(spec) && c != nil && c.State == runtime.Running
	}
	return found
}

// mendInit is about the init container whose turn it is. One that ran in the sandbox before this one runs again, however
// it ended there.
func (p *planner) mendInit(v *podView, spec *corev1.Container) {
	c := Latest(v.Pod, spec.Name)
	if c != nil && c.State == runtime.Exited && !begun(v.Pod, c) {
		p.startNext(v, spec, c, "the pod's sandbox was restarted")
		return
	}
	p.mendContainer(v, spec, c)
}

// initProgress is the index of the init container whose turn it is; their number once all are done. Once an app container
// has begun they are, even if somebody removed them; and the last one that is there tells of those before it that are not.
// One that was under way when the sandbox died may have begun in the next one; those before it still come first.
func initProgress(pod *runtime.Pod) int {
	spec := &pod.Manifest.Spec
	if appsBegan(pod) {
		return len(spec.InitContainers)
	}
	turn := 0
	for i := range spec.InitContainers {
		c := Latest(pod, spec.InitContainers[i].Name)
		switch {
		case c == nil:
		case !begun(pod, c):
			return turn
		case passed(&spec.InitContainers[i], c):
			turn = i + 1
		case sidecar(&spec.InitContainers[i]):
			turn = i
		default:
			return i
		}
	}
	return turn
}

// appsBegan tells that an app container began in its turn: after the last init container that is there has ended in this
// sandbox. One whose start was under way when the sandbox died may begin in the next one, before the init containers have run
// there; it proves nothing.
func appsBegan(pod *runtime.Pod) bool {
	spec := &pod.Manifest.Spec
	after := time.Time{}
	for i := range spec.InitContainers {
		c := Latest(pod, spec.InitContainers[i].Name)
		if c == nil || sidecar(&spec.InitContainers[i]) {
			continue
		}
		if !begun(pod, c) || c.State != runtime.Exited {
			return false
		}
		after = c.FinishedAt
	}
	return slices.ContainsFunc(spec.Containers, func(s corev1.Container) bool {
		c := Latest(pod, s.Name)
		return begun(pod, c) && !beganAt(c).Before(after)
	})
}

func beganAt(c *runtime.Container) time.Time {
	if c.State == runtime.Created {
		return c.CreatedAt
	}
	return c.StartedAt
}

// passed lets the next one begin: an init container that succeeded, a sidecar that has started.
func passed(spec *corev1.Container, c *runtime.Container) bool {
	if sidecar(spec) {
		return started(c)
	}
	return c.State == runtime.Exited && c.ExitCode == 0
}

// waitingInit is the init container for which the app containers wait; nil if they do not.
func waitingInit(pod *runtime.Pod) *corev1.Container {
	inits := pod.Manifest.Spec.InitContainers
	if current := initProgress(pod); current < len(inits) {
		return &inits[current]
	}
	return nil
}
