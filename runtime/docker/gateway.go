package docker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
)

// The gateway is two containers. The holder owns the network namespace, in which the kernel's rules and connections
// are, and does nothing; it is never replaced while it runs. The agent serves DNS and writes the rules; it is replaced
// with every new infra image, the new one beside the old one first.

// firstAnswer is how long Ensure waits for the agent.
const firstAnswer = time.Minute

// ensureGateway makes both run and attaches to the agent.
func (e *Engine) ensureGateway(ctx context.Context, progress func(string)) error {
	if err := e.mendGateway(ctx, progress); err != nil {
		return err
	}
	e.superviseGateway()
	first, cancel := context.WithTimeout(ctx, firstAnswer)
	defer cancel()
	if _, err := e.link.get(first); err != nil {
		return fmt.Errorf("reach the gateway's agent: %w", err)
	}
	return e.removeOldAgents(ctx)
}

// mendGateway makes, starts or restarts whatever of the gateway is not as it should be, and remembers the agent.
func (e *Engine) mendGateway(ctx context.Context, progress func(string)) error {
	e.link.mending.Lock()
	defer e.link.mending.Unlock()
	holder, err := e.ensureHolder(ctx, progress)
	if err != nil {
		return wrap("start", "the gateway", err)
	}
	agent, err := e.ensureAgent(ctx, e.names.agentSpec(e.ensured(), holder.id), holder, "the gateway's agent", progress)
	if err != nil {
		return wrap("start", "the gateway's agent", err)
	}
	e.link.setAgent(agent.id)
	return nil
}

// ensureHolder also finds out whether the engine may lower OOM scores: the holder asks for it. Where it may not, runc
// dies at the start with no clear word, so whatever the reason was, the holder is tried once without.
func (e *Engine) ensureHolder(ctx context.Context, progress func(string)) (*entry, error) {
	holder, err := e.find(ctx, e.names.holder(), roleHolder)
	if err != nil {
		return nil, err
	}
	if holder != nil && (holder.running || !holder.started.IsZero()) {
		e.noteOOM(holder.oomScore < 0)
		return e.run(ctx, holder)
	}
	if holder != nil { // an earlier daemon got no further than creating it
		if err := e.remove(ctx, holder.id); err != nil {
			return nil, err
		}
	}
	progress("starting the gateway")
	for _, lowers := range []bool{true, false} {
		e.noteOOM(lowers)
		if holder, err = e.createGateway(ctx, e.names.holderSpec(e.ensured(), e.learned())); err != nil {
			return nil, err
		}
		started, startErr := e.run(ctx, holder)
		if startErr == nil {
			return started, nil
		}
		if err = e.remove(ctx, holder.id); err != nil {
			return nil, err
		}
		err = startErr
	}
	return nil, err
}

// ensureAgent makes an agent of the current image run in the holder's namespace. One that joined before the holder
// started is in a namespace that is gone.
func (e *Engine) ensureAgent(ctx context.Context, spec spec, holder *entry, what string, progress func(string)) (*entry, error) {
	agent, err := e.find(ctx, spec.name, spec.config.Labels[labelRole])
	if err != nil {
		return nil, err
	}
	if agent != nil && agent.network != string(spec.host.NetworkMode) {
		if err := e.remove(ctx, agent.id); err != nil {
			return nil, err
		}
		agent = nil
	}
	if agent == nil {
		progress("starting " + what)
		if spec.config.Labels[labelRole] == roleAgent {
			spec.config.Cmd = append(spec.config.Cmd, e.fallbacks(ctx)...)
		}
		if agent, err = e.createGateway(ctx, spec); err != nil {
			return nil, err
		}
	}
	if agent.running && agent.started.Before(holder.started) {
		return e.restart(ctx, agent.id)
	}
	return e.run(ctx, agent)
}

// find looks for a container by name; nil if there is none. One of that name that is not ours is an error.
func (e *Engine) find(ctx context.Context, name, role string) (*entry, error) {
	found, err := e.cli.ContainerInspect(ctx, name)
	if cerrdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if labels := found.Config.Labels; labels[labelInstance] != e.options.Instance || labels[labelRole] != role {
		return nil, fmt.Errorf("container %s: %w", name, errForeign)
	}
	return e.refresh(ctx, found.ID)
}

func (e *Engine) createGateway(ctx context.Context, s spec) (*entry, error) {
	id, err := e.create(ctx, s)
	if err != nil {
		return nil, err
	}
	return e.refresh(ctx, id)
}

func (e *Engine) run(ctx context.Context, en *entry) (*entry, error) {
	if en.running {
		return en, nil
	}
	err := e.launch(ctx, en.id, !en.started.IsZero())
	if leftBehind(err) {
		return nil, errors.Join(errLeftBehind, e.remove(ctx, en.id)) // the next try makes it
	}
	if err != nil {
		return nil, err
	}
	return e.mustRefresh(ctx, en.id)
}

// mustRefresh is refresh of what has just been there.
func (e *Engine) mustRefresh(ctx context.Context, id string) (*entry, error) {
	en, err := e.refresh(ctx, id)
	if err == nil && en == nil {
		err = fmt.Errorf("container %s went away", short(id))
	}
	return en, err
}

func (e *Engine) restart(ctx context.Context, id string) (*entry, error) {
	grace := 1
	if err := e.cli.ContainerRestart(ctx, id, container.StopOptions{Timeout: &grace}); err != nil {
		return nil, err
	}
	return e.mustRefresh(ctx, id)
}

// removeOldAgents removes the agents that earlier binaries started, once the current one answers.
func (e *Engine) removeOldAgents(ctx context.Context) error {
	current := e.link.agentID()
	old := slices.DeleteFunc(e.cache.all(), func(en *entry) bool { return en.role != roleAgent || en.id == current })
	for _, en := range old {
		if err := e.remove(ctx, en.id); err != nil {
			return wrap("remove", "container "+en.name, err)
		}
	}
	return nil
}

// holderSpec leaves HostConfig.DNS alone: what Docker writes into its resolv.conf is the agent's upstream.
func (n names) holderSpec(s shared, f facts) spec {
	address := s.network.gateway
	config := &container.Config{Image: s.infra, Hostname: "gateway", Cmd: []string{"sandbox", "--hold"}, Labels: n.labels(roleHolder)}
	return spec{
		name: n.holder(), config: config, network: n.fixed(config, address, f),
		host: &container.HostConfig{
			NetworkMode:   container.NetworkMode(n.network()),
			Sysctls:       map[string]string{"net.ipv4.ip_forward": "1"},
			RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyAlways},
			LogConfig:     smallLog("100k"),
			OomScoreAdj:   f.allowed(sandboxOOMScoreAdj),
		},
	}
}

// fixed gives a container an address in the pod network, and the hardware address that belongs to it.
func (n names) fixed(config *container.Config, address netip.Addr, f facts) *network.NetworkingConfig {
	endpoint := &network.EndpointSettings{IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: address.String()}}
	if f.endpointMAC {
		endpoint.MacAddress = mac(address)
	} else {
		//lint:ignore SA1019 before API 1.44 there is no other way
		config.MacAddress = mac(address)
	}
	return at(n.network(), endpoint)
}

func (n names) agentSpec(s shared, holder string) spec {
	return spec{
		name: n.agent(s.tag),
		config: &container.Config{
			Image: s.infra, Labels: n.labels(roleAgent), OpenStdin: true,
			Cmd: []string{
				"gateway", "--ip=" + s.network.gateway.String(), "--pod-cidr=" + s.network.pods.String(),
				"--host-ip=" + s.network.bridge.String(), "--service-cidr=" + s.network.services.String(),
				"--publication-cidr=" + s.network.publications.String(), "--state=/state/table.json",
			},
		},
		host: &container.HostConfig{
			NetworkMode:   container.NetworkMode("container:" + holder),
			CapAdd:        []string{"NET_ADMIN"},
			RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyAlways},
			LogConfig:     smallLog("1m"),
			Mounts: []mount.Mount{{
				Type: mount.TypeVolume, Source: n.state(), Target: "/state",
				VolumeOptions: &mount.VolumeOptions{NoCopy: true, Labels: n.labels(roleVolume)},
			}},
		},
	}
}
