package deploy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/podyard/podyard/status"
)

func deployment(app string, replicas int) string {
	return fmt.Sprintf("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: app}\nspec:\n  replicas: %d\n  selector: {matchLabels: {app: %[2]s}}\n"+
		"  template:\n    metadata: {labels: {app: %[2]s}}\n    spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, image: \"app:1\"}]}\n", replicas, app)
}

// TestACommitThatChangesASelectorIsRefused while there are pods; also when it is only planned. A rollback goes through.
func TestACommitThatChangesASelectorIsRefused(t *testing.T) {
	b := newBench(t)
	b.commit("One", deployment("one", 1))
	b.start()
	b.await("One", status.Succeeded)
	b.commit("Two", deployment("two", 1))
	refused := b.await("Two", status.Refused)
	if want := "app.yaml:6: spec.selector: cannot change from app=one to app=two"; !strings.Contains(refused.Message, want) {
		t.Errorf("refused with %q, want %q", refused.Message, want)
	}
	if b.image() != "app:1" {
		t.Errorf("the pod is gone")
	}
	if _, err := b.deployer.Plan(t.Context(), status.PlanRequest{Manifests: deployment("two", 1)}); err == nil || !strings.Contains(err.Error(), "spec.selector: cannot change") {
		t.Errorf("planned: %v", err)
	}
	b.commit("None", deployment("one", 0))
	b.await("None", status.Succeeded)
	for b.pods() > 0 {
		time.Sleep(5 * time.Millisecond)
	}
	b.commit("Two again", deployment("two", 1))
	b.await("Two again", status.Succeeded)
	if _, err := b.deployer.Rollback(t.Context(), "r1", ""); err != nil {
		t.Errorf("roll back to the other selector: %v", err)
	}
	b.await("One", status.Succeeded)
}

func (b *bench) pods() int {
	b.Helper()
	s, err := b.deployer.Snapshot(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return len(s.Pods)
}
