package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podyard/podyard/status"
)

// service is a Service for the pods of web.
func service(name, spec string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: %s\n", name, spec)
}

func loadBalancer(name, port, more string) string {
	return service(name, fmt.Sprintf("{type: LoadBalancer, selector: {app: web}, ports: [{port: %s, targetPort: http}]%s}", port, more))
}

// TestServicesArePublishedOnTheHost: a node port and a load balancer are reached from the host, while the daemon is killed, too; a
// port moves to another Service in one commit; source ranges keep clients out.
func TestServicesArePublishedOnTheHost(t *testing.T) {
	h := newHost(t)
	port := h.freePort()
	h.commit("Publish", map[string]string{"web.yaml": web(2, "--version=1"), "tools.yaml": tools,
		"node.yaml":  service("node", "{type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: http}]}"),
		"front.yaml": loadBalancer("front", port, ""),
		"alias.yaml": service("alias", "{type: ExternalName, externalName: web.default.svc.cluster.local}")})
	h.start("--external-ip", "203.0.113.7")
	h.awaitOutcome("Publish", status.Succeeded)
	nodePort := h.nodePort("node")
	h.expectPublished(nodePort, "1")
	h.expectPublished(port, "1")
	if out, err := h.exec("tools", "/podyard", "hello", "get", "http://alias/"); err != nil || !strings.Contains(out, `"version":"1"`) {
		t.Errorf("http://alias answers %q, %v", out, err)
	}
	if out, _ := h.podyard("status"); !strings.Contains(out, "published at 0.0.0.0:"+port+" → "+port+"/TCP (external address 203.0.113.7)") {
		t.Errorf("podyard status does not say where the load balancer is:\n%s", out)
	}

	before := h.publications()
	h.stop(syscall.SIGKILL)
	for range 20 {
		h.expectPublished(nodePort, "1")
		h.expectPublished(port, "1")
	}
	h.start()
	h.awaitOutcome("Publish", status.Succeeded)
	if after := h.publications(); after != before || h.nodePort("node") != nodePort {
		t.Errorf("publications were %q and are %q, the node port was %s and is %s", before, after, nodePort, h.nodePort("node"))
	}

	h.commit("Move", map[string]string{"front.yaml": "", "next.yaml": loadBalancer("next", port, "")})
	h.awaitOutcome("Move", status.Succeeded)
	h.expectPublished(port, "1")
	h.commit("Few", map[string]string{"next.yaml": loadBalancer("next", port, ", loadBalancerSourceRanges: [192.0.2.0/24]")})
	h.awaitOutcome("Few", status.Succeeded)
	if version, err := published(port); err == nil {
		t.Errorf("from outside its source ranges the load balancer answers %s", version)
	}
	h.expectPublished(nodePort, "1")
	h.commit("All", map[string]string{"next.yaml": loadBalancer("next", port, "")})
	h.awaitOutcome("All", status.Succeeded)
	h.expectPublished(port, "1")
}

// TestAPortThatAProgramOutsideHas: the Service says so, everything else goes on, and it is published when the port is free.
func TestAPortThatAProgramOutsideHas(t *testing.T) {
	h := newHost(t)
	listener, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	port, other := fmt.Sprint(listener.Addr().(*net.TCPAddr).Port), h.freePort()
	h.commit("Taken", map[string]string{"web.yaml": web(1, "--version=1"), "a.yaml": loadBalancer("a", port, ""), "b.yaml": loadBalancer("b", other, "")})
	h.start()
	h.awaitOutcome("Taken", status.Failed)
	want := fmt.Sprintf("port %s/TCP of the host is in use by a program outside Podyard; stop it, or choose another port", port)
	h.await("the Service to say who has its port", func() bool { return h.serviceObject("a").Message == want })
	h.await("the other one to answer", func() bool { _, err := published(other); return err == nil })
	listener.Close()
	h.awaitOutcome("Taken", status.Succeeded)
	h.expectPublished(port, "1")
}

func (h *host) serviceObject(name string) status.Object {
	for _, o := range h.snapshot().Objects {
		if o.Kind == "Service" && o.Name == name {
			return o
		}
	}
	return status.Object{}
}

// nodePort is that of a Service of one port, of the range, once it is open.
func (h *host) nodePort(name string) string {
	h.Helper()
	var found []string
	h.await("the node port of Service "+name, func() bool {
		summary := h.serviceObject(name).Summary
		found = regexp.MustCompile(`^80:(3[0-2]\d{3})/TCP$`).FindStringSubmatch(summary["ports"])
		return found != nil && summary["published"] == "0.0.0.0:"+found[1]+" → 80/TCP"
	})
	return found[1]
}

// publications are the engine's IDs of what publishes Services, and since when they run.
func (h *host) publications() string {
	h.Helper()
	ids := h.run("docker", "ps", "--quiet", "--filter", "label=podyard.dev/instance="+h.instance, "--filter", "label=podyard.dev/role=publication")
	return h.run("docker", append([]string{"inspect", "--format", "{{.Id}} {{.State.StartedAt}}"}, strings.Fields(ids)...)...)
}

// expectPublished asks a port of this machine.
func (h *host) expectPublished(port, version string) {
	h.Helper()
	if got, err := published(port); err != nil || !strings.Contains(got, `"version":"`+version+`"`) {
		h.Errorf("port %s answers %q, %v; want version %s", port, got, err, version)
	}
}

// published asks by a connection of its own.
func published(port string) (string, error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://127.0.0.1:" + port + "/")
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}
