//go:build linux

package gateway_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/podyard/podyard/gateway"
)

// The same parts as in the laboratory, each in a container of a real engine, as runtime/docker creates them: with the
// engine's own DNS, a /proc/sys that is read-only and no right but NET_ADMIN.

// docker is an engine with an image of the test binary and a network.
type docker struct {
	*client.Client
	name string
	// prefix is the network's first three bytes, with the dots.
	prefix string
}

func newDocker(t *testing.T) *docker {
	t.Helper()
	api, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	d := &docker{Client: api, name: "podyard-test-gateway-" + strings.ToLower(rand.Text()[:8])}
	t.Cleanup(func() { api.Close() })
	d.makeImage(t)
	d.makeNetwork(t)
	return d
}

// makeImage imports an image of one file, this package's tests without a C library.
func (d *docker) makeImage(t *testing.T) {
	t.Helper()
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
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	_ = w.WriteHeader(&tar.Header{Name: "podyard", Mode: 0o755, Size: int64(len(content))})
	_, _ = w.Write(content)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	answer, err := d.ImageImport(t.Context(), image.ImportSource{Source: &archive, SourceName: "-"}, d.name,
		image.ImportOptions{Changes: []string{`ENTRYPOINT ["/podyard"]`}})
	if err != nil {
		t.Fatalf("import image (these tests need a Docker engine): %v", err)
	}
	defer answer.Close()
	if _, err := io.Copy(io.Discard, answer); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = d.ImageRemove(context.Background(), d.name, image.RemoveOptions{Force: true})
	})
}

// makeNetwork finds a range that nobody else has: .0/26 for the engine, .64/26 for pods, .192/26 for Services.
func (d *docker) makeNetwork(t *testing.T) {
	t.Helper()
	var err error
	for range 20 {
		d.prefix = fmt.Sprintf("10.%d.%d.", 100+mathrand.IntN(100), mathrand.IntN(256))
		_, err = d.NetworkCreate(t.Context(), d.name, network.CreateOptions{Driver: "bridge", IPAM: &network.IPAM{
			Config: []network.IPAMConfig{{Subnet: d.prefix + "0/24", IPRange: d.prefix + "0/26", Gateway: d.prefix + "1"}}}})
		if err == nil {
			t.Cleanup(func() { _ = d.NetworkRemove(context.Background(), d.name) })
			return
		}
	}
	t.Fatal(err)
}

// create makes a container; ip, if given, is its address on the network.
func (d *docker) create(t *testing.T, config container.Config, host container.HostConfig, ip, mac string) string {
	t.Helper()
	config.Image = d.name
	var networks *network.NetworkingConfig
	if ip != "" {
		host.NetworkMode = container.NetworkMode(d.name)
		endpoint := &network.EndpointSettings{IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: ip}}
		networks = &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{d.name: endpoint}}
		if versions.LessThan(d.ClientVersion(), "1.44") {
			//lint:ignore SA1019 engines before API 1.44 know no other field
			config.MacAddress = mac
		} else {
			endpoint.MacAddress = mac
		}
	}
	created, err := d.ContainerCreate(t.Context(), &config, &host, networks, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.ContainerRemove(context.Background(), created.ID, container.RemoveOptions{Force: true}) })
	return created.ID
}

func (d *docker) start(t *testing.T, id string) string {
	t.Helper()
	if err := d.ContainerStart(t.Context(), id, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	return id
}

// netAdmin is the one right that a sandbox and the agent have.
var netAdmin = container.HostConfig{CapAdd: []string{"NET_ADMIN"}, CapDrop: []string{"ALL"}}

// pod starts a sandbox and a backend that joins it, and returns the latter.
func (d *docker) pod(t *testing.T, name, ip string) string {
	t.Helper()
	sandbox := d.start(t, d.create(t, container.Config{Cmd: []string{"sandbox", "--nameserver=" + d.prefix + "2",
		"--search=default.svc.cluster.local", "--gateway=" + d.prefix + "2", "--gateway-mac=" + gatewayMAC}}, netAdmin, ip, ""))
	join := container.HostConfig{NetworkMode: container.NetworkMode("container:" + sandbox)}
	return d.start(t, d.create(t, container.Config{Cmd: []string{"backend", name, "8080"}}, join, "", ""))
}

// agent starts an agent in the holder's namespace and attaches to it.
func (d *docker) agent(t *testing.T, holder string) (string, *gateway.Client) {
	t.Helper()
	host := netAdmin
	host.NetworkMode = container.NetworkMode("container:" + holder)
	host.Mounts = []mount.Mount{{Type: mount.TypeVolume, Source: d.name, Target: "/state"}}
	id := d.create(t, container.Config{OpenStdin: true, Cmd: []string{"gateway", "--ip=" + d.prefix + "2",
		"--pod-cidr=" + d.prefix + "64/26", "--service-cidr=" + d.prefix + "192/26", "--publication-cidr=" + d.prefix + "128/27", "--state=/state/table.json"}}, host, "", "")
	d.start(t, id)
	attached, err := d.ContainerAttach(t.Context(), id, container.AttachOptions{Stream: true, Stdin: true, Stdout: true})
	if err != nil {
		t.Fatal(err)
	}
	c, err := gateway.NewClient(timeout(t, 20*time.Second), demultiplexed(attached))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return id, c
}

// attachment is a container's standard input and output.
type attachment struct {
	*io.PipeReader
	net.Conn
}

func (a attachment) Read(p []byte) (int, error) { return a.PipeReader.Read(p) }
func (a attachment) Close() error               { return a.Conn.Close() }

func demultiplexed(attached types.HijackedResponse) attachment {
	r, w := io.Pipe()
	go func() {
		_, err := stdcopy.StdCopy(w, io.Discard, attached.Reader)
		w.CloseWithError(err) // of nil is io.EOF
	}()
	return attachment{r, attached.Conn}
}

// ask runs the part ask in a container and returns what it prints.
func (d *docker) ask(t *testing.T, id, network, address string) string {
	t.Helper()
	created, err := d.ContainerExecCreate(t.Context(), id, container.ExecOptions{
		Cmd: []string{"/podyard", "ask", network, address}, AttachStdout: true, AttachStderr: true})
	if err != nil {
		t.Fatal(err)
	}
	attached, err := d.ContainerExecAttach(t.Context(), created.ID, container.ExecAttachOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer attached.Close()
	var output bytes.Buffer
	if _, err := stdcopy.StdCopy(&output, &output, attached.Reader); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(output.String())
}

func TestContainers(t *testing.T) {
	d := newDocker(t)
	if _, err := d.VolumeCreate(t.Context(), volume.CreateOptions{Name: d.name}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.VolumeRemove(context.Background(), d.name, true) })
	holder := d.start(t, d.create(t, container.Config{Cmd: []string{"sandbox", "--hold"}},
		container.HostConfig{Sysctls: map[string]string{"net.ipv4.ip_forward": "1"}}, d.prefix+"2", gatewayMAC))
	agent, c := d.agent(t, holder)
	if c.Hello().Backend != gateway.BackendNftables || c.Hello().Masquerade {
		t.Fatalf("agent uses %+v", c.Hello())
	}

	web, client, vip := d.prefix+"70", d.prefix+"71", d.prefix+"200"
	webID, clientID := d.pod(t, "web", web), d.pod(t, "client", client)
	host := d.start(t, d.create(t, container.Config{Cmd: []string{"sandbox", "--hold"}},
		container.HostConfig{NetworkMode: "host"}, "", ""))
	table := gateway.Table{Domain: "cluster.local", Services: []gateway.Service{service("web", vip, web)}}
	if err := c.Apply(timeout(t, 20*time.Second), table); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the backend", func() error {
		if got := d.ask(t, clientID, "tcp4", web+":8080"); got != "web "+client {
			return fmt.Errorf("%s", got)
		}
		return nil
	})
	check := func(when string) {
		t.Helper()
		for _, question := range []struct{ id, network, address, want string }{
			{clientID, "tcp4", vip + ":80", "web " + client},
			{clientID, "udp4", vip + ":53", "web " + client},
			{clientID, "tcp4", "web:80", "web " + client},
			{webID, "tcp4", "web:80", "web " + d.prefix + "2"},
			{host, "tcp4", vip + ":80", "web " + d.prefix + "1"},
		} {
			if got := d.ask(t, question.id, question.network, question.address); got != question.want {
				t.Errorf("%s, %s %s: %q, want %q", when, question.network, question.address, got, question.want)
			}
		}
		if got := d.ask(t, clientID, "tcp4", vip+":81"); !strings.Contains(got, "connection refused") {
			t.Errorf("%s, a port without Service: %q", when, got)
		}
	}
	check("at first")

	if err := d.ContainerRemove(t.Context(), agent, container.RemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	if got := d.ask(t, clientID, "tcp4", vip+":80"); got != "web "+client {
		t.Errorf("without agent: %q", got)
	}
	_, c = d.agent(t, holder)
	if !c.Table().Equal(table) {
		t.Errorf("the next agent has %+v", c.Table())
	}
	check("with the next agent")
}
