package e2e

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/podyard/podyard/status"
)

// TestTheDaemonInAContainer builds the Dockerfile on bases made of what is installed here, since no registry need be
// within reach, and has the daemon deploy from inside a container.
func TestTheDaemonInAContainer(t *testing.T) {
	t.Parallel()
	image := buildDaemonImage(t)
	t.Run("with the engine's socket and nothing else", func(t *testing.T) { t.Parallel(); overTheSocket(t, image) })
	t.Run("over TCP, with no file in common", func(t *testing.T) { t.Parallel(); overTCP(t, image) })
}

func buildDaemonImage(t *testing.T) string {
	h := newHost(t)
	build, base, image := h.instance+"-build:1", h.instance+"-base:1", h.instance+"-daemon:1"
	t.Cleanup(func() {
		h.run("docker", "image", "prune", "--force", "--filter", "label=podyard.dev/stage=build")
		h.run("docker", "rmi", "--force", build, base, image)
	})
	h.run("go", "mod", "download") // all that the build asks for: in the container there is no proxy
	h.importTree(build, `ENV PATH=/usr/local/go/bin:/bin GOROOT=/usr/local/go GOMODCACHE=/mod GOPROXY=off GOFLAGS=-mod=mod GOTOOLCHAIN=local HOME=/tmp`,
		goToolchain(t))
	h.importTree(base, "ENV PATH=/usr/bin:/bin", gitProgram(t))
	command := exec.Command("docker", "build", "--quiet", "--force-rm", "--no-cache", "--build-arg", "BUILD_BASE="+build, "--build-arg", "RUN_BASE="+base, "--tag", image, "..")
	command.Env = append(os.Environ(), "DOCKER_BUILDKIT=0")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("docker build: %v\n%s", err, out)
	}
	return image
}

func overTheSocket(t *testing.T, image string) {
	h := newHost(t)
	h.commit("Inside", map[string]string{"web.yaml": web(2, "--version=1"), "tools.yaml": tools})
	h.runContained(image, []string{"--volume", "/var/run/docker.sock:/var/run/docker.sock", "--volume", h.repo + ":/repo:ro"}, "--repo", "/repo")
	h.awaitContained("Inside")
	if out, err := h.execRaw("tools", "/podyard", "hello", "get", "http://web/"); err != nil || !strings.Contains(out, `"version":"1"`) {
		t.Errorf("the Service answers %q, %v", out, err)
	}
	if got := h.run("docker", "exec", h.contained(), "git", "--version"); !strings.HasPrefix(got, "git version") {
		t.Errorf("git in the image says %q", got)
	}
}

// overTCP has the daemon reach engine and repository over the network alone, and bring every kind of volume, probe, hook
// and container into a pod; then a push updates it, and the engine restarts with the daemon on it.
func overTCP(t *testing.T, image string) {
	h := newHost(t)
	const address = "172.31.254.1" // of the engine's host in its bridge, which nobody else can reach
	tcp := []string{"--bip", address + "/24", "--host", "tcp://0.0.0.0:2375", "--tls=false"}
	h.ownEngine([]string{image, toolsImage}, tcp...)
	repository := h.serveGit(address)
	h.run("docker", "volume", "create", "podyard")
	h.commit("First", map[string]string{"pod.yaml": everything("one", filepath.Dir(h.repo))})
	h.runContained(image, []string{"--restart", "always", "--env", "DOCKER_HOST=tcp://" + address + ":2375", "--volume", "podyard:/var/lib/podyard"},
		"--repo", repository, "--interval", "1s")
	h.awaitContained("First")
	h.expectEverything("one")
	h.commit("Second", map[string]string{"pod.yaml": everything("two", filepath.Dir(h.repo))})
	h.awaitContained("Second")
	h.expectEverything("two")
	h.restartEngine(syscall.SIGTERM, tcp...)
	h.await("the pod to serve again", func() bool {
		return h.command("docker", "exec", h.mainContainer(), "wget", "-q", "-O", "/dev/null", "http://web/readyz").Run() == nil
	})
	h.expectEverything("two")
	h.commit("Third", map[string]string{"pod.yaml": everything("three", filepath.Dir(h.repo))})
	h.awaitContained("Third")
	h.expectEverything("three")
}

// everything is a Deployment with what the daemon has to bring to the engine.
func everything(word, onHost string) string {
	return `apiVersion: v1
kind: ConfigMap
metadata: {name: word}
data: {word: ` + word + `}
---
apiVersion: v1
kind: Secret
metadata: {name: token}
stringData: {password: correct-horse-` + word + `}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  strategy: {type: Recreate}
  template:
    metadata: {labels: {app: web, word: ` + word + `}}
    spec:
      terminationGracePeriodSeconds: 3
      volumes:
      - {name: word, configMap: {name: word}}
      - {name: token, secret: {secretName: token}}
      - {name: scratch, emptyDir: {}}
      - {name: memory, emptyDir: {medium: Memory}}
      - {name: host, hostPath: {path: "` + onHost + `", type: Directory}}
      - {name: data, persistentVolumeClaim: {claimName: data}}
      - name: all
        projected:
          sources:
          - configMap: {name: word}
          - downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: "metadata.labels['word']"}}]}
      initContainers:
      - name: prepare
        image: ` + toolsImage + `
        command: [sh, -c, "cat /word/word > /scratch/prepared"]
        volumeMounts: [{name: word, mountPath: /word}, {name: scratch, mountPath: /scratch}]
      containers:
      - name: main
        image: ` + toolsImage + `
        command: [httpd, -f, -p, "80", -h, /www]
        volumeMounts:
        - {name: word, mountPath: /word}
        - {name: token, mountPath: /token}
        - {name: scratch, mountPath: /scratch}
        - {name: memory, mountPath: /memory}
        - {name: host, mountPath: /host, readOnly: true}
        - {name: data, mountPath: /data}
        - {name: all, mountPath: /all}
        lifecycle:
          postStart: {exec: {command: [sh, -c, "echo started > /memory/hook"]}}
          preStop: {exec: {command: [sh, -c, "cat /word/word >> /data/stopped"]}}
        startupProbe: {exec: {command: [cat, /memory/hook]}, periodSeconds: 1, timeoutSeconds: 10}
        livenessProbe: {tcpSocket: {port: 80}}
        readinessProbe: {httpGet: {path: /readyz, port: 80}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
`
}

// expectEverything looks into the pod of a commit.
func (h *host) expectEverything(word string) {
	h.Helper()
	id := h.mainContainer()
	for path, want := range map[string]string{
		"/word/word": word, "/token/password": "correct-horse-" + word, "/scratch/prepared": word, "/memory/hook": "started",
		"/all/word": word, "/all/labels": word,
	} {
		if got := h.run("docker", "exec", id, "cat", path); got != want {
			h.Errorf("%s holds %q, want %q", path, got, want)
		}
	}
	if before := map[string]string{"two": "one", "three": "onetwo"}[word]; before != "" {
		if got := h.run("docker", "exec", id, "cat", "/data/stopped"); got != before {
			h.Errorf("the claim's volume holds %q, want %q", got, before)
		}
	}
	h.run("docker", "exec", id, "ls", "/host/"+filepath.Base(h.repo))
	h.run("docker", "exec", id, "wget", "-q", "-O", "/dev/null", "http://web.default.svc.cluster.local/readyz")
}

// mainContainer is the only running container main; empty if there is none.
func (h *host) mainContainer() string {
	h.Helper()
	return h.run("docker", "ps", "--quiet", "--filter", "label=podyard.dev/instance="+h.instance, "--filter", "label=io.kubernetes.container.name=main")
}

// contained is the name of the container in which the daemon runs.
func (h *host) contained() string { return h.instance + "-daemon" }

func (h *host) runContained(image string, options []string, flags ...string) {
	h.Helper()
	h.Cleanup(func() {
		if h.Failed() {
			h.Logf("the daemon in the container said:\n%s", h.run("docker", "logs", h.contained()))
		}
		h.run("docker", "rm", "--force", "--volumes", h.contained())
	})
	args := append([]string{"run", "--detach", "--name", h.contained()}, options...)
	h.run("docker", append(append(args, image, "run", "--instance", h.instance), flags...)...)
}

// awaitContained waits until the daemon in the container says that a commit has succeeded.
func (h *host) awaitContained(subject string) {
	h.Helper()
	h.await("the daemon in the container to deploy "+subject, func() bool {
		out, err := h.command("docker", "exec", h.contained(), "/podyard", "status", "--output", "json").Output()
		var s status.Snapshot
		return err == nil && json.Unmarshal(out, &s) == nil && len(s.Revisions) > 0 &&
			s.Revisions[0].Commit.Subject == subject && s.Revisions[0].Outcome == status.Succeeded
	})
}

// serveGit serves the repository over HTTP in the network of the host's own engine, and returns its URL there.
func (h *host) serveGit(address string) string {
	h.Helper()
	root := h.TempDir()
	script := "#!/bin/sh\nGIT_PROJECT_ROOT=" + filepath.Dir(h.repo) + " GIT_HTTP_EXPORT_ALL=1 exec git http-backend\n"
	if err := os.Mkdir(filepath.Join(root, "cgi-bin"), 0o755); err != nil {
		h.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "cgi-bin", "git"), []byte(script), 0o755); err != nil {
		h.Fatal(err)
	}
	// It ends with the engine.
	if err := h.engine.Inside("busybox", "httpd", "-f", "-p", address+":8418", "-h", root).Start(); err != nil {
		h.Fatal(err)
	}
	return "http://" + address + ":8418/cgi-bin/git/" + filepath.Base(h.repo)
}

// tree is what goes into an image: paths here by paths there. A directory goes in with all that is below it.
type tree map[string]string

// goToolchain is Go, the modules that are here already, and a shell.
func goToolchain(t *testing.T) tree {
	return tree{"usr/local/go": goEnv(t, "GOROOT"), "mod": goEnv(t, "GOMODCACHE"), "bin/sh": "/bin/busybox"}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// gitProgram is git with the libraries that it needs.
func gitProgram(t *testing.T) tree {
	t.Helper()
	out, err := exec.Command("ldd", "/usr/bin/git").Output()
	if err != nil {
		t.Fatalf("ldd: %v", err)
	}
	files := tree{"usr/bin/git": "/usr/bin/git"}
	for field := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(field, "/") {
			files[strings.TrimPrefix(field, "/")] = field
		}
	}
	return files
}

// importTree streams files into an image.
func (h *host) importTree(ref, change string, files tree) {
	h.Helper()
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(writeTree(writer, files)) }()
	command := exec.Command("docker", "import", "--change", change, "-", ref)
	command.Stdin = reader
	if out, err := command.CombinedOutput(); err != nil {
		h.Fatalf("import %s: %v\n%s", ref, err, out)
	}
}

func writeTree(w io.Writer, files tree) error {
	archive := tar.NewWriter(w)
	if err := archive.WriteHeader(&tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}); err != nil {
		return err
	}
	for to, from := range files {
		resolved, err := filepath.EvalSymlinks(from)
		if err != nil {
			return err
		}
		err = filepath.WalkDir(resolved, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(resolved, path)
			if err != nil {
				return err
			}
			return addFile(archive, path, filepath.ToSlash(filepath.Join(to, rel)), d)
		})
		if err != nil {
			return fmt.Errorf("archive %s: %w", from, err)
		}
	}
	return archive.Close()
}

func addFile(archive *tar.Writer, path, name string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil || !(info.Mode().IsRegular() || info.IsDir()) {
		return err
	}
	header, err := tar.FileInfoHeader(info, "")
	if err != nil {
		return err
	}
	header.Name = name
	if info.IsDir() {
		header.Name += "/"
		header.Mode |= 0o700
	}
	if err := archive.WriteHeader(header); err != nil || info.IsDir() {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(archive, file)
	return err
}
