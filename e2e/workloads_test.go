package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/podyard/podyard/status"
)

// workloads are a StatefulSet, a DaemonSet and a ReplicaSet. Each pod of the StatefulSet writes its name and its version into
// its own volume when it starts.
func workloads(replicas int, version, policy string) map[string]string {
	return map[string]string{"app.yaml": fmt.Sprintf(`apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 5432}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: %d
  persistentVolumeClaimRetentionPolicy: {whenScaled: %s}
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: %s
        command: [sh, -c, "echo $(hostname) %[4]s >> /data/log; exec sleep 1000"]
        volumeMounts: [{name: data, mountPath: /data}]
        readinessProbe: {exec: {command: [cat, /data/log]}}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: %[3]s, command: [sleep, "1000"], env: [{name: VERSION, value: %[4]s}]}]
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: crew}
spec:
  replicas: 2
  selector: {matchLabels: {app: crew}}
  template:
    metadata: {labels: {app: crew}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: %[3]s, command: [sleep, "1000"], env: [{name: VERSION, value: %[4]s}]}]
`, replicas, policy, toolsImage, version)}
}

// TestWorkloads: pods of a StatefulSet keep their names and their volumes through scaling and updates, and are updated from the
// highest ordinal; a DaemonSet's pod is replaced; those of a ReplicaSet stay.
func TestWorkloads(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.commit("Two", workloads(2, "v1", "Retain"))
	h.start()
	h.awaitOutcome("Two", status.Succeeded)
	h.expectLog("db-0", "db-0 v1")
	h.expectLog("db-1", "db-1 v1")
	if out, err := h.exec("agent", "nslookup", "db-1.db.default.svc.cluster.local"); err != nil || !strings.Contains(out, h.pods("db-1")[0].IP) {
		t.Errorf("db-1 in DNS: %v\n%s", err, out)
	}
	crew, agent := h.names("crew-"), h.names("agent-")
	if len(crew) != 2 || len(agent) != 1 {
		t.Errorf("the ReplicaSet has the pods %v, the DaemonSet %v", crew, agent)
	}

	h.commit("One", workloads(1, "v1", "Retain"))
	h.awaitOutcome("One", status.Succeeded)
	h.await("db-1 to go", func() bool { return len(h.pods("db-")) == 1 })
	h.commit("Three", workloads(3, "v1", "Retain"))
	h.awaitOutcome("Three", status.Succeeded)
	h.expectLog("db-1", "db-1 v1\ndb-1 v1")

	h.commit("Update", workloads(3, "v2", "Retain"))
	h.awaitOutcome("Update", status.Succeeded)
	for i, log := range []string{"db-0 v1\ndb-0 v2", "db-1 v1\ndb-1 v1\ndb-1 v2", "db-2 v1\ndb-2 v2"} {
		h.expectLog(fmt.Sprintf("db-%d", i), log)
	}
	if db := h.pods("db-"); !db[2].Created.Before(db[1].Created) || !db[1].Created.Before(db[0].Created) {
		t.Errorf("the pods were not replaced from the highest ordinal: %v, %v, %v", db[0].Created, db[1].Created, db[2].Created)
	}
	if now := h.names("crew-"); !slices.Equal(now, crew) {
		t.Errorf("the ReplicaSet's pods were %v, and are %v", crew, now)
	}
	if version, err := h.exec("agent", "sh", "-c", "echo $VERSION"); version != "v2" || err != nil {
		t.Errorf("the DaemonSet's pod is of version %q, %v", version, err)
	}

	h.commit("Delete", workloads(1, "v2", "Delete"))
	waits := h.awaitOutcome("Delete", status.Unapproved)
	if !strings.HasPrefix(waits.Message, "would delete 2 volumes with all data: ") {
		t.Errorf("the commit waits, for it %q", waits.Message)
	}
	if out, code := h.podyard("approve", waits.Commit.Short(), "--reason", "the data has moved"); code != 0 {
		t.Fatalf("approve: %s", out)
	}
	h.awaitOutcome("Delete", status.Succeeded)
	volume := "podyard_" + h.instance + "_claim_default_data-db-"
	h.await("the volumes of db-1 and db-2 to go", func() bool {
		return h.run("docker", "volume", "ls", "--quiet", "--filter", "name="+volume) == volume+"0"
	})
	h.expectLog("db-0", "db-0 v1\ndb-0 v2")
}

func (h *host) expectLog(pod, want string) {
	h.Helper()
	if got, err := h.exec(pod, "cat", "/data/log"); got != want || err != nil {
		h.Errorf("the volume of %s holds %q, %v; want %q", pod, got, err, want)
	}
}

// names of the pods whose names begin so, sorted.
func (h *host) names(prefix string) []string {
	var out []string
	for _, p := range h.pods(prefix) {
		out = append(out, p.Name)
	}
	slices.Sort(out)
	return out
}
