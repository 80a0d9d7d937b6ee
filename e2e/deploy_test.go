package e2e

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podyard/podyard/status"
)

// web is a Deployment of the hello server with its Service.
func web(replicas int, args string) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: %d
  progressDeadlineSeconds: 120
  strategy: {rollingUpdate: {maxUnavailable: 0}}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: main
        image: %s
        args: [hello, %s]
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /readyz, port: http}, periodSeconds: 2}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: http}]
`, replicas, helloImage, args)
}

// tools is a pod from which the tests ask Services.
var tools = `apiVersion: v1
kind: Pod
metadata: {name: tools, labels: {app: tools}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: ` + helloImage + `, args: [hello]}]
`

func TestAPushDeploysAndARevertRollsBack(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.commit("First", map[string]string{"web.yaml": web(2, "--version=1"), "tools.yaml": tools})
	h.start()
	first := h.awaitOutcome("First", status.Succeeded)
	h.expectVersion("1")
	if first.Number != 1 || first.Images[helloImage] == "" || len(first.Changes) != 3 {
		t.Errorf("first revision: %+v", first)
	}

	h.commit("Second", map[string]string{"web.yaml": web(2, "--version=2")})
	h.awaitOutcome("Second", status.Succeeded)
	h.expectVersion("2")

	h.git(h.work, "revert", "--no-edit", "HEAD")
	h.push()
	h.awaitOutcome(`Revert "Second"`, status.Succeeded)
	h.expectVersion("1")

	h.commit("Only tools"+approved, map[string]string{"web.yaml": ""})
	h.awaitOutcome("Only tools", status.Succeeded)
	h.await("web to be pruned", func() bool { return len(h.pods("web-")) == 0 })
	if len(h.pods("tools")) != 1 {
		t.Error("the pod that stayed in the commit is gone")
	}
}

// expectVersion asks the Service by each of its names.
func (h *host) expectVersion(version string) {
	h.Helper()
	for _, name := range []string{"web", "web.default", "web.default.svc", "web.default.svc.cluster.local"} {
		out, err := h.exec("tools", "/podyard", "hello", "get", "http://"+name+"/")
		if err != nil || !strings.Contains(out, `"version":"`+version+`"`) {
			h.Errorf("http://%s answers %q, %v; want version %s", name, out, err, version)
		}
	}
}

func TestABadCommitChangesNothing(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.commit("Good", map[string]string{"web.yaml": web(1, "--version=1"), "tools.yaml": tools})
	h.start()
	h.awaitOutcome("Good", status.Succeeded)
	before := h.pods("web-")[0].Name

	h.commit("Unknown field", map[string]string{"web.yaml": strings.Replace(web(1, "--version=2"), "replicas:", "replica:", 1)})
	refused := h.awaitOutcome("Unknown field", status.Refused)
	if want := "web.yaml:6: spec.replica: unknown field"; !strings.Contains(refused.Message, want) {
		t.Errorf("refused with %q, want %q", refused.Message, want)
	}
	out, _ := h.podyard("status")
	if !strings.Contains(out, "web.yaml:6") {
		t.Errorf("podyard status does not say where the mistake is:\n%s", out)
	}

	h.commit("No such image", map[string]string{"web.yaml": strings.Replace(web(1, "--version=2"), helloImage, "127.0.0.1:1/nothing:1", 1)})
	h.await("the pull to fail", func() bool {
		return strings.Contains(h.snapshot().Sources[0].State, "ImagePullBackOff")
	})
	h.expectVersion("1")

	h.commit("Never ready", map[string]string{"web.yaml": strings.Replace(web(1, "--version=2, --broken"), "progressDeadlineSeconds: 120", "progressDeadlineSeconds: 8", 1)})
	h.await("the broken version to be rolled back", func() bool {
		last := h.snapshot().Revisions
		return last[1].Commit.Subject == "Never ready" && last[1].Outcome == status.RolledBack && last[0].Outcome == status.Succeeded
	})
	h.expectVersion("1")
	h.await("the broken pod to go", func() bool { return len(h.pods("web-")) == 1 })
	if out, _ := h.podyard("status"); !strings.Contains(out, "failed and was rolled back to r") || !strings.Contains(out, "Deployment default/web: made no progress for 8 s") {
		t.Errorf("podyard status does not say what was rolled back, and why:\n%s", out)
	}

	h.commit("Good again", map[string]string{"web.yaml": web(1, "--version=1")})
	h.awaitOutcome("Good again", status.Succeeded)
	if now := h.pods("web-"); now[0].Name != before {
		t.Errorf("the pod that served all the time was replaced by %s", now[0].Name)
	}
}

func TestRollbackHoldsUntilTheNextCommitOrResume(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.commit("One", map[string]string{"web.yaml": web(1, "--version=1"), "tools.yaml": tools})
	h.start("--interval", "1s")
	h.awaitOutcome("One", status.Succeeded)
	h.commit("Two", map[string]string{"web.yaml": web(1, "--version=2")})
	h.awaitOutcome("Two", status.Succeeded)

	if out, code := h.podyard("rollback", "r1", "--reason", "two is slow"); code != 0 {
		t.Fatalf("rollback: %s", out)
	}
	h.awaitOutcome("One", status.Succeeded)
	h.expectVersion("1")
	time.Sleep(3 * time.Second) // polls pass by
	h.expectVersion("1")
	if out, _ := h.podyard("status"); !strings.Contains(out, "held at r3") || !strings.Contains(out, "two is slow") {
		t.Errorf("podyard status does not say what is held, and why:\n%s", out)
	}

	h.stop(syscall.SIGKILL)
	h.start("--interval", "1s")
	time.Sleep(2 * time.Second)
	h.expectVersion("1")

	if out, code := h.podyard("resume"); code != 0 {
		t.Fatalf("resume: %s", out)
	}
	h.awaitOutcome("Two", status.Succeeded)
	h.expectVersion("2")

	if out, code := h.podyard("rollback", "r1"); code != 0 {
		t.Fatalf("rollback: %s", out)
	}
	h.awaitOutcome("One", status.Succeeded)
	h.commit("Three", map[string]string{"web.yaml": web(1, "--version=3")})
	h.awaitOutcome("Three", status.Succeeded)
	h.expectVersion("3")
}

func TestWhatIsBrokenBehindTheBackComesBack(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.commit("Start", map[string]string{"web.yaml": web(2, "--version=1"), "tools.yaml": tools})
	h.start()
	h.awaitOutcome("Start", status.Succeeded)
	healed := func(what string) {
		t.Helper()
		h.await("two ready pods after "+what, func() bool {
			ready := 0
			for _, p := range h.pods("web-") {
				if p.Health == status.Ready {
					ready++
				}
			}
			return ready == 2 && len(h.pods("web-")) == 2
		})
		h.expectVersion("1")
	}
	pod := h.pods("web-")[0].Name
	h.run("docker", "kill", h.container(pod, "main"))
	h.await("the restart", func() bool { return h.pods("web-")[0].Restarts+h.pods("web-")[1].Restarts == 1 })
	healed("a container was killed")

	h.run("docker", "rm", "--force", h.container(h.pods("web-")[0].Name, "main"))
	healed("a container was removed")

	h.run("docker", "kill", h.container(h.pods("web-")[1].Name, "POD"))
	healed("a sandbox was killed")

	h.run("docker", "rm", "--force", h.container(h.pods("web-")[1].Name, "POD"))
	h.await("the pod to be replaced", func() bool { return h.pods("web-")[0].Restarts+h.pods("web-")[1].Restarts >= 0 })
	healed("a sandbox was removed")
}

// TestNothingForeignIsTouched: containers, networks and volumes that are not ours, with names like ours, stay.
func TestNothingForeignIsTouched(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	other := h.instance + "-foreign"
	h.run("docker", "network", "create", other)
	t.Cleanup(func() { h.run("docker", "network", "rm", other) })
	h.run("docker", "volume", "create", other)
	t.Cleanup(func() { h.run("docker", "volume", "rm", other) })
	h.run("docker", "run", "--detach", "--name", other, "--label", "io.kubernetes.pod.name=web", "--volume", other+":/data", toolsImage)
	t.Cleanup(func() { h.run("docker", "rm", "--force", other) })
	h.commit("One", map[string]string{"web.yaml": web(1, "--version=1")})
	h.start()
	h.awaitOutcome("One", status.Succeeded)
	h.commit("None"+approved, map[string]string{"web.yaml": "", "tools.yaml": tools})
	h.awaitOutcome("None", status.Succeeded)
	if out, code := h.podyard("down", "--volumes", "--instance", h.instance); code != 0 {
		t.Fatal(out)
	}
	if got := h.run("docker", "inspect", "--format", "{{.State.Running}}", other); got != "true" {
		t.Errorf("the foreign container does not run any more: %s", got)
	}
	h.run("docker", "network", "inspect", other)
	h.run("docker", "volume", "inspect", other)
}

// TestTheDaemonMayBeKilledAtAnyMoment: SIGKILL again and again in the middle of rollouts; each is finished by the next
// daemon, and the Service answers all the time.
func TestTheDaemonMayBeKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.commit("v0", map[string]string{"web.yaml": web(3, "--version=0"), "tools.yaml": tools})
	h.start()
	h.awaitOutcome("v0", status.Succeeded)
	for i, after := range []time.Duration{0, 150, 300, 500, 800, 1200} {
		version := fmt.Sprint(i + 1)
		h.commit("v"+version, map[string]string{"web.yaml": web(3, "--version="+version)})
		time.Sleep(after * time.Millisecond)
		h.stop(syscall.SIGKILL)
		if out, err := h.execRaw("tools", "/podyard", "hello", "get", "http://web/"); err != nil {
			t.Errorf("killed %v after the push: the Service does not answer: %v %s", after*time.Millisecond, err, out)
		}
		h.start()
		h.awaitOutcome("v"+version, status.Succeeded)
		h.expectVersion(version)
	}
}

// execRaw is exec without a daemon to ask.
func (h *host) execRaw(pod string, command ...string) (string, error) {
	out, err := h.command("docker", append([]string{"exec", h.container(pod, "main")}, command...)...).CombinedOutput()
	return string(out), err
}

// TestNoCredentialIsShown: a password in the repository's URL appears in no log, page or listing.
func TestNoCredentialIsShown(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.start("--repo", "https://user:canary-password@127.0.0.1:1/app.git", "--verbose")
	h.await("a fetch to fail", func() bool { return h.snapshot().Sources[0].FetchError != "" })
	text, _ := h.podyard("status")
	asJSON, _ := h.podyard("status", "-o", "json")
	page := h.page()
	h.stop(syscall.SIGTERM)
	if shown := text + asJSON + page + h.log.String(); strings.Contains(shown, "canary") || !strings.Contains(shown, "127.0.0.1:1/app.git") {
		t.Errorf("a password is shown, or the repository is not:\n%s", shown)
	}
}

// page fetches the status page.
func (h *host) page() string {
	h.Helper()
	address := regexp.MustCompile(`status page: (http://\S+)`)
	h.await("the status page", func() bool { return address.MatchString(h.log.String()) })
	response, err := http.Get(address.FindStringSubmatch(h.log.String())[1])
	if err != nil {
		h.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		h.Fatalf("the status page answers %s, %v", response.Status, err)
	}
	return string(text)
}
