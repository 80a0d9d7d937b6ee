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
	"testing"

	"github.com/podyard/podyard/status"
)

// TestTheDaemonInAContainer builds the Dockerfile on bases made of what is installed here, since no registry need be
// within reach, and has the daemon deploy from inside a container that has the engine's socket and nothing else.
func TestTheDaemonInAContainer(t *testing.T) {
	t.Parallel()
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

	h.commit("Inside", map[string]string{"web.yaml": web(2, "--version=1"), "tools.yaml": tools})
	daemon := h.instance + "-daemon"
	t.Cleanup(func() { h.run("docker", "rm", "--force", "--volumes", daemon) })
	h.run("docker", "run", "--detach", "--name", daemon, "--volume", "/var/run/docker.sock:/var/run/docker.sock",
		"--volume", h.repo+":/repo:ro", image, "run", "--repo", "/repo", "--instance", h.instance)
	var snapshot status.Snapshot
	h.await("the daemon in the container to deploy", func() bool {
		out, err := exec.Command("docker", "exec", daemon, "/podyard", "status", "--output", "json").Output()
		snapshot = status.Snapshot{}
		return err == nil && json.Unmarshal(out, &snapshot) == nil && len(snapshot.Revisions) > 0 && snapshot.Revisions[0].Outcome == status.Succeeded
	})
	if out, err := h.execRaw("tools", "/podyard", "hello", "get", "http://web/"); err != nil || !strings.Contains(out, `"version":"1"`) {
		t.Errorf("the Service answers %q, %v", out, err)
	}
	if got := h.run("docker", "exec", daemon, "git", "--version"); !strings.HasPrefix(got, "git version") {
		t.Errorf("git in the image says %q", got)
	}
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
