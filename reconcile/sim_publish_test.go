package reconcile

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

// Services that are published. Each commit gives them other types and ports, so that ports move between them; 8080 is a port that
// pods ask for, too.
var (
	fronts    = []string{"alpha", "beta", "gamma"}
	frontPort = []int32{80, 81, 8080}
)

// goodPorts are those that no pod asks for.
var goodPorts = []int32{80, 81, 82}

// addFronts gives each Service that is published a port of its own; in any commit but the last two may want the same.
func (s *simulation) addFronts(set *manifests.Set, ports []int32, distinct bool) {
	if !s.cast["front"] {
		return
	}
	turn := rapid.IntRange(0, 2).Draw(s.T, "turn")
	for i, name := range fronts {
		if rapid.IntRange(0, 3).Draw(s.T, "keep "+name) == 0 {
			continue
		}
		port := ports[(i+turn)%len(ports)]
		if !distinct {
			port = rapid.SampledFrom(ports).Draw(s.T, "port")
		}
		add(set, "Service", name, s.front(name, port, 30080+int32(i+turn)%3))
	}
}

// front is a Service of any type. A node port is asked for or not.
func (s *simulation) front(name string, port, nodePort int32) *corev1.Service {
	out := service("web")
	out.Name, out.Spec.Ports[0].Port = name, port
	switch rapid.IntRange(0, 5).Draw(s.T, "type") {
	case 0:
		out.Spec.Type = corev1.ServiceTypeClusterIP
	case 1:
		out.Spec.Type, out.Spec.ExternalName, out.Spec.Selector = corev1.ServiceTypeExternalName, "example.org", nil
	case 2:
		out.Spec.Type = corev1.ServiceTypeNodePort
	case 3:
		out.Spec.Type, out.Spec.Ports[0].NodePort = corev1.ServiceTypeNodePort, nodePort
	case 4:
		out.Spec.Type, out.Spec.Ports[0].NodePort = corev1.ServiceTypeLoadBalancer, nodePort
	default:
		out.Spec.Type = corev1.ServiceTypeLoadBalancer
	}
	return out
}

// holdPort lets a program outside have a port for a while, if it is free.
func (s *simulation) holdPort() {
	port := rapid.SampledFrom([]int32{80, 81, simHTTPPort, 30080, 30081}).Draw(s.T, "held")
	if s.portOwner(s.engine.Truth(), runtime.PublishedPort{Protocol: corev1.ProtocolTCP, HostPort: port}) != "" {
		return
	}
	s.chaos()
	release := s.engine.HoldPort(port, corev1.ProtocolTCP)
	time.AfterFunc(time.Duration(rapid.IntRange(1, 120).Draw(s.T, "seconds"))*time.Second, func() {
		release()
		s.chaos()
	})
}

// closePublication lets what publishes a Service die.
func (s *simulation) closePublication() {
	if open := s.engine.Truth().Publications; len(open) > 0 {
		s.chaos()
		p := open[rapid.IntRange(0, len(open)-1).Draw(s.T, "victim")]
		s.engine.ClosePublication(p.Namespace, p.Name)
	}
}

// portOwner is who of ours has a port of the host.
func (s *simulation) portOwner(state *runtime.State, port runtime.PublishedPort) string {
	for _, p := range state.Publications {
		if p.Running && slices.ContainsFunc(p.Ports, func(have runtime.PublishedPort) bool { return sameHostPort(have, port) }) {
			return plan.PublicationName(p.Namespace, p.Name)
		}
	}
	for i := range state.Pods {
		pod := &state.Pods[i]
		if pod.Phase != runtime.Running {
			continue
		}
		for _, c := range pod.Manifest.Spec.Containers {
			if slices.ContainsFunc(c.Ports, func(have corev1.ContainerPort) bool {
				return have.HostPort == port.HostPort && have.Protocol == port.Protocol
			}) {
				return "pod " + pod.Manifest.Name
			}
		}
	}
	return ""
}

func sameHostPort(a, b runtime.PublishedPort) bool {
	return a.HostPort == b.HostPort && a.Protocol == b.Protocol
}

// Publish is asked for no port that somebody of ours has, and had when the daemon last looked.
func (g *guard) Publish(ctx context.Context, p runtime.Publication) error {
	state, known := g.Engine.Truth(), g.s.observed()
	for _, port := range p.Ports {
		owner := g.s.portOwner(state, port)
		if owner != "" && owner != plan.PublicationName(p.Namespace, p.Name) && known != nil && g.s.portOwner(known, port) == owner && g.s.undisturbed10() {
			g.s.Errorf("Service %s is published at port %d, which %s has", p.Name, port.HostPort, owner)
		}
	}
	return g.s.met(g.Engine.Publish(ctx, p))
}

// observed is what the last round of the daemon saw; nil before the first.
func (s *simulation) observed() *runtime.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reconciler.Status().State
}

// Unpublish is for what the commit does not want so.
func (g *guard) Unpublish(ctx context.Context, namespace, name string) error {
	g.s.mu.Lock()
	set := g.s.commits[len(g.s.commits)-1]
	g.s.mu.Unlock()
	for _, have := range g.Engine.Truth().Publications {
		if have.Name == name && have.Running && g.s.undisturbed10() && g.s.settledCommit() && g.s.wanted(set, have) {
			g.s.Errorf("Service %s is unpublished, and the commit wants it as it is: %+v", name, have)
		}
	}
	return g.s.met(g.Engine.Unpublish(ctx, namespace, name))
}

// undisturbed10: what was broken last is ten seconds ago, and the daemon knows.
func (s *simulation) undisturbed10() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.undisturbed(10 * time.Second)
}

// settledCommit: nothing that was begun for the commit before is under way any more.
func (s *simulation) settledCommit() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.commits[len(s.commits)-1].Since) > 10*time.Second
}

// wanted tells that a publication is as a commit has it.
func (s *simulation) wanted(set *manifests.Set, have runtime.Published) bool {
	o := set.Find("Service", have.Namespace, have.Name)
	if o == nil || o.Value.(*corev1.Service).Spec.Type == corev1.ServiceTypeClusterIP || o.Value.(*corev1.Service).Spec.Type == corev1.ServiceTypeExternalName {
		return false
	}
	return hostPortsOf(o.Value.(*corev1.Service), have) == ""
}

// hostPortsOf says how the ports of a publication differ from those of its Service; empty if they do not.
func hostPortsOf(service *corev1.Service, have runtime.Published) string {
	port := service.Spec.Ports[0]
	var open []string
	for _, p := range have.Ports {
		if p.Port != port.Port {
			return fmt.Sprintf("leads to port %d, want %d", p.Port, port.Port)
		}
		open = append(open, fmt.Sprint(p.HostPort))
	}
	var want []string
	if service.Spec.Type == corev1.ServiceTypeLoadBalancer {
		want = append(want, fmt.Sprint(port.Port))
	}
	switch {
	case port.NodePort != 0:
		want = append(want, fmt.Sprint(port.NodePort))
	case service.Spec.Type == corev1.ServiceTypeNodePort:
		if len(open) == 1 && len(have.Ports) == 1 && have.Ports[0].HostPort >= manifests.FirstNodePort && have.Ports[0].HostPort <= manifests.LastNodePort {
			return ""
		}
		want = append(want, "one of the range")
	}
	if !slices.Equal(open, want) {
		return fmt.Sprintf("is published at %v, want %v", open, want)
	}
	return ""
}

// checkPublished: at the fixed point what is published is what the commit says, and a node port is that of before. held is a
// port that a program outside has: its Service is stalled, and says so.
func (s *simulation) checkPublished(set *manifests.Set, held int32) {
	state := s.engine.Truth()
	seen := map[string]bool{}
	for _, have := range state.Publications {
		if have.Namespace == "" {
			continue // of the Ingresses
		}
		seen[have.Name] = true
		o := set.Find("Service", have.Namespace, have.Name)
		switch {
		case o == nil:
			s.Fatalf("Service %s is published, and not in the commit", have.Name)
		case !have.Running && !hasHostPort(have, held):
			s.Fatalf("Service %s is not open: %s", have.Name, have.Error)
		case !have.Running:
			s.checkStalled(have.Name)
		}
		if why := hostPortsOf(o.Value.(*corev1.Service), have); why != "" {
			s.Fatalf("Service %s %s", have.Name, why)
		}
		s.checkSamePort(have)
	}
	for _, o := range set.Objects {
		if v, is := o.Value.(*corev1.Service); is && (v.Spec.Type == corev1.ServiceTypeNodePort || v.Spec.Type == corev1.ServiceTypeLoadBalancer) && !seen[o.Name] {
			s.Fatalf("Service %s is not published: %+v", o.Name, s.reconciler.Status().Result.Objects)
		}
	}
}

func hasHostPort(have runtime.Published, port int32) bool {
	return slices.ContainsFunc(have.Ports, func(p runtime.PublishedPort) bool { return p.HostPort == port })
}

func (s *simulation) checkStalled(name string) {
	for _, o := range s.reconciler.Status().Result.Objects {
		if o.Kind == "Service" && o.Name == name && (o.Health != plan.Stalled || !strings.Contains(o.Message, "in use by a program outside Podyard")) {
			s.Fatalf("Service %s is %s: %s", name, o.Health, o.Message)
		}
	}
}

// checkSamePort: nothing but a commit changes a node port.
func (s *simulation) checkSamePort(have runtime.Published) {
	if before, known := s.nodePorts[have.Name]; known && before != have.Ports[0].HostPort {
		s.Fatalf("Service %s is published at port %d, and was at %d", have.Name, have.Ports[0].HostPort, before)
	}
	s.nodePorts[have.Name] = have.Ports[0].HostPort
}
