//go:build linux

package gateway_test

import (
	"testing"
	"time"
)

// TestNoConnectionFailsWhileBackendsChurn: of three pods another one leaves, or comes back, every 50 ms.
func TestNoConnectionFailsWhileBackendsChurn(t *testing.T) {
	backends(t, func(t *testing.T, backend string) {
		l := newLab(t)
		l.pod(t, "a", podA)
		l.pod(t, "b", podB)
		l.pod(t, "c", podC)
		client := l.plug(t, "10.77.64.20", "")
		a := l.agent(t, backend)
		rounds := [][]string{{podA, podB, podC}, {podB, podC}, {podA, podB, podC}, {podA, podC}, {podA, podB, podC}, {podA, podB}}
		a.apply(t, service("web", webIP, rounds[0]...))
		kept, err := client.dial("tcp4", web, "")
		if err != nil {
			t.Fatal(err)
		}
		defer kept.Close()
		first, _, err := ask(kept)
		if err != nil {
			t.Fatal(err)
		}
		fresh, changes := 0, 0
		next := time.Now()
		for begin := time.Now(); time.Since(begin) < 3*time.Second; fresh++ {
			if time.Now().After(next) {
				changes++
				a.apply(t, service("web", webIP, rounds[changes%len(rounds)]...))
				next = time.Now().Add(50 * time.Millisecond)
			}
			client.mustCall(t, "tcp4", web)
			client.mustCall(t, "udp4", webUDP)
			if answered, _, err := ask(kept); err != nil || answered != first {
				t.Fatalf("after %d changes %s answers where %s did, %v", changes, answered, first, err)
			}
		}
		if changes < 10 || fresh < 20 {
			t.Errorf("only %d changes and %d fresh connections", changes, fresh)
		}
	})
}
