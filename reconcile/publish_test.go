package reconcile

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

func balancer(name string) *manifests.Set {
	set := &manifests.Set{Since: time.Now()}
	s := service(name)
	s.Spec.Type = corev1.ServiceTypeLoadBalancer
	add(set, "Service", name, s)
	return set
}

// A port that a program outside has is tried again after 1 s, 2 s, 4 s, … 30 s, and events tell of it in upstream's words.
func TestAPortThatSomebodyHasIsTriedAgain(t *testing.T) {
	inYard(t, nil, func(y *yard) {
		release := y.engine.HoldPort(80, corev1.ProtocolTCP)
		y.run(balancer("web"))
		time.Sleep(time.Minute)
		if n := len(y.calls("Publish")); n != 6 { // at 0, 1, 3, 7, 15 and 31 s, and a little for each
			t.Errorf("published %d times in a minute", n)
		}
		want := "port 80/TCP of the host is in use by a program outside Podyard; stop it, or choose another port"
		if got := y.object("Service"); got.Health != plan.Stalled || got.Message != want {
			t.Errorf("the Service is %s: %s", got.Health, got.Message)
		}
		if got := y.event("SyncLoadBalancerFailed"); !strings.Contains(got, "80/TCP") {
			t.Errorf("the event of the failure is %q", got)
		}
		if got := y.event("PortAlreadyAllocated"); got != want {
			t.Errorf("the event of the Service is %q", got)
		}
		release()
		time.Sleep(31 * time.Second)
		if got := y.object("Service"); got.Summary["published"] != "0.0.0.0:80 → 80/TCP" || got.Health != plan.Ready {
			t.Errorf("the Service is %s: %s, published at %q", got.Health, got.Message, got.Summary["published"])
		}
		if y.event("EnsuredLoadBalancer") == "" {
			t.Error("no event tells that it is published")
		}
	})
}

// The container of a publication runs before it leads anywhere.
func TestAPublicationIsThereWhenPublishHasReturned(t *testing.T) {
	inYard(t, nil, func(y *yard) {
		opening, open := runtime.Publication{Namespace: "default", Name: "opening"}, runtime.Publication{Namespace: "default", Name: "open"}
		y.r.flights[plan.PublishPorts{Publication: opening}.Key()] = plan.PublishPorts{Publication: opening}
		y.r.flights[plan.UnpublishPorts{Namespace: "default", Name: "open"}.Key()] = plan.UnpublishPorts{Namespace: "default", Name: "open"}
		seen := []runtime.Published{{Publication: open, Running: true}, {Publication: opening, Running: true}}
		state := &runtime.State{Publications: seen, Images: map[string]runtime.Image{}}
		y.r.overlay(state, 1)
		if !state.Publications[0].Running || state.Publications[1].Running || !seen[1].Running {
			t.Errorf("seen %+v, state %+v", seen, state.Publications)
		}
	})
}
