package deploy

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// one is the status of a container; the shorthands below say in which state.
type one = corev1.ContainerStatus

func waits(reason string) one {
	return one{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}}
}

func runs(isReady, isStarted bool, restarts int32) one {
	return one{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}, Ready: isReady, Started: &isStarted, RestartCount: restarts}
}

func ended(reason string, code, restarts int32) one {
	return one{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: reason, ExitCode: code}}, RestartCount: restarts}
}

// Upstream's table: TestPrintPod and its siblings in pkg/printers/internalversion/printers_test.go.
func TestThePodsWordIsKubectls(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	spec := &corev1.PodSpec{InitContainers: []corev1.Container{{Name: "one"}, {Name: "side", RestartPolicy: &always}}, Containers: make([]corev1.Container, 2)}
	done, side := ended("Completed", 0, 0), runs(true, true, 4)
	for _, c := range []struct {
		name        string
		phase       corev1.PodPhase
		inits, apps []one
		conditions  []corev1.PodCondition
		reason      string
		stopping    bool
		want        podWord
	}{
		{name: "waits to be placed", phase: "Pending", want: podWord{word: "Pending"}},
		{name: "gated", phase: "Pending", conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: "False", Reason: "SchedulingGated"}}, want: podWord{word: "SchedulingGated"}},
		{name: "first init container waits", phase: "Pending", inits: []one{waits("PodInitializing"), waits("PodInitializing")}, want: podWord{word: "Init:0/2"}},
		{name: "first init container runs", phase: "Pending", inits: []one{runs(false, true, 1), waits("PodInitializing")}, want: podWord{word: "Init:0/2", restarts: 1}},
		{name: "init container crashes", phase: "Pending", inits: []one{waits("CrashLoopBackOff")}, want: podWord{word: "Init:CrashLoopBackOff"}},
		{name: "init container failed", phase: "Failed", inits: []one{ended("Error", 1, 2)}, want: podWord{word: "Init:Error", restarts: 2}},
		{name: "init container failed without a word", phase: "Failed", inits: []one{ended("", 7, 0)}, want: podWord{word: "Init:ExitCode:7"}},
		{name: "sidecar starts", phase: "Pending", inits: []one{done, runs(false, false, 0)}, apps: []one{waits("PodInitializing")}, want: podWord{word: "Init:1/2"}},
		{name: "apps are created", phase: "Pending", inits: []one{done, side}, apps: []one{waits("ContainerCreating"), waits("PodInitializing")},
			want: podWord{word: "ContainerCreating", ready: 1, restarts: 4}},
		{name: "runs", phase: "Running", inits: []one{done, side}, apps: []one{runs(true, true, 1), runs(true, true, 2)}, want: podWord{word: "Running", ready: 3, restarts: 7}},
		{name: "runs and is not ready", phase: "Running", inits: []one{done, side}, apps: []one{runs(false, true, 0), runs(true, true, 0)}, want: podWord{word: "Running", ready: 2, restarts: 4}},
		{name: "the first app container's reason stays", phase: "Running", apps: []one{waits("ErrImagePull"), waits("CrashLoopBackOff")}, want: podWord{word: "ErrImagePull"}},
		{name: "one of two has ended", phase: "Running", apps: []one{ended("Completed", 0, 0), runs(true, true, 0)}, want: podWord{word: "NotReady", ready: 1}},
		{name: "one of two has ended in a ready pod", phase: "Running", apps: []one{ended("Completed", 0, 0), runs(true, true, 0)},
			conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: "True"}}, want: podWord{word: "Running", ready: 1}},
		{name: "all have ended", phase: "Succeeded", apps: []one{ended("Completed", 0, 0), ended("Completed", 0, 0)}, want: podWord{word: "Completed"}},
		{name: "out of memory", phase: "Failed", apps: []one{ended("OOMKilled", 137, 0)}, want: podWord{word: "OOMKilled"}},
		{name: "evicted", phase: "Failed", reason: "Evicted", want: podWord{word: "Evicted"}},
		{name: "a sidecar that was restarted does not hold an initialized pod up", phase: "Running", inits: []one{done, runs(false, false, 1)}, apps: []one{runs(true, true, 0)},
			conditions: []corev1.PodCondition{{Type: corev1.PodInitialized, Status: "True"}}, want: podWord{word: "Init:1/2", ready: 1, restarts: 1}},
		{name: "stops", phase: "Running", apps: []one{runs(true, true, 0)}, stopping: true, want: podWord{word: "Terminating", ready: 1}},
		{name: "has ended and is removed", phase: "Succeeded", apps: []one{ended("Completed", 0, 0)}, stopping: true, want: podWord{word: "Completed"}},
	} {
		st := &corev1.PodStatus{Phase: c.phase, Reason: c.reason, InitContainerStatuses: c.inits, ContainerStatuses: c.apps, Conditions: c.conditions}
		if got := wordOf(st, spec, c.stopping); got != c.want {
			t.Errorf("%s: %+v; want %+v", c.name, got, c.want)
		}
	}
}
