package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/podyard/podyard/status"
)

// TestEndpointsOfTheCommit: Services without selector lead to a program outside, by an EndpointSlice and by Endpoints, also by name.
func TestEndpointsOfTheCommit(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	address, port := outsideProgram(t)
	h.commit("Outside", map[string]string{"tools.yaml": tools, "services.yaml": fmt.Sprintf(`apiVersion: v1
kind: Service
metadata: {name: slice}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: slice-1, labels: {kubernetes.io/service-name: slice}}
addressType: IPv4
endpoints: [{addresses: [%[1]s]}]
ports: [{name: http, port: %[2]s}]
---
apiVersion: v1
kind: Service
metadata: {name: old}
spec: {clusterIP: None, ports: [{port: %[2]s}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: old}
subsets: [{addresses: [{ip: %[1]s, hostname: db-0}], ports: [{port: %[2]s}]}]
`, address, port)})
	h.start()
	h.awaitOutcome("Outside", status.Succeeded)
	for _, url := range []string{"http://slice/", "http://old:" + port + "/", "http://db-0.old:" + port + "/"} {
		h.await("an answer from "+url, func() bool {
			out, err := h.exec("tools", "/podyard", "hello", "get", url)
			return err == nil && strings.Contains(out, "from outside")
		})
	}
}

// outsideProgram answers as podyard hello does, on every address of this machine.
func outsideProgram(t *testing.T) (address, port string) {
	t.Helper()
	listener, err := net.Listen("tcp4", ":0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"message": "from outside"}`) })}
	go func() { _ = server.Serve(listener) }() // until Close
	t.Cleanup(func() { server.Close() })
	_, port, _ = net.SplitHostPort(listener.Addr().String())
	return hostAddress(t), port
}

// hostAddress is one of this machine that containers reach.
func hostAddress(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if n, is := a.(*net.IPNet); is && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	t.Fatal("this machine has no address of IPv4")
	return ""
}
