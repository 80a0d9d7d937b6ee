package deploy_test

import (
	"strings"
	"testing"

	"github.com/podyard/podyard/deploy"
	"github.com/podyard/podyard/status"
)

// migrated is a bare pod of an image that a PreSync hook comes before.
func migrated(image, hook string) string {
	return `apiVersion: v1
kind: Pod
metadata: {name: migrate, annotations: {argocd.argoproj.io/hook: PreSync}}
spec: {restartPolicy: Never, containers: [{name: main, image: "` + hook + `"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {containers: [{name: main, image: "` + image + `"}]}
`
}

func (b *bench) runs(pod string) int {
	n := 0
	for _, call := range b.engine.Calls() {
		if call.Verb == "CreateSandbox" && strings.Contains(call.Object, pod) {
			n++
		}
	}
	return n
}

// TestHooksRunOnceForEachChange: not again for a commit that changes nothing, nor for a daemon that starts anew; again for a
// change and for a rollback. One that fails fails the revision, and what ran goes on.
func TestHooksRunOnceForEachChange(t *testing.T) {
	b := newBench(t)
	b.onFailure = deploy.Pause
	expect := func(when string, want int) {
		t.Helper()
		if n := b.runs("migrate"); n != want {
			t.Errorf("the hook ran %d times %s, want %d", n, when, want)
		}
	}
	b.commit("First", migrated("app:1", "job:1"))
	b.start()
	b.await("First", status.Succeeded)
	expect("in the first sync", 1)
	b.commit("Nothing but words", migrated("app:1", "job:1"))
	b.fetch()
	b.await("Nothing but words", status.Succeeded)
	b.halt()
	b.start()
	b.await("Nothing but words", status.Succeeded)
	expect("after a commit that changed nothing and a restart", 1)

	b.commit("Second", migrated("app:2", "job:1"))
	b.fetch()
	b.await("Second", status.Succeeded)
	expect("after a change", 2)

	b.commit("Broken", migrated("app:1", "crash:1"))
	b.fetch()
	broken := b.await("Broken", status.Failed)
	if want := "PreSync hook has failed: container main: Error, exit code 1"; !strings.Contains(broken.Message, want) {
		t.Errorf("the revision failed with %q, want %q", broken.Message, want)
	}
	for _, pod := range b.engine.Truth().Pods {
		if pod.Manifest.Name == "web" && pod.Manifest.Spec.Containers[0].Image != "app:2" {
			t.Errorf("the pod was replaced although the hook failed")
		}
	}
	expect("after a change that failed", 3)
	if _, err := b.deployer.Rollback(t.Context(), "r1", ""); err != nil {
		t.Fatal(err)
	}
	b.await("First", status.Succeeded)
	expect("after a rollback", 4)
}

func (b *bench) fetch() {
	b.Helper()
	if err := b.deployer.Sync(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// TestARollbackAfterAFailureRunsNoHooks: a migration is not undone by an older one. Nor does it after a restart of the daemon.
func TestARollbackAfterAFailureRunsNoHooks(t *testing.T) {
	b := newBench(t)
	b.commit("First", migrated("app:1", "job:1"))
	b.start()
	b.awaitLast(1, status.Succeeded)
	b.commit("Broken", migrated("app:2", "crash:1"))
	b.fetch()
	b.awaitLast(3, status.Succeeded)
	if r := b.revisions()[1]; r.Outcome != status.RolledBack || !strings.Contains(r.Message, "PreSync hook has failed") {
		t.Errorf("the commit that failed: %+v", r)
	}
	b.halt()
	b.start()
	b.awaitLast(3, status.Succeeded)
	if n := b.runs("migrate"); n != 2 {
		t.Errorf("the hooks ran %d times, want once for each commit", n)
	}
}
