package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podyard/podyard/status"
)

// TestNothingFailsWhenTheDataPlaneIsReplaced: the Service is asked without end, by name, while what serves it comes and goes.
func TestNothingFailsWhenTheDataPlaneIsReplaced(t *testing.T) {
	h := newLoadHost(t)
	h.commit("One", map[string]string{"web.yaml": web(3, "--version=1"), "load.yaml": load})
	h.start()
	h.awaitOutcome("One", status.Succeeded)
	holder, agent := h.role("gateway-holder"), h.role("gateway-agent")

	h.underLoad("upgrade, which replaces the gateway's agent", func() {
		h.stop(syscall.SIGTERM)
		h.program = otherBinary(t)
		h.start()
		h.await("another agent, alone", func() bool { now := h.role("gateway-agent"); return now != agent && !strings.Contains(now, "\n") })
	})
	if now := h.role("gateway-holder"); now != holder {
		t.Errorf("the gateway's holder was %s and is %s", holder, now)
	}
	h.underLoad("kill -9 of the daemon", func() {
		h.stop(syscall.SIGKILL)
		time.Sleep(3 * time.Second)
		h.start()
		h.awaitOutcome("One", status.Succeeded)
	})
	if out, _ := h.podyard("status"); !strings.Contains(out, "Services by nftables") {
		t.Errorf("status does not say what serves Services:\n%s", out)
	}

	// Without an agent no name is found for a moment, but the Service's address serves on.
	address, err := h.exec("load", "server", "lookup", "host", "web")
	if err != nil {
		t.Fatalf("look up the Service: %v", err)
	}
	h.commit("By address", map[string]string{"load.yaml": strings.Replace(load, "http://web", "http://"+address, 1)})
	h.awaitOutcome("By address", status.Succeeded)
	agent = h.role("gateway-agent")
	h.underLoad("removal of the gateway's agent, which the daemon makes anew", func() {
		h.run("docker", "rm", "--force", agent)
		h.await("another agent", func() bool { now := h.role("gateway-agent"); return now != "" && now != agent })
	})
	for range 3 {
		h.underLoad("kill -9 of the gateway's agent", func() {
			h.killRole("gateway-agent")
			h.await("names again", func() bool {
				_, err := h.exec("load", "server", "lookup", "host", "web")
				return err == nil
			})
		})
	}
}

// role is the engine's ID of the running container, or containers, of a role.
func (h *host) role(role string) string {
	return h.run("docker", "ps", "--quiet", "--no-trunc", "--filter", "label=podyard.dev/instance="+h.instance, "--filter", "label=podyard.dev/role="+role)
}

// otherBinary is podyard as another release would have it: what follows the program in its file is not loaded.
func otherBinary(t *testing.T) string {
	t.Helper()
	program, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "podyard")
	if err := os.WriteFile(path, append(program, "the next release"...), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// flipping are pods of which each is ready for two seconds and then not for one; at any time two in three are.
var flipping = fmt.Sprintf(`apiVersion: apps/v1
kind: StatefulSet
metadata: {name: flip}
spec:
  replicas: 9
  podManagementPolicy: Parallel
  serviceName: web
  selector: {matchLabels: {app: flip}}
  template:
    metadata: {labels: {app: flip}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: %q
        command: [server, flip, "80"]
        readinessProbe: {httpGet: {path: /readyz, port: 80}, periodSeconds: 1, failureThreshold: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: flip}, ports: [{port: 80}]}
`, toolsImage)

// TestNothingFailsWhileEndpointsChurn: about six endpoints come or go in each second.
func TestNothingFailsWhileEndpointsChurn(t *testing.T) {
	h := newLoadHost(t)
	h.commit("Flip", map[string]string{"flip.yaml": flipping, "load.yaml": load})
	h.start()
	h.await("the load to begin", func() bool { return h.tally().Fresh > 0 })
	const duration = 30 * time.Second
	changes := 0
	h.underLoad("churn of endpoints", func() {
		last := ""
		for begin := time.Now(); time.Since(begin) < duration; time.Sleep(20 * time.Millisecond) {
			now := ""
			for _, p := range h.pods("flip-") {
				if p.Health == status.Ready {
					now += p.Name + " "
				}
			}
			if now != last {
				changes, last = changes+1, now
			}
		}
	})
	t.Logf("%d changes in %s", changes, duration)
	if changes < 60 {
		t.Errorf("only %d changes of the endpoints were seen in %s", changes, duration)
	}
}

// TestNamesInAPod: what a program finds that leaves the search list and the protocol to its resolver.
func TestNamesInAPod(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.commit("Names", map[string]string{"names.yaml": names})
	h.start()
	h.awaitOutcome("Names", status.Succeeded)
	ip := map[string]string{}
	for _, p := range h.pods("") {
		ip[p.Name] = p.IP
	}
	look := func(kind, name string) string {
		out, err := h.exec("asks", "server", "lookup", kind, name)
		if err != nil {
			return fmt.Sprintf("%s (%v)", out, err)
		}
		return out
	}
	web := look("host", "web")
	for _, c := range []struct{ kind, name, want string }{
		{"host", "web.default", web}, {"host", "web.default.svc", web}, {"host", "web.default.svc.cluster.local", web},
		{"host", "WEB.default.svc.cluster.local.", web},
		{"host", "db-0.db", ip["db-0"]}, {"host", "db-1.db.default.svc.cluster.local", ip["db-1"]},
		{"host", strings.ReplaceAll(ip["db-0"], ".", "-") + ".default.pod", ip["db-0"]},
		{"srv", "_http._tcp.web", "web.default.svc.cluster.local.:80"},
		{"srv", "_sql._tcp.db", "db-0.db.default.svc.cluster.local.:5432\ndb-1.db.default.svc.cluster.local.:5432"},
		{"addr", web, "web.default.svc.cluster.local."}, {"addr", ip["db-1"], "db-1.db.default.svc.cluster.local."},
		{"txt", "dns-version.cluster.local", "1.1.0"},
	} {
		if got := look(c.kind, c.name); got != c.want || got == "" {
			t.Errorf("%s %s: %q, want %q", c.kind, c.name, got, c.want)
		}
	}
	if got := look("host", "nothing.default.svc.cluster.local"); !strings.Contains(got, "no such host") {
		t.Errorf("what is not there: %q", got)
	}
}

var names = strings.ReplaceAll(`apiVersion: v1
kind: Pod
metadata: {name: asks, labels: {app: asks}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: IMAGE, command: [server, http, "80"]}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: asks}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{name: sql, port: 5432}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 2
  podManagementPolicy: Parallel
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: IMAGE, command: [server, http, "5432"]}]
`, "IMAGE", fmt.Sprintf("%q", toolsImage))
