package e2e

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// binary is podyard, built once for all tests.
var binary string

// Images of this run of the tests: another one beside it has its own. hello holds podyard itself, as a web server: podyard
// hello. tools holds busybox, the program server, and scripts that stand in for the programs of other people's manifests.
var (
	helloImage = fmt.Sprintf("podyard-e2e-hello:%d", os.Getpid())
	toolsImage = fmt.Sprintf("podyard-e2e-tools:%d", os.Getpid())
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if out, err := exec.Command("docker", "version").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "the end-to-end tests need a Docker engine: %v\n%s", err, out)
		return 1
	}
	dir, err := os.MkdirTemp("", "podyard-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-o", dir, "../cmd/podyard", "./server")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build podyard: %v\n%s", err, out)
		return 1
	}
	binary = filepath.Join(dir, "podyard")
	if err := makeImages(filepath.Join(dir, "server")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer exec.Command("docker", "rmi", "--force", helloImage, toolsImage).Run()
	return m.Run()
}

func makeImages(serverBinary string) error {
	podyard, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	server, err := os.ReadFile(serverBinary)
	if err != nil {
		return err
	}
	if err := importImage(helloImage, []file{{"podyard", podyard, 0o755}}, `ENTRYPOINT ["/podyard"]`); err != nil {
		return err
	}
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return fmt.Errorf("the tests need Debian's busybox-static: %w", err)
	}
	files := []file{{"bin/busybox", busybox, 0o755}, {"bin/server", server, 0o755}, {"www/healthz", []byte("ok\n"), 0o644}, {"www/readyz", []byte("ok\n"), 0o644}, {"www/health", []byte("ok\n"), 0o644}}
	applets, err := exec.Command("/bin/busybox", "--list").Output()
	if err != nil {
		return fmt.Errorf("list what busybox can do: %w", err)
	}
	for _, applet := range strings.Fields(string(applets)) {
		if applet != "busybox" {
			files = append(files, file{"bin/" + applet, []byte("#!/bin/busybox sh\nexec /bin/busybox " + applet + " \"$@\"\n"), 0o755})
		}
	}
	for name, script := range standIns {
		files = append(files, file{"bin/" + name, []byte("#!/bin/busybox sh\n" + script), 0o755})
	}
	files = append(files, file{"podinfo", []byte("#!/bin/busybox sh\n" + standIns["podinfo"]), 0o755})
	return importImage(toolsImage, files, `CMD ["/bin/busybox", "httpd", "-f", "-p", "80", "-h", "/www"]`)
}

// standIns do what the manifests of the corpus ask of podinfo and redis, as far as probes see.
var standIns = map[string]string{
	"podinfo":      `for a; do case $a in --port=*) p=${a#--port=};; esac; done; exec /bin/busybox httpd -f -p "$p" -h /www` + "\n",
	"podcli":       `exec /bin/busybox wget -q -O /dev/null "http://$3"` + "\n",
	"redis-server": `exec /bin/busybox httpd -f -p 6379 -h /www` + "\n",
	"redis-cli":    `exec /bin/busybox wget -q -O /dev/null http://127.0.0.1:6379/healthz` + "\n",
}

type file struct {
	name string
	data []byte
	mode int64
}

// importImage makes an image of a few files, without a registry.
func importImage(ref string, files []file, change string) error {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, dir := range []string{"tmp/", "etc/", "proc/", "sys/", "dev/"} {
		if err := w.WriteHeader(&tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o1777}); err != nil {
			return err
		}
	}
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.data))}); err != nil {
			return err
		}
		if _, err := w.Write(f.data); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	command := exec.Command("docker", "import", "--change", change, "--change", "ENV PATH=/bin", "-", ref)
	command.Stdin = &archive
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("import image %s: %w: %s", ref, err, out)
	}
	return nil
}
