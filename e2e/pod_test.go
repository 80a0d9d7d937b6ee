package e2e

import (
	"strings"
	"testing"

	"github.com/podyard/podyard/status"
)

// TestWhatAProgramSees: environment, files, resources and identity, as the manifest says.
func TestWhatAProgramSees(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.commit("Pod", map[string]string{"pod.yaml": `apiVersion: v1
kind: ConfigMap
metadata: {name: config}
data: {color: blue, app.conf: "listen 80\n"}
---
apiVersion: v1
kind: Secret
metadata: {name: token}
stringData: {password: correct-horse}
---
apiVersion: v1
kind: Pod
metadata: {name: main-pod, labels: {tier: front}}
spec:
  hostname: sea
  terminationGracePeriodSeconds: 0
  securityContext: {runAsUser: 1000, runAsGroup: 2000}
  volumes:
  - {name: config, configMap: {name: config, items: [{key: app.conf, path: sub/app.conf}]}}
  - {name: token, secret: {secretName: token, defaultMode: 0444}}
  - {name: scratch, emptyDir: {}}
  - {name: memory, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
  containers:
  - name: main
    image: ` + toolsImage + `
    command: [sh, -c]
    args: ["echo '$(COLOR) $$(NOT)' $GREETING; exec sleep 1000"]
    workingDir: /www
    envFrom: [{prefix: CFG_, configMapRef: {name: config}}]
    env:
    - {name: COLOR, valueFrom: {configMapKeyRef: {name: config, key: color}}}
    - {name: PASSWORD, valueFrom: {secretKeyRef: {name: token, key: password}}}
    - {name: GREETING, value: "hello $(COLOR)"}
    - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: TIER, valueFrom: {fieldRef: {fieldPath: "metadata.labels['tier']"}}}
    - {name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory}}}
    - {name: OPTIONAL, valueFrom: {configMapKeyRef: {name: config, key: none, optional: true}}}
    resources: {limits: {memory: 32Mi, cpu: 500m}}
    volumeMounts:
    - {name: config, mountPath: /config}
    - {name: token, mountPath: /token, readOnly: true}
    - {name: scratch, mountPath: /scratch}
    - {name: memory, mountPath: /memory}
    readinessProbe: {exec: {command: [cat, /config/sub/app.conf]}}
  - name: side
    image: ` + toolsImage + `
    command: [sleep, "1000"]
    volumeMounts: [{name: scratch, mountPath: /shared}]
`})
	h.start()
	h.awaitOutcome("Pod", status.Succeeded)
	for _, c := range []struct{ command, want string }{
		{"echo $COLOR", "blue"}, {"echo $PASSWORD", "correct-horse"}, {"echo $GREETING", "hello blue"}, {"echo $POD", "main-pod"},
		{"echo $TIER", "front"}, {"echo $MEMORY", "33554432"}, {"echo $CFG_color", "blue"}, {"echo ${OPTIONAL-unset}", "unset"},
		{"echo $IP", h.pods("main-pod")[0].IP},
		{"cat /config/sub/app.conf", "listen 80"}, {"cat /token/password", "correct-horse"},
		{"hostname", "sea"}, {"pwd", "/www"}, {"id -u", "1000"}, {"id -g", "2000"},
		{"touch /scratch/file && ls /scratch", "file"}, {"touch /token/x 2>/dev/null || echo read-only", "read-only"},
		{"busybox grep ' /token ' /proc/mounts | busybox cut -d' ' -f1", "tmpfs"},
		{"busybox grep ' /memory ' /proc/mounts | busybox cut -d' ' -f1", "tmpfs"},
		{"cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max", "33554432"},
		{"busybox head -n 3 /etc/resolv.conf | busybox grep search", "search default.svc.cluster.local svc.cluster.local cluster.local"},
	} {
		if got, err := h.exec("main-pod", "sh", "-c", strings.ReplaceAll(c.command, "busybox", "/bin/busybox")); err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", c.command, got, err, c.want)
		}
	}
	if got := h.run("docker", "exec", h.container("main-pod", "side"), "ls", "/shared"); got != "file" {
		t.Errorf("the other container sees %q in the shared volume", got)
	}
	if out, _ := h.podyard("logs", "main-pod", "-c", "main"); strings.TrimSpace(out) != "blue $(NOT) hello blue" {
		t.Errorf("log: %q", out)
	}
	for _, args := range [][]string{{"show", "r1"}, {"status", "-o", "json"}, {"history", "-o", "json"}, {"render", h.work}, {"plan", h.work}} {
		if out, _ := h.podyard(args...); strings.Contains(out, "correct-horse") {
			t.Errorf("podyard %v shows a secret", args)
		}
	}
	if strings.Contains(h.log.String(), "correct-horse") {
		t.Error("the log shows a secret")
	}
}

// TestProbes: a liveness probe restarts, a startup probe is waited for, tcp and http ask from outside the container.
func TestProbes(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.commit("Probes", map[string]string{"pod.yaml": `apiVersion: v1
kind: Pod
metadata: {name: probed}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: ` + toolsImage + `
    command: [sh, -c, "sleep 1; exec httpd -f -p 80 -h /www"]
    ports: [{name: http, containerPort: 80}]
    startupProbe: {tcpSocket: {port: http}, periodSeconds: 1, failureThreshold: 20}
    readinessProbe: {httpGet: {path: /readyz, port: 80}, periodSeconds: 1}
    livenessProbe: {exec: {command: [sh, -c, "! cat /www/sick"]}, periodSeconds: 1, timeoutSeconds: 20, failureThreshold: 1}
`})
	h.start()
	h.awaitOutcome("Probes", status.Succeeded)
	if _, err := h.exec("probed", "sh", "-c", "echo > /www/sick"); err != nil {
		t.Fatal(err)
	}
	h.await("the liveness probe to restart the container", func() bool {
		p := h.pods("probed")
		return len(p) == 1 && p[0].Restarts == 1 && p[0].Health == status.Ready
	})
	if _, err := h.exec("probed", "sh", "-c", "/bin/busybox rm /www/readyz"); err != nil {
		t.Fatal(err)
	}
	h.await("the readiness probe to fail", func() bool {
		return strings.Contains(h.pods("probed")[0].Message, "readiness probe failed: HTTP") || strings.Contains(h.pods("probed")[0].Message, "404")
	})
}
