package deploy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/podyard/podyard/runtime/fake"
	"github.com/podyard/podyard/status"
)

// awaitPod waits until the pod whose name begins so is as wanted.
func (b *bench) awaitPod(name, what string, done func(status.Pod) bool) status.Pod {
	b.Helper()
	var last []status.Pod
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		s, err := b.deployer.Snapshot(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		last = s.Pods
		for _, p := range s.Pods {
			if strings.HasPrefix(p.Name, name) && done(p) {
				return p
			}
		}
	}
	b.Fatalf("waited in vain for %s; the pods: %+v", what, last)
	return status.Pod{}
}

func TestAPodIsShownWithItsContainersInTheOrderOfTheirStart(t *testing.T) {
	b := inside(t, manyContainers)
	p := b.awaitPod("app", "the pod to run", func(p status.Pod) bool { return p.State == "Running" })
	if p.Ready != "2/2" || p.Phase != "Running" || p.QOSClass != "BestEffort" || p.Health != status.Ready || len(p.Conditions) < 4 || len(p.Containers) != 3 {
		t.Fatalf("pod: %+v", p)
	}
	prepare, proxy, app := p.Containers[0], p.Containers[1], p.Containers[2]
	if prepare.Name != "prepare" || !prepare.Init || prepare.Sidecar || prepare.State != "Terminated" || prepare.Reason != "Completed" || prepare.ExitCode == nil || *prepare.ExitCode != 0 {
		t.Errorf("init container: %+v", prepare)
	}
	if proxy.Name != "proxy" || !proxy.Init || !proxy.Sidecar || proxy.State != "Running" || !proxy.Ready || proxy.Started.IsZero() {
		t.Errorf("sidecar: %+v", proxy)
	}
	if app.Name != "main" || app.Init || app.State != "Running" || !app.Stdin || app.TTY || !strings.HasPrefix(app.ImageID, "sha256:") {
		t.Errorf("app container: %+v", app)
	}
	if err := b.deployer.Debug(t.Context(), status.DebugRequest{ContainerName: in("debugger-abcde"), Image: "app:1"}); err != nil {
		t.Fatal(err)
	}
	p = b.awaitPod("app", "the debug container", func(p status.Pod) bool { return len(p.Containers) == 4 && p.Containers[3].State == "Running" })
	if c := p.Containers[3]; c.Name != "debugger-abcde" || !c.Ephemeral || c.Image != "app:1" || p.Ready != "2/2" {
		t.Errorf("debug container: %+v in a pod that is ready %s", c, p.Ready)
	}
}

func TestAContainerThatCrashesShowsHowItEnded(t *testing.T) {
	b := newBench(t)
	b.engine.Push("crash:1", fake.Program{Local: true, ExitAfter: time.Millisecond, ExitCode: 7})
	b.commit("Crash", pod("crash:1"))
	b.start()
	p := b.awaitPod("app", "the second crash", func(p status.Pod) bool { return p.State == "CrashLoopBackOff" && p.Restarts == 1 })
	c := p.Containers[0]
	if c.State != "Waiting" || c.Reason != "CrashLoopBackOff" || c.Last == nil || c.Last.ExitCode != 7 || c.Last.Reason != "Error" || c.ExitCode == nil || *c.ExitCode != 7 || c.Finished.IsZero() {
		t.Errorf("container: %+v, %+v", c, c.Last)
	}
}

func TestPodsThatWaitToBeCreatedAreShown(t *testing.T) {
	b := newBench(t)
	b.commit("Misplaced", `apiVersion: v1
kind: Pod
metadata: {name: app}
spec:
  nodeSelector: {disk: fast}
  initContainers: [{name: prepare, image: "app:1"}]
  containers: [{name: main, image: "app:1"}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      schedulingGates: [{name: example.com/wait}]
      containers: [{name: web, image: "app:1"}, {name: side, image: "app:2"}]
`)
	b.start()
	p := b.awaitPod("app", "the pod", func(p status.Pod) bool { return p.State == "Pending" })
	if p.Ready != "0/1" || p.Phase != "Pending" || p.Sandbox != "" || !strings.Contains(p.Message, "nodeSelector") || len(p.Containers) != 2 || !p.Containers[0].Init {
		t.Errorf("a pod that cannot be placed: %+v", p)
	}
	if len(p.Conditions) != 1 || p.Conditions[0].Type != "PodScheduled" || !strings.Contains(p.Conditions[0].Message, "0/1 nodes are available") {
		t.Errorf("its conditions: %+v", p.Conditions)
	}
	p = b.awaitPod("web-", "the Deployment's pod", func(p status.Pod) bool { return p.State == "SchedulingGated" })
	if p.Ready != "0/2" || len(p.Containers) != 2 || p.Containers[1].Image != "app:2" || p.Owner == nil || p.Owner.Kind != "ReplicaSet" {
		t.Errorf("a pod of a Deployment that is gated: %+v", p)
	}
}
