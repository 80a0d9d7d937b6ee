//go:build linux

package gateway_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"

	"github.com/podyard/podyard/gateway"
)

// kernelRules returns the handles of all rules by chain. A rule that was replaced has another handle.
func (l *lab) kernelRules(t *testing.T) map[string]string {
	t.Helper()
	handles := map[string]string{}
	l.gw.must(t, func() error {
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		chains, err := conn.ListChainsOfTableFamily(nftables.TableFamilyIPv4)
		if err != nil {
			return err
		}
		for _, chain := range chains {
			rules, err := conn.GetRules(chain.Table, chain)
			if err != nil {
				return err
			}
			for _, r := range rules {
				handles[chain.Name] += fmt.Sprint(" ", r.Handle)
			}
		}
		return nil
	})
	return handles
}

// difference returns the chains whose rules are not the same.
func difference(a, b map[string]string) []string {
	var names []string
	for name := range a {
		if a[name] != b[name] {
			names = append(names, name)
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			names = append(names, name)
		}
	}
	return names
}

// fixed are the chains that are there without a Service.
var fixed = []string{"fresh", "prerouting", "postrouting", "input", "output"}

func manyServices(n int) []gateway.Service {
	var services []gateway.Service
	for i := range n {
		services = append(services, service(fmt.Sprintf("s%d", i), fmt.Sprintf("10.77.%d.%d", 193+i/250, 1+i%250),
			fmt.Sprintf("10.77.%d.%d", 65+i/250, 1+i%250), fmt.Sprintf("10.77.%d.%d", 70+i/250, 1+i%250), podA))
	}
	return services
}

func TestChangeOfOneServiceLeavesAThousandAlone(t *testing.T) {
	l := newLab(t)
	l.pod(t, "a", podA)
	client := l.plug(t, "10.77.64.20", "")
	a := l.agent(t, gateway.BackendNftables)
	services := manyServices(1000)
	start := time.Now()
	a.apply(t, services...)
	t.Logf("1000 Services with two ports and three backends each: %s", time.Since(start))
	services[500] = service("s500", services[500].ClusterIP, podA)
	before := l.kernelRules(t)
	start = time.Now()
	a.apply(t, services...)
	t.Logf("a change of one: %s", time.Since(start))
	changed := difference(before, l.kernelRules(t))
	// Two ports: the chain of each, its three old backends, of which one stays.
	if len(changed) == 0 || len(changed) > 8 {
		t.Errorf("%d chains changed: %v", len(changed), changed)
	}
	for _, name := range changed {
		if !strings.Contains(name, "default/s500 ") {
			t.Errorf("changed %s", name)
		}
	}
	if answered, _ := client.mustCall(t, "tcp4", services[500].ClusterIP+":80"); answered != "a" {
		t.Errorf("%s answers", answered)
	}

	a.kill(t)
	start = time.Now()
	a = l.agent(t, gateway.BackendNftables)
	t.Logf("the next agent's start: %s", time.Since(start))
	client.mustCall(t, "tcp4", services[500].ClusterIP+":80")
	a.apply(t)
	left := l.kernelRules(t)
	for _, base := range fixed {
		if left[base] == "" {
			t.Errorf("chain %s is gone", base)
		}
	}
	if len(left) > len(fixed) {
		t.Errorf("left after all Services went: %v", slices.Sorted(maps.Keys(left)))
	}
}

func TestAgentCleansUpWhatAnEarlierOneLeft(t *testing.T) {
	l := newLab(t)
	l.pod(t, "a", podA)
	client := l.plug(t, "10.77.64.20", "")
	a := l.agent(t, gateway.BackendNftables)
	sticky := service("web", webIP, podA, podB)
	sticky.AffinitySeconds = 60
	a.apply(t, sticky, service("other", otherIP, podA, podC))
	a.kill(t)
	l.state += ".lost" // an agent that knows nothing
	next := l.agent(t, gateway.BackendNftables)
	if left := l.kernelRules(t); len(left) != len(fixed) {
		t.Errorf("left by an agent without a table: %v", slices.Sorted(maps.Keys(left)))
	}
	next.apply(t, service("web", webIP, podA))
	if answered, _ := client.mustCall(t, "tcp4", web); answered != "a" {
		t.Errorf("%s answers", answered)
	}
	l.gw.must(t, func() error {
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		sets, err := conn.GetSets(&nftables.Table{Name: "podyard", Family: nftables.TableFamilyIPv4})
		for _, s := range sets {
			if s.Name != "services" && s.Name != "hairpin" {
				t.Errorf("set %s is left", s.Name)
			}
		}
		return err
	})
}
