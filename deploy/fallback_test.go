package deploy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/podyard/podyard/deploy"
	"github.com/podyard/podyard/runtime/fake"
	"github.com/podyard/podyard/status"
)

// rolled is a Deployment that is given up after a second without progress.
func rolled(name, image string) string {
	return fmt.Sprintf(`---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %s}
spec:
  progressDeadlineSeconds: 1
  minReadySeconds: 0
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      containers:
      - {name: main, image: %q, readinessProbe: {tcpSocket: {port: 80}, periodSeconds: 1}}
`, name, image)
}

func (b *bench) revisions() []status.Revision {
	b.Helper()
	list, err := b.deployer.Revisions(b.Context(), 0, 100)
	if err != nil {
		b.Fatal(err)
	}
	return list
}

// awaitLast waits until the newest revision has a number and an outcome.
func (b *bench) awaitLast(number uint64, outcome status.Outcome) status.Revision {
	b.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if list := b.revisions(); len(list) > 0 && list[0].Number == number && list[0].Outcome == outcome {
			return list[0]
		}
	}
	b.Fatalf("waited in vain for r%d to be %s; the source: %s", number, outcome, b.state())
	return status.Revision{}
}

func newRolledBench(t *testing.T) *bench {
	b := newBench(t)
	for _, image := range []string{"web:1", "web:2"} {
		b.engine.Push(image, fake.Program{Local: true})
	}
	b.engine.Push("web:broken", fake.Program{Local: true, ReadyAfter: fake.Never, Output: []fake.Line{{Text: "cannot log in with hunter2"}}})
	return b
}

const secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: login}\nstringData: {password: hunter2}\n"

func TestACommitThatFailsIsRolledBack(t *testing.T) {
	b := newRolledBench(t)
	b.commit("One", secret+rolled("web", "web:1")+rolled("other", "web:1"))
	b.start()
	b.awaitLast(1, status.Succeeded)
	others := b.podsOf("other")
	webs := b.podsOf("web")

	b.commit("Two", secret+rolled("web", "web:broken")+rolled("other", "web:1"))
	b.fetch()
	back := b.awaitLast(3, status.Succeeded)
	failed := b.revisions()[1]
	if failed.Outcome != status.RolledBack || !strings.HasPrefix(failed.Message, "Deployment default/web: made no progress for 1 s") {
		t.Errorf("the commit that failed: %+v", failed)
	}
	if failed.Log != "cannot log in with ***\n" {
		t.Errorf("its last log lines are %q", failed.Log)
	}
	if back.Commit.Subject != "One" || back.Trigger != "rollback" || !strings.HasPrefix(back.Reason, "r1: r2 ("+failed.Commit.Short()+") failed: Deployment default/web") {
		t.Errorf("the revision that took over: %+v", back)
	}
	b.eventually("the pods to be those of before", func() bool { return b.podsOf("other")+b.podsOf("web") == others+webs })
	want := fmt.Sprintf("r2 (%s) failed and was rolled back to r3 (%s): Deployment default/web: made no progress", failed.Commit.Short(), back.Commit.Short())
	if state := b.state(); !strings.HasPrefix(state, want) {
		t.Errorf("state: %s", state)
	}

	b.halt()
	b.start()
	time.Sleep(300 * time.Millisecond) // the first fetch passes by
	if state := b.state(); !strings.HasPrefix(state, want) || len(b.revisions()) != 3 {
		t.Errorf("after a restart: %s, %d revisions", state, len(b.revisions()))
	}
	b.commit("Three", secret+rolled("web", "web:2")+rolled("other", "web:1"))
	b.fetch()
	b.awaitLast(4, status.Succeeded)
	if state := b.state(); !strings.HasPrefix(state, "in sync with") {
		t.Errorf("state: %s", state)
	}
}

// TestTheNextCommitDoesNotWaitForTheRollback: it takes over in the middle of a rollout that will fail.
func TestTheNextCommitDoesNotWaitForTheRollback(t *testing.T) {
	b := newRolledBench(t)
	b.commit("One", rolled("web", "web:1"))
	b.start()
	b.awaitLast(1, status.Succeeded)
	b.commit("Two", rolled("web", "web:broken"))
	b.fetch()
	b.awaitLast(2, status.Applying)
	b.commit("Three", rolled("web", "web:2"))
	b.fetch()
	b.awaitLast(3, status.Succeeded)
	if r := b.revisions()[1]; r.Outcome != status.Superseded {
		t.Errorf("the second: %+v", r)
	}
}

// TestWhatACommitDidNotTouchIsNotItsFault: to go back would not mend it.
func TestWhatACommitDidNotTouchIsNotItsFault(t *testing.T) {
	b := newRolledBench(t)
	b.commit("One", rolled("web", "web:1")+rolled("other", "web:1"))
	b.start()
	b.awaitLast(1, status.Succeeded)
	b.engine.Push("web:1", fake.Program{Local: true, ReadyAfter: fake.Never})
	b.kill("web")
	b.commit("Two", rolled("web", "web:1")+rolled("other", "web:2"))
	b.fetch()
	b.await("Two", status.Applying)
	for deadline := time.Now().Add(3 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if n := len(b.revisions()); n != 2 {
			t.Fatalf("there are %d revisions; %s", n, b.state())
		}
	}
}

func TestAFailureMayPauseTheRollout(t *testing.T) {
	b := newRolledBench(t)
	b.onFailure = deploy.Pause
	b.commit("One", rolled("web", "web:1"))
	b.start()
	b.awaitLast(1, status.Succeeded)
	b.commit("Two", rolled("web", "web:broken"))
	b.fetch()
	failed := b.awaitLast(2, status.Failed)
	if failed.Log == "" || !failed.Current {
		t.Errorf("the commit that failed: %+v", failed)
	}
}

// TestWithoutAGoodRevisionTheFirstOneStays, and becomes ready after all when it can.
func TestWithoutAGoodRevisionTheFirstOneStays(t *testing.T) {
	b := newRolledBench(t)
	b.commit("One", rolled("web", "web:broken"))
	b.start()
	b.awaitLast(1, status.Failed)
	b.commit("Two", rolled("web", "web:2"))
	b.fetch()
	b.awaitLast(2, status.Succeeded)
}

// podsOf names the pods of a Deployment, with their containers' attempts.
func (b *bench) podsOf(app string) string {
	out := ""
	for _, pod := range b.engine.Truth().Pods {
		if pod.Manifest.Labels["app"] == app {
			out += fmt.Sprintf("%s/%d ", pod.Manifest.Name, len(pod.Containers))
		}
	}
	return out
}

func (b *bench) eventually(what string, done func() bool) {
	b.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("waited in vain for %s", what)
		}
	}
}

// kill ends the containers of a Deployment's pods.
func (b *bench) kill(app string) {
	for _, pod := range b.engine.Truth().Pods {
		for _, c := range pod.Containers {
			if pod.Manifest.Labels["app"] == app {
				b.engine.KillContainer(c.ID, 137)
			}
		}
	}
}
