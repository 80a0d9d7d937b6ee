package plan_test

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

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

// TestWhatIsSaidOfPortsThatAreNotOpen: the engine's words, and who has the port where it knows.
func TestWhatIsSaidOfPortsThatAreNotOpen(t *testing.T) {
	const yaml = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {type: LoadBalancer, selector: {app: web}, ports: [{name: a, port: 443}, {name: b, port: 80}]}\n"
	for _, c := range []struct {
		name    string
		problem runtime.Problem
		after   time.Duration
		health  plan.Health
		message string
	}{
		{name: "nothing yet", health: plan.Reconciling, message: "is being published at 0.0.0.0:443 → 443/TCP, 0.0.0.0:80 → 80/TCP"},
		{name: "another failure", problem: runtime.Problem{Reason: plan.SyncLoadBalancerFailed, Message: "no space left on device"}, health: plan.Reconciling, message: "no space left on device"},
		{name: "another failure, for long", problem: runtime.Problem{Reason: plan.SyncLoadBalancerFailed, Message: "no space left on device"}, after: 15 * time.Second,
			health: plan.Stalled, message: "no space left on device"},
		{name: "a container", problem: runtime.Problem{Reason: plan.PortAlreadyAllocated, Message: "publish default/web: host port 80/TCP is taken by container nginx: Bind for 0.0.0.0:80 failed"},
			health: plan.Stalled, message: "port 80/TCP of the host is in use by container nginx; stop it, or choose another port"},
		{name: "nobody knows which port", problem: runtime.Problem{Reason: plan.PortAlreadyAllocated, Message: "address already in use"},
			health: plan.Stalled, message: "port 443/TCP or 80/TCP of the host is in use by a program outside Podyard; stop it, or choose another port"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.use(load(t, "a.yaml", []byte(yaml), w.now))
			if c.problem.Message != "" {
				w.state.Problems["Service default/web"] = c.problem
			}
			w.now = w.now.Add(c.after)
			got := w.plan().Objects[0]
			if got.Health != c.health || got.Message != c.message {
				t.Errorf("%s: %s; want %s: %s", got.Health, got.Message, c.health, c.message)
			}
			if c.problem.Reason != "" && got.Conditions[0].Reason != c.problem.Reason {
				t.Errorf("the reason is %s, want %s", got.Conditions[0].Reason, c.problem.Reason)
			}
		})
	}
}
