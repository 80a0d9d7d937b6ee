package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
)

// shared is what all pods of the instance use. It is zero until Ensure.
type shared struct {
	// infra is the infra image's reference, tag its tag.
	infra, tag string
	network    ranges
	// lowersOOM completes the engine's facts.
	lowersOOM bool
}

func (s shared) ready() bool { return s.infra != "" && s.network.subnet.IsValid() }

// ensureNetwork finds the instance's network or makes it.
func (e *Engine) ensureNetwork(ctx context.Context, progress func(string)) (ranges, error) {
	found, ok, err := e.findNetwork(ctx)
	if err != nil || ok {
		return found, err
	}
	wanted := candidates()
	if e.options.CIDR != "" {
		wanted = []string{e.options.CIDR}
	}
	for _, cidr := range wanted {
		r, err := parseRanges(cidr)
		if err != nil {
			return ranges{}, err
		}
		err = e.createNetwork(ctx, r)
		if overlaps(err) {
			continue
		}
		if err != nil {
			return ranges{}, wrap("create", "network "+e.names.network(), err)
		}
		progress(fmt.Sprintf("made network %s, %s", e.names.network(), cidr))
		return r, nil
	}
	return ranges{}, fmt.Errorf("create network %s: %s: in use by other networks", e.names.network(), strings.Join(wanted, ", "))
}

// findNetwork looks for the network by name. One of that name that is not ours is an error.
func (e *Engine) findNetwork(ctx context.Context) (ranges, bool, error) {
	name := e.names.network()
	list, err := e.cli.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("name", "^"+name+"$"))})
	if err != nil {
		return ranges{}, false, wrap("find", "network "+name, err)
	}
	for _, n := range list {
		if n.Name != name {
			continue
		}
		if n.Labels[labelInstance] != e.options.Instance {
			return ranges{}, false, fmt.Errorf("network %s: %w", name, errForeign)
		}
		r, err := rangesOf(n)
		return r, err == nil, err
	}
	return ranges{}, false, nil
}

// lookAtNetwork learns the ClusterIP slice of a network that an earlier daemon made.
func (e *Engine) lookAtNetwork(ctx context.Context) error {
	if e.cache.serviceCIDR() != "" {
		return nil
	}
	found, ok, err := e.findNetwork(ctx)
	if ok {
		e.cache.setServiceCIDR(found.services.String())
	}
	if errors.Is(err, errForeign) {
		return nil // Ensure will say so
	}
	return err
}

func rangesOf(n network.Summary) (ranges, error) {
	for _, c := range n.IPAM.Config {
		if r, err := parseRanges(c.Subnet); err == nil {
			return r, nil
		}
	}
	return ranges{}, fmt.Errorf("network %s has no IPv4 subnet of /16 to /22", n.Name)
}

func (e *Engine) createNetwork(ctx context.Context, r ranges) error {
	_, err := e.cli.NetworkCreate(ctx, e.names.network(), network.CreateOptions{
		Driver: "bridge",
		Labels: e.names.labels(roleNetwork),
		IPAM: &network.IPAM{Driver: "default", Config: []network.IPAMConfig{{
			Subnet: r.subnet.String(), Gateway: r.bridge.String(), IPRange: r.dynamic.String(),
		}}},
		Options: map[string]string{"com.docker.network.bridge.enable_icc": "true"},
	})
	return err
}

// overlaps tells that an address range is taken, in the words of libnetwork's ipam and bridge driver.
func overlaps(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "Pool overlaps") || strings.Contains(err.Error(), "overlapping IPv4"))
}

var errNoAddress = errors.New("no free address in the pod network")
