package plan

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

// phase follows upstream's getPhase (pkg/kubelet/kubelet_pods.go). A pod whose containers ended by themselves goes on to run
// until its sidecars have ended, too; one that is stopped for being late or too large is Failed at once.
func phase(pod *runtime.Pod, end *ending) corev1.PodPhase {
	if end != nil {
		if end.reason == "" && countInits(pod).runningSidecars > 0 && failedInit(pod) == "" {
			return corev1.PodRunning
		}
		return end.phase
	}
	apps := countApps(pod)
	inits := countInits(pod)
	switch {
	case inits.pending > 0 || inits.pendingSidecars > 0 && apps.begun == 0 || apps.waiting+inits.waitingSidecars > 0:
		return corev1.PodPending
	case apps.running+inits.runningSidecars > 0:
		return corev1.PodRunning
	case apps.ended == 0:
		return corev1.PodPending
	default:
		return corev1.PodRunning // waiting to be restarted
	}
}

// appCount counts app containers. begun are those that have run in the sandbox as it is now.
type appCount struct{ waiting, running, ended, begun int }

func countApps(pod *runtime.Pod) appCount {
	var n appCount
	spec := &pod.Manifest.Spec
	for i := range spec.Containers {
		latest, past := attempts(pod, spec.Containers[i].Name)
		n.begun += order(begun(pod, latest) && latest.State != runtime.Created)
		switch {
		case latest == nil || latest.State == runtime.Created && past == nil:
			n.waiting++
		case latest.State == runtime.Created:
			n.ended++ // between two attempts
		case latest.State == runtime.Running:
			n.running++
		default:
			n.ended++
		}
	}
	return n
}

// initCount counts init containers, sidecars apart. Those that somebody removed after they had done their work are done.
type initCount struct{ pending, pendingSidecars, waitingSidecars, runningSidecars int }

func countInits(pod *runtime.Pod) initCount {
	var n initCount
	spec := &pod.Manifest.Spec
	if len(spec.InitContainers) == 0 {
		return n
	}
	current := initProgress(pod)
	for i := range spec.InitContainers {
		latest, past := attempts(pod, spec.InitContainers[i].Name)
		waits := latest == nil || latest.State == runtime.Created && past == nil
		switch runs := latest != nil && latest.State == runtime.Running; {
		case !sidecar(&spec.InitContainers[i]):
			n.pending += order(runs || waits && i >= current)
		case runs:
			n.runningSidecars++
			n.pendingSidecars += order(!started(latest))
		case waits:
			n.waitingSidecars++
			n.pendingSidecars++
		}
	}
	return n
}
