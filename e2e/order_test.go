package e2e

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/podyard/podyard/status"
)

// migrated is a Deployment with a Job that comes before it and a Pod that comes after it. Each writes what it is into the one
// volume.
func migrated(version, migrate string) map[string]string {
	const pod = `
      restartPolicy: %s
      terminationGracePeriodSeconds: 0
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
      containers:
      - name: main
        image: %s
        command: [sh, -c, "%s"]
        volumeMounts: [{name: data, mountPath: /data}]
`
	template := func(policy, script string) string { return fmt.Sprintf(pod, policy, toolsImage, script) }
	return map[string]string{"app.yaml": `apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, annotations: {argocd.argoproj.io/hook: PreSync}}
spec:
  backoffLimit: 0
  template:
    spec:` + template("Never", migrate) + `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:` + template("Always", "echo web "+version+" >> /data/log; exec sleep 1000") + `---
apiVersion: v1
kind: Pod
metadata: {name: tell, annotations: {argocd.argoproj.io/hook: PostSync, argocd.argoproj.io/hook-delete-policy: HookSucceeded}}
spec:` + strings.ReplaceAll(template("Never", "echo tell "+version+" >> /data/log"), "\n      ", "\n  ")}
}

// TestAMigrationComesBeforeTheDeployment: a PreSync Job runs to its end before the Deployment is updated, and a PostSync Pod when
// it is ready; neither runs again for a restart of the daemon or a commit that changes nothing. When the Job fails, so does
// the revision, and the old version goes on.
func TestAMigrationComesBeforeTheDeployment(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.commit("First", migrated("v1", "sleep 2; echo migrate v1 >> /data/log"))
	h.start()
	h.awaitOutcome("First", status.Succeeded)
	h.expectLog("web", "migrate v1\nweb v1\ntell v1")
	migration, web := h.pods("migrate-"), h.pods("web-")
	if len(migration) != 1 || len(web) != 1 || web[0].Created.Sub(migration[0].Created).Seconds() < 2 {
		t.Errorf("the migration, which takes 2 s, was created as %+v, the Deployment's pod as %+v", migration, web)
	}

	h.commit("Nothing but words", map[string]string{"README.md": "words"})
	h.awaitOutcome("Nothing but words", status.Succeeded)
	h.stop(syscall.SIGKILL)
	h.start()
	h.await("the daemon to see the pods", func() bool { return len(h.pods("web-")) == 1 })
	h.awaitOutcome("Nothing but words", status.Succeeded)
	h.expectLog("web", "migrate v1\nweb v1\ntell v1")

	before := h.names("web-")
	h.commit("Second", migrated("v2", "echo migrate v2 >> /data/log; exit 3"))
	h.await("the second to be rolled back", func() bool {
		last := h.snapshot().Revisions
		return last[1].Commit.Subject == "Second" && last[1].Outcome == status.RolledBack && last[0].Outcome == status.Succeeded
	})
	failed := h.snapshot().Revisions[1]
	if want := "PreSync hook has failed: BackoffLimitExceeded"; !strings.Contains(failed.Message, want) {
		t.Errorf("the revision failed with %q, want %q", failed.Message, want)
	}
	h.expectLog("web", "migrate v1\nweb v1\ntell v1\nmigrate v2")
	if now := h.names("web-"); !slices.Equal(now, before) {
		t.Errorf("the pods were %v, and are %v after a migration that failed", before, now)
	}

	h.commit("Third", migrated("v3", "echo migrate v3 >> /data/log"))
	h.awaitOutcome("Third", status.Succeeded)
	h.expectLog("web", "migrate v1\nweb v1\ntell v1\nmigrate v2\nmigrate v3\nweb v3\ntell v3")
}
