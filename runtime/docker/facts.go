package docker

import (
	"context"
	"strings"

	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/versions"
)

// facts are what the engine says of itself; they hold as long as it runs.
type facts struct {
	hostname, os, arch string
	// version of the engine.
	version string
	// memory in bytes, for OOM scores.
	memory int64
	// loggingDriver is the engine's default.
	loggingDriver string
	// lowersOOM: the engine may lower OOM scores, which takes CAP_SYS_RESOURCE on its host; rootless ones may not. Ensure
	// finds out.
	lowersOOM bool
	// subpath: a mount may show a part of a volume (engine 26, API 1.45).
	subpath bool
	// endpointMAC: the MAC address belongs to the endpoint and no longer to the container (engine 25, API 1.44).
	endpointMAC bool
}

func (e *Engine) learn(ctx context.Context) error {
	info, err := e.cli.Info(ctx)
	if err != nil {
		return wrap("reach", "the Docker engine", err)
	}
	e.facts = factsOf(info, e.cli.ClientVersion())
	return nil
}

func factsOf(info system.Info, apiVersion string) facts {
	return facts{
		hostname:      info.Name,
		version:       info.ServerVersion,
		os:            info.OSType,
		arch:          goArch(info.Architecture),
		memory:        info.MemTotal,
		loggingDriver: info.LoggingDriver,
		subpath:       versions.GreaterThanOrEqualTo(apiVersion, "1.45"),
		endpointMAC:   versions.GreaterThanOrEqualTo(apiVersion, "1.44"),
	}
}

// goArch turns the kernel's word for a processor into Go's, which Kubernetes uses too.
func goArch(machine string) string {
	switch machine {
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	case "armv6l", "armv7l":
		return "arm"
	case "i386", "i686":
		return "386"
	}
	return machine
}

// host has the labels of the only node there is.
func (f facts) host() map[string]string {
	return map[string]string{
		"kubernetes.io/hostname": strings.ToLower(f.hostname),
		"kubernetes.io/os":       f.os,
		"kubernetes.io/arch":     f.arch,
	}
}
