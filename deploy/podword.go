package deploy

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// podWord is what kubectl prints of a pod in the columns STATUS, READY and RESTARTS.
type podWord struct {
	word            string
	ready, restarts int
}

// wordOf follows upstream's printPod (pkg/printers/internalversion/printers.go): the reason of the first init container
// that holds the pod up, else that of the first app container that has one, else the phase.
func wordOf(st *corev1.PodStatus, spec *corev1.PodSpec, stopping bool) podWord {
	w := podWord{word: string(st.Phase)}
	if st.Reason != "" {
		w.word = st.Reason
	}
	for _, c := range st.Conditions {
		if c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonSchedulingGated {
			w.word = corev1.PodReasonSchedulingGated
		}
	}
	initializing, ofSidecars := w.initializing(st, spec)
	if !initializing || conditionHolds(st, corev1.PodInitialized) {
		w.restarts = ofSidecars
		w.apps(st)
	}
	if stopping && st.Phase != corev1.PodSucceeded && st.Phase != corev1.PodFailed {
		w.word = "Terminating"
	}
	return w
}

// initializing looks at the init containers. It tells whether one holds the pod up, and how often sidecars were restarted.
func (w *podWord) initializing(st *corev1.PodStatus, spec *corev1.PodSpec) (holds bool, ofSidecars int) {
	for i, c := range st.InitContainerStatuses {
		w.restarts += int(c.RestartCount)
		isSidecar := i < len(spec.InitContainers) && sidecar(&spec.InitContainers[i])
		if isSidecar {
			ofSidecars += int(c.RestartCount)
		}
		switch {
		case c.State.Terminated != nil && c.State.Terminated.ExitCode == 0:
			continue
		case isSidecar && c.Started != nil && *c.Started:
			if c.Ready {
				w.ready++
			}
			continue
		case c.State.Terminated != nil:
			w.word = "Init:" + endWord(c.State.Terminated)
		case c.State.Waiting != nil && c.State.Waiting.Reason != "" && c.State.Waiting.Reason != "PodInitializing":
			w.word = "Init:" + c.State.Waiting.Reason
		default:
			w.word = fmt.Sprintf("Init:%d/%d", i, len(spec.InitContainers))
		}
		return true, ofSidecars
	}
	return false, ofSidecars
}

// apps looks at the app containers, the last first, so that the first one's reason stays. Runs at least one beside those
// that have ended, the pod is not Completed.
func (w *podWord) apps(st *corev1.PodStatus) {
	running := false
	for i := len(st.ContainerStatuses) - 1; i >= 0; i-- {
		c := &st.ContainerStatuses[i]
		w.restarts += int(c.RestartCount)
		switch {
		case c.State.Waiting != nil && c.State.Waiting.Reason != "":
			w.word = c.State.Waiting.Reason
		case c.State.Terminated != nil:
			w.word = endWord(c.State.Terminated)
		case c.Ready && c.State.Running != nil:
			running = true
			w.ready++
		}
	}
	if w.word != "Completed" || !running {
		return
	}
	if w.word = "NotReady"; conditionHolds(st, corev1.PodReady) {
		w.word = "Running"
	}
}

func endWord(t *corev1.ContainerStateTerminated) string {
	switch {
	case t.Reason != "":
		return t.Reason
	case t.Signal != 0:
		return fmt.Sprintf("Signal:%d", t.Signal)
	default:
		return fmt.Sprintf("ExitCode:%d", t.ExitCode)
	}
}

func conditionHolds(st *corev1.PodStatus, kind corev1.PodConditionType) bool {
	for _, c := range st.Conditions {
		if c.Type == kind {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
