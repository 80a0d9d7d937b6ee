package docker

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
)

// hostResolvers are the name servers of the host, as the engine gives them to a container that has no network. The agent asks the
// engine's own, which passes queries on to them, and these only while that is away: with live-restore, pods run on without the
// engine. The list is that of when the agent was made.
func (e *Engine) hostResolvers(ctx context.Context) (_ []string, err error) {
	id, err := e.create(ctx, e.names.resolversSpec(e.ensured()))
	if err != nil {
		return nil, wrap("find", "the host's name servers", err)
	}
	defer func() { _ = e.remove(context.WithoutCancel(ctx), id) }() // the next Ensure removes what is left
	if err := e.cli.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		return nil, wrap("find", "the host's name servers", err)
	}
	text, err := e.readEnd(ctx, id, "/etc/resolv.conf")
	if err != nil {
		return nil, wrap("find", "the host's name servers", err)
	}
	return nameservers(text), nil
}

// resolversSpec is a container that does nothing. It has the agent's name with a suffix: there is one for each infra image.
func (n names) resolversSpec(s shared) spec {
	return spec{
		name:   n.agent(s.tag) + "-resolvers",
		config: &container.Config{Image: s.infra, Cmd: []string{"sandbox", "--hold"}, Labels: n.labels(roleCheck)},
		host:   &container.HostConfig{NetworkMode: "none", LogConfig: smallLog("100k")},
	}
}

// nameservers are those of a resolv.conf(5) that a container elsewhere can reach, IPv4 as all of the network is.
func nameservers(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "nameserver" {
			continue
		}
		ip, err := netip.ParseAddr(words[1])
		if err == nil && ip.Is4() && !ip.IsLoopback() && !slices.Contains(out, ip.String()) {
			out = append(out, ip.String())
		}
	}
	return out
}

// fallbacks are the flags by which the agent learns of them, found out once. Without them it serves as well, but for names outside
// the cluster while the engine is away. The caller holds link.mending.
func (e *Engine) fallbacks(ctx context.Context) []string {
	if e.link.fallbacks != nil {
		return e.link.fallbacks
	}
	servers, err := e.hostResolvers(ctx)
	if err != nil {
		e.log.Warn("names outside the cluster are not found while the engine is away", "err", err)
		return nil
	}
	flags := []string{}
	for _, server := range servers {
		flags = append(flags, "--fallback="+server)
	}
	e.link.fallbacks = flags
	return flags
}
