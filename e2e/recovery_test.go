package e2e

import (
	"errors"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podyard/podyard/e2e/engine"
	"github.com/podyard/podyard/status"
)

// serving is a Deployment whose pods serve a ConfigMap over HTTP, and hold a Secret and an emptyDir in memory.
var serving = `apiVersion: v1
kind: ConfigMap
metadata: {name: pages}
data: {index.html: "blue\n"}
---
apiVersion: v1
kind: Secret
metadata: {name: token}
stringData: {password: correct-horse}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      volumes:
      - {name: pages, configMap: {name: pages}}
      - {name: token, secret: {secretName: token, defaultMode: 0444}}
      - {name: memory, emptyDir: {medium: Memory}}
      containers:
      - name: main
        image: ` + toolsImage + `
        command: [httpd, -f, -p, "80", -h, /pages]
        volumeMounts: [{name: pages, mountPath: /pages}, {name: token, mountPath: /token}, {name: memory, mountPath: /memory}]
        readinessProbe: {httpGet: {port: 80}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80}]}
`

// harm is something that happens to the engine or to what runs on it.
type harm struct {
	name string
	do   func(h *host)
	// forgets: what was in memory may be gone, as after a restart of the machine.
	forgets bool
}

// harms each take another pod: a container that fails twice waits before it starts again.
var harms = []harm{
	{name: "kill -9 of an app container", do: func(h *host) { h.killContainer(h.pods("web-")[0].Name, "main") }},
	{name: "kill -9 of a sandbox", do: func(h *host) { h.killContainer(h.pods("web-")[1].Name, "POD") }},
	{name: "kill -9 of the gateway's agent", do: func(h *host) { h.killRole("gateway-agent") }},
	{name: "kill -9 of a publication", do: func(h *host) { h.killRole("publication") }},
	{name: "kill -9 of the gateway's holder", do: func(h *host) { h.killRole("gateway-holder") }},
	// From Docker 24 on one shim serves the whole pod: when it dies, nothing keeps the pod's memory mounted.
	{"kill -9 of an app container's shim", func(h *host) { h.killShim(h.pods("web-")[2].Name, "main") }, true},
	{"kill -9 of a sandbox's shim", func(h *host) { h.killShim(h.pods("web-")[0].Name, "POD") }, true},
}

// TestEveryPodServesAgain, without a person, under the address it had, with the files it had.
func TestEveryPodServesAgain(t *testing.T) {
	t.Parallel()
	restart := func(signal syscall.Signal, flags ...string) func(*host) {
		return func(h *host) { h.restartEngine(signal, flags...) }
	}
	away := func(flags ...string) func(*host) {
		return func(h *host) {
			h.stop(syscall.SIGKILL)
			h.restartEngine(syscall.SIGTERM, flags...)
			time.Sleep(2 * time.Second)
			h.start()
		}
	}
	t.Run("without live-restore", func(t *testing.T) {
		t.Parallel()
		h := newServingHost(t)
		for _, c := range append(slices.Clone(harms),
			harm{"restart of the engine", restart(syscall.SIGTERM), true},
			harm{"kill -9 of the engine", restart(syscall.SIGKILL), true},
			harm{"restart of the engine while the daemon is away", away(), true},
		) {
			h.survives(c)
		}
	})
	t.Run("with live-restore", func(t *testing.T) {
		t.Parallel()
		const live = "--live-restore"
		h := newServingHost(t, live)
		for _, c := range append([]harm{
			{"restart of the engine", restart(syscall.SIGTERM, live), false},
			{"kill -9 of the engine", restart(syscall.SIGKILL, live), false},
			{"restart of the engine while the daemon is away", away(live), false},
		}, harms...) {
			h.survives(c)
		}
	})
}

// newServingHost is a host with an engine of its own on which every pod serves.
func newServingHost(t *testing.T, flags ...string) *host {
	h := newHost(t)
	h.ownEngine([]string{toolsImage}, flags...)
	h.commit("Serve", map[string]string{"web.yaml": serving})
	h.start()
	h.awaitOutcome("Serve", status.Succeeded)
	h.note()
	return h
}

// ownEngine gives the host an engine of its own with some of the images of the machine's.
func (h *host) ownEngine(images []string, flags ...string) {
	h.Helper()
	own, err := engine.New()
	if err != nil {
		h.Fatal(err)
	}
	h.engine = own
	if err := own.Start(flags...); err != nil {
		h.Fatal(err)
	}
	save, load := exec.Command("docker", append([]string{"save"}, images...)...), h.command("docker", "load")
	if load.Stdin, err = save.StdoutPipe(); err == nil {
		err = errors.Join(save.Start(), load.Run(), save.Wait())
	}
	if err != nil {
		h.Fatalf("copy %v to an engine of its own: %v", images, err)
	}
}

// note leaves a word in the memory of every pod.
func (h *host) note() {
	for _, p := range h.pods("web-") {
		if _, err := h.execRaw(p.Name, "sh", "-c", "echo noted > /memory/note"); err != nil {
			h.Error(err)
		}
	}
}

// survives does harm and checks that all is as before, and says how long it took.
func (h *host) survives(c harm) {
	h.Run(c.name, func(t *testing.T) {
		outer := h.T
		h.T = t
		defer func() { h.T = outer }()
		before := h.addresses()
		settled := func() bool { return h.allReady(len(before) - 1) }
		// By the host's own address the kernel leads to the Service, by 127.0.0.1 the engine's proxy does.
		asked := append(slices.Collect(maps.Values(before)), "127.0.0.1", h.bridge())
		out, err := h.engine.Outage(asked, func() error { c.do(h); return nil }, settled)
		if err != nil {
			status, _ := h.podyard("status")
			t.Fatalf("%v\n%s", err, status)
		}
		t.Logf("%-50s %6.2f s without an answer from every pod and Service", c.name, out.Seconds())
		if after := h.addresses(); !maps.Equal(before, after) {
			t.Errorf("addresses were %v and are %v", before, after)
		}
		for _, p := range h.pods("web-") {
			got, err := h.execRaw(p.Name, "sh", "-c", "echo $(cat /pages/index.html) $(cat /token/password)")
			if want := "blue correct-horse"; err != nil || strings.TrimSpace(got) != want {
				t.Errorf("pod %s holds %q, %v; want %q", p.Name, got, err, want)
			}
			if got, err := h.execRaw(p.Name, "cat", "/memory/note"); err != nil && !c.forgets {
				t.Errorf("pod %s has lost what was in memory: %v %s", p.Name, err, got)
			}
		}
		h.note()
	})
}

// addresses are those of the pods and of the Service, by name.
func (h *host) addresses() map[string]string {
	out := map[string]string{}
	for _, p := range h.pods("web-") {
		out[p.Name] = p.IP
	}
	for name := range out {
		found, err := h.execRaw(name, "nslookup", "web.default.svc.cluster.local")
		if err != nil {
			h.Fatalf("look up the Service: %v\n%s", err, found)
		}
		fields := strings.Fields(found)
		out["Service"] = fields[len(fields)-1]
		break
	}
	return out
}

// bridge is the host's address in the pod network.
func (h *host) bridge() string {
	network := h.run("docker", "network", "ls", "--quiet", "--filter", "label=podyard.dev/role=network")
	return h.run("docker", "network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", network)
}

// allReady: there are so many pods, and each is ready.
func (h *host) allReady(want int) bool {
	pods := h.pods("web-")
	return len(pods) == want && !slices.ContainsFunc(pods, func(p status.Pod) bool { return p.Health != status.Ready })
}

func (h *host) restartEngine(signal syscall.Signal, flags ...string) {
	h.Helper()
	if err := h.engine.Stop(signal); err != nil {
		h.Fatal(err)
	}
	if err := h.engine.Start(flags...); err != nil {
		h.Fatal(err)
	}
}

func (h *host) killContainer(pod, name string) {
	h.kill(h.container(pod, name), h.engine.Kill)
}

func (h *host) killShim(pod, name string) {
	h.kill(h.container(pod, name), h.engine.KillParent)
}

// killRole kills the only container of a role.
func (h *host) killRole(role string) {
	h.kill(h.run("docker", "ps", "--quiet", "--filter", "label=podyard.dev/role="+role), h.engine.Kill)
}

func (h *host) kill(id string, kill func(pid int) error) {
	h.Helper()
	pid, err := strconv.Atoi(h.run("docker", "inspect", "--format", "{{.State.Pid}}", id))
	if err == nil {
		err = kill(pid)
	}
	if err != nil {
		h.Fatal(err)
	}
}
