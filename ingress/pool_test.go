package ingress

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestRequestsAreSpreadEvenly(t *testing.T) {
	l := newLab(t)
	l.service("web", backend(t, "a"), backend(t, "b"), backend(t, "c"))
	l.ingress("web", "shop.test/ web")
	l.apply()
	counts := map[string]int{}
	const requests = 3000
	for range requests {
		_, name := l.get("http://shop.test/")
		counts[name]++
	}
	for name, n := range counts {
		if n < requests/3*9/10 || n > requests/3*11/10 {
			t.Errorf("%s got %d of %d", name, n, requests)
		}
	}
	if len(counts) != 3 {
		t.Errorf("%v", counts)
	}
}

func TestAClientStaysWithItsEndpoint(t *testing.T) {
	l := newLab(t)
	a, b := backend(t, "a"), backend(t, "b")
	l.service("web", a, b).Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	l.settings.TrustedProxies = []string{"127.0.0.1"}
	l.ingress("web", "shop.test/ web")
	l.apply()
	visit := func(client int) string {
		return bodyOf(t, l.send("GET", "http://shop.test/", fmt.Sprintf("X-Forwarded-For: 192.0.2.%d", client)))
	}
	homes, seen := map[int]string{}, map[string]bool{}
	for client := range 20 {
		homes[client] = visit(client)
		seen[homes[client]] = true
	}
	if len(seen) != 2 {
		t.Errorf("all clients are at %v", seen)
	}
	l.slices = append(l.slices, sliceOf("web", 9, backend(t, "new"), l.slices[0].Endpoints[0].Conditions))
	l.apply() // an endpoint more moves nobody
	for client := range 20 {
		if now := visit(client); now != homes[client] {
			t.Errorf("client %d was at %s and is at %s", client, homes[client], now)
		}
	}
	l.slices = l.slices[1:]
	l.apply()
	for client := range 20 {
		if now := visit(client); homes[client] == "b" && now != "b" || now == "a" {
			t.Errorf("client %d was at %s and is at %s, which is gone", client, homes[client], now)
		}
	}
}
