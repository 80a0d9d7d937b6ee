package plan_test

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

// publish opens ports, unless a program outside has one. That nobody of ours has them is what a plan must make sure of.
func (w *world) publish(p runtime.Publication) {
	w.unpublish(p.Namespace, p.Name)
	made, name := runtime.Published{Publication: p, Running: true}, plan.PublicationName(p.Namespace, p.Name)
	for _, port := range p.Ports {
		if who := w.holder(port); who != "" {
			w.t.Errorf("%s is published at port %d, which %s has", name, port.HostPort, who)
		}
		if key := fmt.Sprintf("%d/%s", port.HostPort, port.Protocol); w.held[key] {
			made.Running, made.Error = false, "port of the host is taken: "+key
			w.state.Problems[name] = runtime.Problem{Reason: plan.PortAlreadyAllocated, Message: made.Error}
		}
	}
	if made.Running {
		delete(w.state.Problems, name)
	}
	w.state.Publications = append(w.state.Publications, made)
	slices.SortFunc(w.state.Publications, func(a, b runtime.Published) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}

// holder is who of ours has a port.
func (w *world) holder(port runtime.PublishedPort) string {
	for _, have := range w.state.Publications {
		if have.Running && slices.ContainsFunc(have.Ports, func(p runtime.PublishedPort) bool {
			return p.HostPort == port.HostPort && p.Protocol == port.Protocol
		}) {
			return plan.PublicationName(have.Namespace, have.Name)
		}
	}
	for i := range w.state.Pods {
		for _, c := range w.state.Pods[i].Manifest.Spec.Containers {
			if slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.HostPort == port.HostPort && p.Protocol == port.Protocol }) {
				return "pod " + w.state.Pods[i].Manifest.Name
			}
		}
	}
	return ""
}

func (w *world) unpublish(namespace, name string) {
	w.state.Publications = slices.DeleteFunc(slices.Clone(w.state.Publications), func(p runtime.Published) bool {
		return p.Namespace == namespace && p.Name == name
	})
}

// close is what becomes of a publication whose container has died.
func (w *world) close(name string) {
	list := slices.Clone(w.state.Publications)
	for i := range list {
		if list[i].Name == name {
			list[i].Running, list[i].Error = false, "exit code 137"
		}
	}
	w.state.Publications = list
}

func (w *world) ingressPorts(args []string) {
	for i, port := range []*int32{&w.state.HTTPPort, &w.state.HTTPSPort} {
		number, err := strconv.Atoi(args[i])
		w.must(err)
		*port = int32(number)
	}
}

func (w *world) services() {
	for _, s := range w.plan().Objects {
		if s.Kind != "Service" {
			continue
		}
		fmt.Fprintf(&w.out, "%s/%s %s", s.Namespace, s.Name, s.Summary["type"])
		for _, key := range []string{"ports", "externalName", "published", "externalIP"} {
			if s.Summary[key] != "" {
				fmt.Fprintf(&w.out, " %s=%s", key, s.Summary[key])
			}
		}
		fmt.Fprintln(&w.out)
	}
}

func (w *world) printPublished() {
	for _, p := range w.state.Publications {
		fmt.Fprintf(&w.out, "%s to %s", plan.PublicationName(p.Namespace, p.Name), cmp.Or(p.To, "the proxy"))
		for _, port := range p.Ports {
			fmt.Fprintf(&w.out, " %d→%d/%s", port.HostPort, port.Port, port.Protocol)
		}
		if len(p.SourceRanges) > 0 {
			fmt.Fprintf(&w.out, " from %v", p.SourceRanges)
		}
		if !p.Running {
			fmt.Fprintf(&w.out, " (closed: %s)", p.Error)
		}
		fmt.Fprintln(&w.out)
	}
}
