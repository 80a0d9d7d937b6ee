package deploy_test

import (
	"testing"

	"github.com/podyard/podyard/runtime/fake"
	"github.com/podyard/podyard/status"
)

// imageID is what runs in the pod of a Deployment.
func (b *bench) imageID(app string) string {
	for _, pod := range b.engine.Truth().Pods {
		if pod.Manifest.Labels["app"] == app {
			return pod.Containers[len(pod.Containers)-1].ImageID
		}
	}
	return ""
}

// TestARollbackRunsTheSameBytes, although the tag means others by now: those from a registry, and those that were made here.
func TestARollbackRunsTheSameBytes(t *testing.T) {
	for name, local := range map[string]bool{"from a registry": false, "made here": true} {
		t.Run(name, func(t *testing.T) {
			b := newRolledBench(t)
			b.engine.Push("moving:1", fake.Program{Local: local})
			b.commit("One", rolled("web", "moving:1")+rolled("other", "moving:1"))
			b.start()
			b.awaitLast(1, status.Succeeded)
			before, others := b.imageID("web"), b.podsOf("other")
			b.engine.Push("moving:1", fake.Program{Local: true})
			b.commit("Two", rolled("web", "web:2")+rolled("other", "moving:1"))
			b.fetch()
			b.awaitLast(2, status.Succeeded)
			b.engine.Prune()
			if _, err := b.deployer.Rollback(t.Context(), "r1", ""); err != nil {
				t.Fatal(err)
			}
			back := b.awaitLast(3, status.Succeeded)
			b.eventually("the second version to go", func() bool { return len(b.engine.Truth().Pods) == 2 })
			if got := b.imageID("web"); got != before {
				t.Errorf("after the rollback %s runs, want %s", got, before)
			}
			if got := b.podsOf("other"); got != others {
				t.Errorf("a pod that was fine was replaced: %s, before %s", got, others)
			}
			// The rollback is a revision of its own, to which one can return again.
			b.commit("Three", rolled("web", "web:2")+rolled("other", "moving:1"))
			b.fetch()
			b.awaitLast(4, status.Succeeded)
			if _, err := b.deployer.Rollback(t.Context(), "r3", ""); err != nil {
				t.Fatal(err)
			}
			again := b.awaitLast(5, status.Succeeded)
			b.eventually("the third version to go", func() bool { return len(b.engine.Truth().Pods) == 2 })
			if got := b.imageID("web"); got != before || len(again.Changes) != len(back.Changes) {
				t.Errorf("after the second rollback %s runs, want %s; it changed %v", got, before, again.Changes)
			}
		})
	}
}
