//go:build linux

package sandbox

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
)

// These tests run sandboxes in containers of a real engine, from an image that holds nothing but this test binary.

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "sandbox":
			os.Exit(Main(os.Args[2:]))
		case "inspect":
			exitOn(json.NewEncoder(os.Stdout).Encode(inspect()))
			os.Exit(0)
		case "again":
			c, err := parse(os.Args[2:])
			exitOn(err)
			exitOn(c.installReturnRoute())
			os.Exit(0)
		case "orphan":
			exitOn(exec.Command("/podyard", "nap").Start())
			os.Exit(0)
		case "nap":
			time.Sleep(300 * time.Millisecond)
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// inside is what a process in the container sees.
type inside struct {
	Command, ResolvConf string
	Mode                os.FileMode
	PrivateKB           int
	Zombies             []string
	Rules               map[string]int
	RoutingRules        int
	Via                 string
}

// inspect looks around. What cannot be read stays empty.
func inspect() inside {
	var i inside
	command, _ := os.ReadFile("/proc/1/cmdline")
	i.Command = strings.TrimRight(string(command), "\x00")
	resolv, _ := os.ReadFile(resolvConf)
	i.ResolvConf = string(resolv)
	if info, err := os.Stat("/volumes/cache"); err == nil {
		i.Mode = info.Mode().Perm()
	}
	memory, _ := os.ReadFile("/proc/1/smaps_rollup")
	for line := range strings.Lines(string(memory)) {
		var n int
		if _, err := fmt.Sscanf(line, "Private_Dirty: %d kB", &n); err == nil {
			i.PrivateKB = n
		}
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		if stat, _ := os.ReadFile(path); strings.Contains(string(stat), ") Z ") {
			i.Zombies = append(i.Zombies, string(stat))
		}
	}
	i.inspectNetwork()
	return i
}

func (i *inside) inspectNetwork() {
	i.Rules = map[string]int{}
	if conn, err := nftables.New(); err == nil {
		table := &nftables.Table{Name: nftTable, Family: nftables.TableFamilyIPv4}
		for _, name := range []string{"prerouting", "output"} {
			rules, _ := conn.GetRules(table, &nftables.Chain{Name: name})
			i.Rules[name] = len(rules)
		}
	}
	rules, _ := netlink.RuleListFiltered(netlink.FAMILY_V4, &netlink.Rule{Table: routeTable, Mark: mark},
		netlink.RT_FILTER_TABLE|netlink.RT_FILTER_MARK)
	i.RoutingRules = len(rules)
	routes, _ := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: routeTable}, netlink.RT_FILTER_TABLE)
	for _, r := range routes {
		i.Via += r.Gw.String()
	}
}

// engine is a Docker engine with the test image.
type engine struct {
	*client.Client
	image string
}

// newEngine builds this package's tests without a C library and imports them as an image of one file.
func newEngine(t *testing.T) *engine {
	t.Helper()
	api, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "podyard")
	build := exec.Command("go", "test", "-c", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, output)
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{api, "podyard-test-sandbox-" + strings.ToLower(rand.Text()[:8])}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	header := &tar.Header{Name: "podyard", Mode: 0o755, Size: int64(len(content))}
	if err := w.WriteHeader(header); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	answer, err := api.ImageImport(t.Context(), image.ImportSource{Source: &archive, SourceName: "-"}, e.image,
		image.ImportOptions{Changes: []string{`ENTRYPOINT ["/podyard"]`}})
	if err != nil {
		t.Fatalf("import image (these tests need a Docker engine): %v", err)
	}
	defer answer.Close()
	if _, err := io.Copy(io.Discard, answer); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = api.ImageRemove(context.Background(), e.image, image.RemoveOptions{Force: true})
		api.Close()
	})
	return e
}

// run starts a container and returns its id.
func (e *engine) run(t *testing.T, host container.HostConfig, args ...string) string {
	t.Helper()
	created, err := e.ContainerCreate(t.Context(), &container.Config{Image: e.image, Cmd: args}, &host, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		options := container.RemoveOptions{Force: true, RemoveVolumes: true}
		if err := e.ContainerRemove(context.Background(), created.ID, options); err != nil {
			t.Error(err)
		}
	})
	if err := e.ContainerStart(t.Context(), created.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	return created.ID
}

// exec runs the test binary in the container in another part and returns its output.
func (e *engine) exec(t *testing.T, id string, args ...string) []byte {
	t.Helper()
	created, err := e.ContainerExecCreate(t.Context(), id, container.ExecOptions{Cmd: append([]string{"/podyard"}, args...),
		AttachStdout: true, AttachStderr: true})
	if err != nil {
		t.Fatal(err)
	}
	attached, err := e.ContainerExecAttach(t.Context(), created.ID, container.ExecAttachOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer attached.Close()
	var stdout, stderr bytes.Buffer
	if _, err := stdcopy.StdCopy(&stdout, &stderr, attached.Reader); err != nil {
		t.Fatal(err)
	}
	ended, err := e.ContainerExecInspect(t.Context(), created.ID)
	if err != nil || ended.ExitCode != 0 {
		t.Fatalf("%v exits with %d, %v: %s%s", args, ended.ExitCode, err, stdout.String(), stderr.String()) // the engine's words are on stdout
	}
	return stdout.Bytes()
}

// inspect looks around in the container, once process 1 is the pause.
func (e *engine) inspect(t *testing.T, id string) inside {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var i inside
		if err := json.Unmarshal(e.exec(t, id, "inspect"), &i); err != nil {
			t.Fatal(err)
		}
		if i.Command == "/pause" {
			return i
		}
		if time.Now().After(deadline) {
			t.Fatalf("process 1 is %q", i.Command)
		}
	}
}

// logs returns what the container said on standard error.
func (e *engine) logs(t *testing.T, id string) string {
	t.Helper()
	stream, err := e.ContainerLogs(t.Context(), id, container.LogsOptions{ShowStderr: true})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var stderr bytes.Buffer
	if _, err := stdcopy.StdCopy(io.Discard, &stderr, stream); err != nil {
		t.Fatal(err)
	}
	return stderr.String()
}

func TestSandbox(t *testing.T) {
	e := newEngine(t)
	flags := []string{"--nameserver=172.31.255.2", "--search=shop.svc.cluster.local,svc.cluster.local", "--option=ndots:5",
		"--emptydir=/volumes/cache"}
	host := container.HostConfig{CapAdd: []string{"NET_ADMIN"},
		Mounts: []mount.Mount{{Type: mount.TypeTmpfs, Target: "/volumes/cache", TmpfsOptions: &mount.TmpfsOptions{Mode: 0o700}}}}

	t.Run("is ready after each start", func(t *testing.T) {
		gateway := bridgeGateway(t, e)
		route := []string{"--gateway=" + gateway, "--gateway-mac=02:42:0a:4d:00:02"}
		args := append(append([]string{"sandbox"}, flags...), route...)
		id := e.run(t, host, args...)
		want := inside{Command: "/pause", Mode: 0o777, Rules: map[string]int{"prerouting": 1, "output": 1}, RoutingRules: 1, Via: gateway,
			ResolvConf: "search shop.svc.cluster.local svc.cluster.local\nnameserver 172.31.255.2\noptions ndots:5\n"}
		check := func() {
			t.Helper()
			got := e.inspect(t, id)
			if got.PrivateKB > 40 {
				t.Errorf("%d KiB of private memory", got.PrivateKB)
			}
			t.Logf("%d KiB of private memory", got.PrivateKB)
			got.PrivateKB = 0
			if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			if said := e.logs(t, id); said != "" {
				t.Errorf("it says %q", said)
			}
		}
		check()
		e.exec(t, id, append([]string{"again"}, route...)...)
		check()
		if err := e.ContainerRestart(t.Context(), id, container.StopOptions{}); err != nil {
			t.Fatal(err)
		}
		check()
	})

	t.Run("reaps orphans and ends at SIGTERM", func(t *testing.T) {
		id := e.run(t, host, append([]string{"sandbox"}, flags...)...)
		e.inspect(t, id)
		e.exec(t, id, "orphan")
		time.Sleep(time.Second)
		if z := e.inspect(t, id).Zombies; len(z) > 0 {
			t.Errorf("zombies %q", z)
		}
		start := time.Now()
		if err := e.ContainerStop(t.Context(), id, container.StopOptions{}); err != nil {
			t.Fatal(err)
		}
		ended, err := e.ContainerInspect(t.Context(), id)
		if err != nil || ended.State.ExitCode != 0 || time.Since(start) > 8*time.Second {
			t.Errorf("exit code %d after %s, %v", ended.State.ExitCode, time.Since(start), err)
		}
	})

	t.Run("goes on without the right to install routes", func(t *testing.T) {
		id := e.run(t, container.HostConfig{}, "sandbox", "--nameserver=172.31.255.2",
			"--gateway="+bridgeGateway(t, e), "--gateway-mac=02:42:0a:4d:00:02")
		if got := e.inspect(t, id); got.ResolvConf != "nameserver 172.31.255.2\n" {
			t.Errorf("%+v", got)
		}
		if said := e.logs(t, id); !strings.Contains(said, "install return rules: ") {
			t.Errorf("it says %q", said)
		}
	})

	t.Run("holds the gateway's namespace and touches nothing", func(t *testing.T) {
		id := e.run(t, container.HostConfig{DNS: []string{"192.0.2.1"}}, "sandbox", "--hold")
		if got := e.inspect(t, id); !strings.Contains(got.ResolvConf, "192.0.2.1") || got.RoutingRules != 0 {
			t.Errorf("%+v", got)
		}
	})

	t.Run("fails where it cannot do what it must", func(t *testing.T) {
		for want, args := range map[int][]string{2: {"sandbox", "--gateway=x"}, 1: {"sandbox", "--emptydir=/not/there"}} {
			id := e.run(t, container.HostConfig{}, args...)
			ended, failed := e.ContainerWait(t.Context(), id, container.WaitConditionNotRunning)
			select {
			case status := <-ended:
				if int(status.StatusCode) != want || !strings.HasPrefix(e.logs(t, id), "podyard sandbox: ") {
					t.Errorf("%v: exit code %d, %q", args, status.StatusCode, e.logs(t, id))
				}
			case err := <-failed:
				t.Fatal(err)
			}
		}
	})
}

// bridgeGateway is an address that is reached over eth0 on the engine's default network.
func bridgeGateway(t *testing.T, e *engine) string {
	t.Helper()
	id := e.run(t, container.HostConfig{}, "sandbox", "--hold")
	info, err := e.ContainerInspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return info.NetworkSettings.Networks["bridge"].Gateway
}
