package deploy_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podyard/podyard/status"
)

// several are pods of the same image.
func several(names ...string) string {
	out := ""
	for _, name := range names {
		out += "---\n" + strings.Replace(pod("app:1"), "name: app", "name: "+name, 1)
	}
	return out
}

func (b *bench) names() string {
	var names []string
	for _, pod := range b.engine.Truth().Pods {
		names = append(names, pod.Manifest.Name)
	}
	return strings.Join(names, " ")
}

func TestACommitThatDeletesMuchWaitsForApproval(t *testing.T) {
	b := newBench(t)
	b.commit("One", several("a", "b", "c"))
	b.start()
	b.awaitLast(1, status.Succeeded)
	if _, err := b.deployer.Approve(t.Context(), "r1", ""); !errors.Is(err, status.ErrConflict) {
		t.Errorf("an approval of nothing: %v", err)
	}

	b.commit("Two", several("a"))
	b.fetch()
	held := b.awaitLast(2, status.Unapproved)
	if held.Message != "would delete 2 of 3 objects" {
		t.Errorf("it waits, for it %q", held.Message)
	}
	want := fmt.Sprintf("%s waits for approval, r1 stays: it would delete 2 of 3 objects; podyard approve %[1]s applies it", held.Commit.Short())
	if state := b.state(); state != want {
		t.Errorf("state: %s, want %s", state, want)
	}
	b.halt()
	b.start()
	b.eventually("the commit to be met again", func() bool { return b.state() == want })
	if n := len(b.revisions()); n != 2 || b.names() != "a b c" {
		t.Errorf("after a restart there are %d revisions and the pods %s", n, b.names())
	}

	if _, err := b.deployer.Approve(t.Context(), "r1", ""); !errors.Is(err, status.ErrConflict) {
		t.Errorf("an approval of what does not wait: %v", err)
	}
	if _, err := b.deployer.Approve(t.Context(), held.Commit.Short(), "we move out"); err != nil {
		t.Fatal(err)
	}
	made := b.awaitLast(3, status.Succeeded)
	if made.Trigger != "approve" || made.Reason != "approved: it would delete 2 of 3 objects; we move out" {
		t.Errorf("the approved revision: %+v", made)
	}
	b.eventually("the pods to go", func() bool { return b.names() == "a" })
}

func TestATrailerApprovesBeforehand(t *testing.T) {
	b := newBench(t)
	b.commit("One", several("a", "b", "c"))
	b.start()
	b.awaitLast(1, status.Succeeded)
	b.commit("Two\n\nWe move out.\n\nPodyard-Approve: delete", several("c"))
	b.fetch()
	b.awaitLast(2, status.Succeeded)
	b.eventually("the pods to go", func() bool { return b.names() == "c" })
}

// TestWhatComesBackUnderAnotherNameIsNotDeleted, and half of the objects may go.
func TestWhatComesBackUnderAnotherNameIsNotDeleted(t *testing.T) {
	b := newBench(t)
	b.commit("One", several("a", "b", "c", "d"))
	b.start()
	b.awaitLast(1, status.Succeeded)
	b.commit("Two", several("w", "x", "y", "z"))
	b.fetch()
	b.awaitLast(2, status.Succeeded)
	b.commit("Three", several("w", "x"))
	b.fetch()
	b.awaitLast(3, status.Succeeded)
}

// TestTheNextCommitEndsTheWaiting, if it deletes less.
func TestTheNextCommitEndsTheWaiting(t *testing.T) {
	b := newBench(t)
	b.commit("One", several("a", "b", "c"))
	b.start()
	b.awaitLast(1, status.Succeeded)
	if err := os.Remove(filepath.Join(b.repo, "app.yaml")); err != nil {
		t.Fatal(err)
	}
	b.commit("Two", "# nothing is left\n")
	b.fetch()
	if held := b.awaitLast(2, status.Unapproved); held.Message != "holds no objects, and would delete all 3" {
		t.Errorf("it waits, for it %q", held.Message)
	}
	b.commit("Three", several("a", "b"))
	b.fetch()
	b.awaitLast(3, status.Succeeded)
}

const keeper = `---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: %d
  persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete, whenScaled: Delete}
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers:
      - {name: main, image: "app:1", volumeMounts: [{name: data, mountPath: /data}]}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
`

// TestAVolumeIsDeletedOnlyIfThatIsApproved: with its StatefulSet, or with an ordinal.
func TestAVolumeIsDeletedOnlyIfThatIsApproved(t *testing.T) {
	b := newBench(t)
	others := several("a", "b", "c", "d", "e", "f")
	b.commit("One", others+fmt.Sprintf(keeper, 2))
	b.start()
	b.awaitLast(1, status.Succeeded)
	b.commit("Two", others+fmt.Sprintf(keeper, 1))
	b.fetch()
	if held := b.awaitLast(2, status.Unapproved); !strings.HasPrefix(held.Message, "would delete 1 volume with all data: ") {
		t.Errorf("it waits, for it %q", held.Message)
	}
	b.commit("Three", others)
	b.fetch()
	held := b.awaitLast(3, status.Unapproved)
	if !strings.HasPrefix(held.Message, "would delete 2 volumes with all data: ") {
		t.Errorf("it waits, for it %q", held.Message)
	}
	time.Sleep(100 * time.Millisecond)
	if n := len(b.engine.Truth().Volumes); n != 2 {
		t.Errorf("there are %d volumes", n)
	}
	if _, err := b.deployer.Approve(t.Context(), "r3", ""); err != nil {
		t.Fatal(err)
	}
	b.awaitLast(4, status.Succeeded)
	b.eventually("the volumes to go", func() bool { return len(b.engine.Truth().Volumes) == 0 })
}
