package docker

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestNameServersThatAContainerCanReach(t *testing.T) {
	for text, want := range map[string][]string{
		"": nil,
		"# made by the engine\nsearch example.com\nnameserver 192.0.2.1\nnameserver 192.0.2.2\noptions edns0\n": {"192.0.2.1", "192.0.2.2"},
		"nameserver 127.0.0.53\nnameserver 192.0.2.1\nnameserver 192.0.2.1":                                     {"192.0.2.1"},
		"nameserver fe80::1%eth0\nnameserver 2001:db8::1\nnameserver\nnameserver x\n":                           nil,
	} {
		if got := nameservers(text); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// TestAgentKnowsTheHostsNameServers, and what was asked for them is gone.
func TestAgentKnowsTheHostsNameServers(t *testing.T) {
	e := ensuredEngine(t)
	text, err := os.ReadFile("/etc/resolv.conf")
	must(t, err)
	agent := got(e.cli.ContainerInspect(t.Context(), e.link.agentID()))(t)
	for _, server := range nameservers(string(text)) {
		if !slices.Contains(agent.Config.Cmd, "--fallback="+server) {
			t.Errorf("the agent is started with %v, without the host's name server %s", agent.Config.Cmd, server)
		}
	}
	for _, en := range e.cache.all() {
		if strings.HasSuffix(en.name, "-resolvers") {
			t.Errorf("%s is left", en.name)
		}
	}
}
