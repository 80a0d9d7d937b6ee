package docker

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

// portTaken tells that a host port is in use: the first are Docker's words for a port that it has published itself, the
// others the kernel's.
func portTaken(err error) bool {
	if err == nil {
		return false
	}
	text := err.Error()
	return strings.Contains(text, "port is already allocated") || strings.Contains(text, "address already in use") ||
		strings.Contains(text, "failed to bind host port")
}

// explainPort names the port of a sandbox that is taken, and whoever has it, so that a person knows what to stop.
func (e *Engine) explainPort(ctx context.Context, sandbox *entry, err error) error {
	if err != nil && strings.Contains(err.Error(), "protocol not supported") && slices.ContainsFunc(sandbox.ports, isSCTP) {
		return fmt.Errorf("the kernel of the engine's host has no SCTP (modprobe sctp): %w", err)
	}
	if !portTaken(err) {
		return err
	}
	list, listErr := e.cli.ContainerList(ctx, container.ListOptions{})
	if listErr != nil {
		return err
	}
	for _, want := range sandbox.ports {
		if owner := ownerOf(want, list, sandbox.id); owner != "" {
			return fmt.Errorf("host port %s is taken by %s: %w", portName(want), owner, err)
		}
	}
	for _, want := range sandbox.ports {
		if regexp.MustCompile(fmt.Sprintf(`:%d\b`, want.HostPort)).MatchString(err.Error()) {
			return fmt.Errorf("host port %s is taken by a program outside Docker: %w", portName(want), err)
		}
	}
	return err
}

func isSCTP(p corev1.ContainerPort) bool { return p.Protocol == corev1.ProtocolSCTP }

func portName(p corev1.ContainerPort) string {
	return fmt.Sprintf("%d/%s", p.HostPort, protocolOf(p))
}

func protocolOf(p corev1.ContainerPort) corev1.Protocol {
	if p.Protocol == "" {
		return corev1.ProtocolTCP
	}
	return p.Protocol
}

// ownerOf is the container that publishes a port, by its pod where it has one.
func ownerOf(want corev1.ContainerPort, list []container.Summary, except string) string {
	for _, c := range list {
		if c.ID == except {
			continue
		}
		for _, have := range c.Ports {
			if int32(have.PublicPort) == want.HostPort && strings.EqualFold(have.Type, string(protocolOf(want))) && meet(have.IP, want.HostIP) {
				return describe(c)
			}
		}
	}
	return ""
}

func describe(c container.Summary) string {
	name := short(c.ID)
	if len(c.Names) > 0 {
		name = strings.TrimPrefix(c.Names[0], "/")
	}
	if namespace, pod, _ := podOf(c.Labels); pod != "" {
		return fmt.Sprintf("pod %s/%s (container %s)", namespace, pod, name)
	}
	if label := c.Labels[labelPublication]; label != "" {
		var p runtime.Publication
		decodeJSON(label, &p)
		return fmt.Sprintf("the publication of %s (container %s)", publicationName(p), name)
	}
	return "container " + name
}

// meet: two addresses to listen on are in each other's way if they are equal, or one means all of its kind.
func meet(a, b string) bool {
	one, errOne := netip.ParseAddr(a)
	two, errTwo := netip.ParseAddr(b)
	if errOne != nil || errTwo != nil { // none given is all
		return true
	}
	return one == two || one.Is4() == two.Is4() && (one.IsUnspecified() || two.IsUnspecified())
}
