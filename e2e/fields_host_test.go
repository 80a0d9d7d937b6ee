package e2e

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

// hostWord finds what stories write for things in which hosts, and runs of the test, differ:
//
//	HOSTDIR        a directory of the host, the story's own, writable for everyone
//	SHAREDDIR      the same on a mount of its own, which is shared
//	HOSTPORT1 …    free ports of the host, the story's own
//	HOSTADDRESS    an address of the host at which containers reach it
//	NODENAME       the name of the host
//	NAMESPACE      of the story
//	INSTANCE       of the daemon
//	REGISTRY       a registry that wants user "tester" with password "open-sesame", and has the image tools:1
//	TOOLSIMAGE     the image that is called tools in manifests
//	ADOPTED        a Docker volume that the daemon has not made, with "kept" in the file data
var hostWord = regexp.MustCompile(`HOSTDIR|SHAREDDIR|HOSTPORT[0-9]?|HOSTADDRESS|NODENAME|NAMESPACE|INSTANCE|REGISTRY|TOOLSIMAGE|ADOPTED`)

// seccompProfile forbids to make directories.
const seccompProfile = `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}`

// fieldFlags are what the daemon is told for the stories' sake.
func (h *host) fieldFlags() []string {
	profiles := filepath.Join(h.TempDir(), "seccomp")
	if err := os.MkdirAll(profiles, 0o755); err != nil {
		h.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(profiles, "no-mkdir.json"), []byte(seccompProfile), 0o644); err != nil {
		h.Fatal(err)
	}
	return []string{"--seccomp-profile-root", profiles, "--node-label", "example.com/disk=ssd", "--pod-pids-limit", "500"}
}

// writeCommands makes the programs podyard, which talks to this host's daemon, and root, which runs a command as that.
func (h *host) writeCommands() {
	h.commands = h.TempDir()
	for name, script := range map[string]string{
		"podyard": fmt.Sprintf("exec %s --data-dir %s \"$@\"\n", binary, h.data),
		"root":    `test "$(id -u)" = 0 && exec "$@"; exec sudo --non-interactive "$@"` + "\n",
	} {
		if err := os.WriteFile(filepath.Join(h.commands, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			h.Fatal(err)
		}
	}
}

// hostWords makes what stories find on the host, and tells what their words stand for. adopted is the name of a volume.
func (h *host) hostWords(adopted string) func(namespace, word string) string {
	words := map[string]string{
		"HOSTADDRESS": h.run("docker", "run", "--rm", toolsImage, "sh", "-c", "ip route | awk '/^default/ {print $3}'"),
		"NODENAME":    h.run("docker", "info", "--format", "{{.Name}}"), "INSTANCE": h.instance, "ADOPTED": adopted, "TOOLSIMAGE": toolsImage, "REGISTRY": h.privateRegistry(),
	}
	dir := h.TempDir()
	return func(namespace, word string) string {
		own := namespace + "/" + word
		switch {
		case words[word] != "":
			return words[word]
		case word == "NAMESPACE":
			return namespace
		case words[own] != "":
		case word == "HOSTDIR":
			words[own] = h.openDirectory(filepath.Join(dir, namespace))
		case word == "SHAREDDIR":
			words[own] = h.sharedDirectory(filepath.Join(dir, namespace))
		default:
			words[own] = h.freePort()
		}
		return words[own]
	}
}

// sharedDirectory is a directory on a mount that passes on what is mounted below it.
func (h *host) sharedDirectory(path string) string {
	h.openDirectory(path)
	asRoot := filepath.Join(h.commands, "root")
	h.run(asRoot, "mount", "--bind", path, path)
	h.Cleanup(func() { h.run(asRoot, "umount", "--recursive", "--lazy", path) })
	h.run(asRoot, "mount", "--make-shared", path)
	return path
}

func (h *host) openDirectory(path string) string {
	if err := os.Mkdir(path, 0o777); err != nil {
		h.Fatal(err)
	}
	if err := os.Chmod(path, 0o777); err != nil { // whatever the umask
		h.Fatal(err)
	}
	return path
}

// freePort is free on every address now, for TCP.
func (h *host) freePort() string {
	listener, err := net.Listen("tcp", ":0")
	if err != nil {
		h.Fatal(err)
	}
	defer listener.Close()
	return fmt.Sprint(listener.Addr().(*net.TCPAddr).Port)
}

// privateRegistry starts a registry that wants a password. The image comes in by another door.
func (h *host) privateRegistry() string {
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	open := httptest.NewServer(images)
	defer open.Close()
	closed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "tester" || password != "open-sesame" {
			w.Header().Set("WWW-Authenticate", `Basic realm="tests"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
			return
		}
		images.ServeHTTP(w, r)
	}))
	h.Cleanup(closed.Close)
	pushed := strings.TrimPrefix(open.URL, "http://") + "/tools:1"
	h.run("docker", "tag", toolsImage, pushed)
	h.run("docker", "push", "--quiet", pushed)
	h.run("docker", "rmi", pushed)
	address := strings.TrimPrefix(closed.URL, "http://")
	h.Cleanup(func() { _ = exec.Command("docker", "rmi", address+"/tools:1").Run() }) // it was not pulled if that failed
	return address
}

// adoptedVolume makes a volume that is not Podyard's, and sees at the end that it has been left alone.
func adoptedVolume(t *testing.T) string {
	var random [3]byte
	if _, err := rand.Read(random[:]); err != nil {
		t.Fatal(err)
	}
	name := "podyard-e2e-adopted-" + hex.EncodeToString(random[:])
	inside := func(command string) string {
		out, err := exec.Command("docker", "run", "--rm", "--volume", name+":/v", toolsImage, "sh", "-c", command).CombinedOutput()
		if err != nil {
			t.Errorf("%s in volume %s: %v %s", command, name, err, out)
		}
		return string(out)
	}
	if out, err := exec.Command("docker", "volume", "create", name).CombinedOutput(); err != nil {
		t.Fatalf("create volume %s: %v %s", name, err, out)
	}
	t.Cleanup(func() {
		if got := inside("cat /v/data"); got != "kept\n" {
			t.Errorf("the adopted volume holds %q at the end", got)
		}
		if out, err := exec.Command("docker", "volume", "rm", name).CombinedOutput(); err != nil {
			t.Errorf("remove volume %s: %v %s", name, err, out)
		}
	})
	inside("echo kept > /v/data")
	return name
}
