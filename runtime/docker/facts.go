package docker

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/versions"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// facts are what the engine says of itself; they hold as long as it runs.
type facts struct {
	extras
	hostname, os, arch string
	// version of the engine.
	version string
	// memory in bytes, for OOM scores; cpus are cores.
	memory int64
	cpus   int
	// loggingDriver is the engine's default.
	loggingDriver string
	// lowersOOM: the engine may lower OOM scores, which takes CAP_SYS_RESOURCE on its host; rootless ones may not. Ensure
	// finds out.
	lowersOOM bool
	// annotations: a container may carry some for its OCI runtime (engine 24, API 1.43).
	annotations bool
	// subpath: a mount may show a part of a volume (engine 26, API 1.45).
	subpath bool
	// bindOptions: a bind may make its source and say what is read-only below it (engine 25, API 1.44).
	bindOptions bool
	// endpointMAC: the MAC address belongs to the endpoint and no longer to the container (engine 25, API 1.44).
	endpointMAC bool
}

func (e *Engine) learn(ctx context.Context) error {
	info, err := e.cli.Info(ctx)
	if err != nil {
		return wrap("reach", "the Docker engine", err)
	}
	e.facts = factsOf(info, e.cli.ClientVersion())
	e.noteExtras(e.facts.extras)
	return nil
}

// extras are facts that an operator changes, and then restarts the engine: they are asked for anew with each connection
// for events.
type extras struct {
	// runtimes are the names of the engine's OCI runtimes, sorted.
	runtimes []string
	// losesMemory: after a restart with live-restore, what the engine starts anew finds its volumes in memory empty
	// (moby issue 46148; engine 24.0.6 mended it).
	losesMemory bool
	// cdi: a device request may name devices of the Container Device Interface.
	cdi bool
	// appArmor: the host's kernel has it. That seccomp is missing the engine says itself when it is asked for a profile.
	appArmor bool
}

func extrasOf(info system.Info) extras {
	return extras{
		runtimes: slices.Sorted(maps.Keys(info.Runtimes)), cdi: len(info.CDISpecDirs) > 0,
		appArmor:    slices.Contains(info.SecurityOptions, "name=apparmor"),
		losesMemory: info.LiveRestoreEnabled && versions.LessThan(info.ServerVersion, "24.0.6"),
	}
}

func (e *Engine) learnExtras(ctx context.Context) error {
	info, err := e.cli.Info(ctx)
	if err != nil {
		return wrap("reach", "the Docker engine", err)
	}
	e.noteExtras(extrasOf(info))
	return nil
}

func (e *Engine) noteExtras(found extras) {
	if found.losesMemory && !e.cache.engineExtras().losesMemory {
		e.log.Warn("Secrets and other volumes in memory are kept on the engine's disk: with live-restore, Docker before 24.0.6 loses what is in memory")
	}
	e.cache.setExtras(found)
}

func factsOf(info system.Info, apiVersion string) facts {
	return facts{
		extras:        extrasOf(info),
		hostname:      info.Name,
		version:       info.ServerVersion,
		os:            info.OSType,
		arch:          goArch(info.Architecture),
		memory:        info.MemTotal,
		cpus:          info.NCPU,
		loggingDriver: info.LoggingDriver,
		annotations:   versions.GreaterThanOrEqualTo(apiVersion, "1.43"),
		subpath:       versions.GreaterThanOrEqualTo(apiVersion, "1.45"),
		bindOptions:   versions.GreaterThanOrEqualTo(apiVersion, "1.44"),
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

// capacity is what the host has, as a node reports it.
func (f facts) capacity() corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewQuantity(int64(f.cpus), resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(f.memory, resource.BinarySI),
	}
}

// host has the labels of the only node there is.
func (f facts) host() map[string]string {
	return map[string]string{
		"kubernetes.io/hostname": strings.ToLower(f.hostname),
		"kubernetes.io/os":       f.os,
		"kubernetes.io/arch":     f.arch,
	}
}
