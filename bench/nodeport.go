package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/runtime/docker"
)

const (
	portsInstance = "podyard-bench-ports"
	portsImage    = "podyard-bench-hello:1"
	hostPort      = 31801
	nodePort      = 31802
	// clients connect at the same time, for so long in each turn.
	clients = 16
	turn    = 500 * time.Millisecond
)

// nodePorts measures a published port of a Service, which leads through the gateway, against a hostPort,
// which leads to the pod itself. Each has a pod of its own: a connection from one port of the client to one pod can be there
// only once.
func (y *yard) nodePorts(ctx context.Context, rounds int) (err error) {
	pack := exec.CommandContext(ctx, "sh", "-c", "tar -C "+y.dir+" -c podyard | docker import - "+portsImage)
	if out, err := pack.CombinedOutput(); err != nil {
		return fmt.Errorf("make the image: %w: %s", err, out)
	}
	defer exec.Command("docker", "rmi", "--force", portsImage).Run()
	e, err := docker.New(ctx, docker.Options{Instance: portsInstance, Binary: y.binary})
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, e.Teardown(context.WithoutCancel(ctx), true, nil), e.Close())
	}()
	host, err := openPorts(ctx, e)
	if err != nil {
		return err
	}
	fmt.Printf("\nNodePort against hostPort, %d clients, %d rounds of both in turn, load %s\n", clients, rounds, load())
	for _, way := range []struct{ name, host string }{{"by the host's address", host}, {"by 127.0.0.1", "127.0.0.1"}} {
		for _, m := range []struct {
			name string
			ask  func(context.Context, string) (float64, error)
		}{{"requests/s, keep-alive", kept}, {"connections/s", fresh}} {
			if err := compare(ctx, m.name+" "+way.name, rounds, way.host, m.ask); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
	}
	return nil
}

// compare measures hostPort, NodePort, hostPort in each round and prints medians.
func compare(ctx context.Context, what string, rounds int, host string, ask func(context.Context, string) (float64, error)) error {
	var direct, published, ratios []float64
	for range rounds {
		var rates [3]float64
		for i, port := range []int{hostPort, nodePort, hostPort} {
			rate, err := ask(ctx, fmt.Sprintf("%s:%d", host, port))
			if err != nil {
				return fmt.Errorf("port %d: %w", port, err)
			}
			rates[i] = rate
		}
		base := (rates[0] + rates[2]) / 2
		direct, published, ratios = append(direct, base), append(published, rates[1]), append(ratios, rates[1]/base)
	}
	fmt.Printf("%-46s hostPort %7.0f  NodePort %7.0f  ratio %.2f (%.2f)\n", what, middle(direct), middle(published), middle(ratios), ratios)
	return nil
}

func middle(values []float64) float64 {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}

// openPorts starts both pods and opens both ports, and returns the host's address in the pod network.
func openPorts(ctx context.Context, e *docker.Engine) (host string, err error) {
	if err := e.Ensure(ctx, nil); err != nil {
		return "", err
	}
	ports := map[string][]corev1.ContainerPort{
		"direct": {{ContainerPort: 8080, HostPort: hostPort, Protocol: corev1.ProtocolTCP}}, "served": nil,
	}
	for name, published := range ports {
		if err := greet(ctx, e, name, published); err != nil {
			return "", err
		}
	}
	state, err := e.State(ctx)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(state.Pods, func(p runtime.Pod) bool { return p.Manifest.Name == "served" })
	to, err := firstOf(state.ServiceCIDR)
	if err != nil {
		return "", err
	}
	if err := e.Route(ctx, served(to, state.Pods[i].IP)); err != nil {
		return "", err
	}
	err = e.Publish(ctx, runtime.Publication{Namespace: "default", Name: "served", To: to,
		Ports: []runtime.PublishedPort{{Protocol: corev1.ProtocolTCP, HostPort: nodePort, Port: 80}}})
	if err != nil {
		return "", err
	}
	return state.HostIP, awaitPorts(ctx, state.HostIP, hostPort, nodePort)
}

// greet runs a pod that answers on port 8080.
func greet(ctx context.Context, e *docker.Engine, name string, ports []corev1.ContainerPort) error {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID("bench-" + name)},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: portsImage}}},
	}
	sandbox, err := e.CreateSandbox(ctx, runtime.SandboxConfig{Pod: pod, Hostname: name, Ports: ports})
	if err != nil {
		return err
	}
	if err := e.StartSandbox(ctx, sandbox); err != nil {
		return err
	}
	id, err := e.CreateContainer(ctx, sandbox, runtime.ContainerConfig{Name: "main", Image: portsImage, Command: []string{"/podyard", "hello"}})
	if err != nil {
		return err
	}
	return e.StartContainer(ctx, id)
}

func firstOf(cidr string) (string, error) {
	ip, _, err := net.ParseCIDR(cidr)
	if err != nil {
		return "", err
	}
	ip[len(ip)-1]++
	return ip.String(), nil
}

// served is a Service with one endpoint.
func served(to, pod string) runtime.Routes {
	name, port, tcp := "http", int32(8080), corev1.ProtocolTCP
	return runtime.Routes{
		Services: []*corev1.Service{{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "served"},
			Spec:       corev1.ServiceSpec{ClusterIP: to, Ports: []corev1.ServicePort{{Name: name, Port: 80, Protocol: tcp}}},
		}},
		Endpoints: []*discoveryv1.EndpointSlice{{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "served", Labels: map[string]string{discoveryv1.LabelServiceName: "served"}},
			Ports:      []discoveryv1.EndpointPort{{Name: &name, Port: &port, Protocol: &tcp}},
			Endpoints:  []discoveryv1.Endpoint{{Addresses: []string{pod}}},
		}},
	}
}

func awaitPorts(ctx context.Context, host string, ports ...int) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for _, port := range ports {
		address := fmt.Sprintf("%s:%d", host, port)
		for {
			conn, err := connect(ctx, address)
			if err == nil {
				err = exchange(conn, make([]byte, 4096))
				conn.Close()
			}
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				return fmt.Errorf("port %d does not answer: %w", port, err)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	return nil
}

func connect(ctx context.Context, address string) (*net.TCPConn, error) {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp4", address)
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

var question = []byte("GET / HTTP/1.1\r\nHost: bench\r\n\r\n")

// exchange asks once and reads the answer, which is one line of JSON: the server would cost less than its client otherwise.
func exchange(conn net.Conn, buffer []byte) error {
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write(question); err != nil {
		return err
	}
	for n := 0; ; {
		more, err := conn.Read(buffer[n:])
		if err != nil {
			return err
		}
		n += more
		head, body, ok := bytes.Cut(buffer[:n], []byte("\r\n\r\n"))
		if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) {
			return fmt.Errorf("answer %q", buffer[:n])
		}
		if ok && bytes.HasSuffix(body, []byte("\n")) {
			return nil
		}
	}
}

// kept is the rate of requests over connections that stay.
func kept(ctx context.Context, address string) (float64, error) {
	return perSecond(func(end time.Time, count *atomic.Int64) error {
		conn, err := connect(ctx, address)
		if err != nil {
			return err
		}
		defer conn.Close()
		buffer := make([]byte, 4096)
		for time.Now().Before(end) {
			if err := exchange(conn, buffer); err != nil {
				return err
			}
			count.Add(1)
		}
		return nil
	})
}

// fresh is the rate of requests each over a connection of its own, which is reset at its end: the client has not so many ports
// that it could wait for each.
func fresh(ctx context.Context, address string) (float64, error) {
	return perSecond(func(end time.Time, count *atomic.Int64) error {
		buffer := make([]byte, 4096)
		for time.Now().Before(end) {
			conn, err := connect(ctx, address)
			if err != nil {
				return err
			}
			err = exchange(conn, buffer)
			_ = conn.SetLinger(0)
			conn.Close()
			if err != nil {
				return err
			}
			count.Add(1)
		}
		return nil
	})
}

// perSecond runs all clients for one turn and returns what they did in a second.
func perSecond(client func(end time.Time, count *atomic.Int64) error) (float64, error) {
	var count atomic.Int64
	begin := time.Now()
	var group errgroup.Group
	for range clients {
		group.Go(func() error { return client(begin.Add(turn), &count) })
	}
	err := group.Wait()
	return float64(count.Load()) / time.Since(begin).Seconds(), err
}
