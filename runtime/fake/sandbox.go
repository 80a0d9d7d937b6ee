package fake

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podyard/podyard/runtime"
)

// sandboxKey is what the name of a sandbox on a real engine is made of.
type sandboxKey struct{ namespace, name, uid string }

type sandbox struct {
	id, ip                     string
	key                        sandboxKey
	manifest                   *corev1.Pod
	config                     runtime.SandboxConfig
	phase                      runtime.ContainerState
	created, started, finished time.Time
}

func (s *sandbox) name() string { return s.key.namespace + "/" + s.key.name }

func (s *sandbox) observe() runtime.Pod {
	return runtime.Pod{
		Manifest: s.manifest, ID: s.id, IP: s.ip, Phase: s.phase,
		CreatedAt: s.created, StartedAt: s.started, FinishedAt: s.finished,
	}
}

// CreateSandbox implements runtime.Sandboxes.
func (e *Engine) CreateSandbox(ctx context.Context, config runtime.SandboxConfig) (id string, err error) {
	pod := config.Pod
	key := sandboxKey{pod.Namespace, pod.Name, string(pod.UID)}
	err = e.do(ctx, "CreateSandbox", pod.Namespace+"/"+pod.Name, func() error {
		if s := e.findSandbox(key); s != nil {
			id = s.id
			return nil
		}
		s, err := e.newSandbox(key, config)
		if err != nil {
			return err
		}
		id = s.id
		return nil
	})
	if err != nil {
		return "", err
	}
	return id, nil
}

func (e *Engine) findSandbox(key sandboxKey) *sandbox {
	for _, s := range e.sandboxes {
		if s.key == key && s.phase != runtime.Missing {
			return s
		}
	}
	return nil
}

func (e *Engine) newSandbox(key sandboxKey, config runtime.SandboxConfig) (*sandbox, error) {
	if !e.ensured {
		return nil, errNotEnsured
	}
	if err := e.makeVolumes(key, config.Volumes); err != nil {
		return nil, err
	}
	if h := config.RuntimeHandler; h != "" && !slices.Contains(e.options.Runtimes, h) {
		return nil, fmt.Errorf("unknown or invalid runtime name: %s: %w", h, runtime.ErrInvalid)
	}
	s := &sandbox{key: key, config: config, phase: runtime.Created, created: now(), ip: hostIP}
	if !config.Pod.Spec.HostNetwork {
		s.ip = e.freeAddress()
	}
	s.id = e.newID(s.name())
	s.manifest = config.Pod.DeepCopy()
	s.manifest.Status = corev1.PodStatus{}
	e.sandboxes[s.id] = s
	e.touch()
	return s, nil
}

// freeAddress is the lowest that no sandbox has: an address is used again as soon as it can be, so that whoever holds
// on to a stale one is found out.
func (e *Engine) freeAddress() string {
	used := map[string]bool{}
	for _, s := range e.sandboxes {
		used[s.ip] = true
	}
	address := netip.MustParseAddr("10.89.0.2")
	for used[address.String()] {
		address = address.Next()
	}
	return address.String()
}

// StartSandbox implements runtime.Sandboxes.
func (e *Engine) StartSandbox(ctx context.Context, id string) error {
	return e.do(ctx, "StartSandbox", id, func() error {
		s := e.sandboxes[id]
		if s == nil || s.phase == runtime.Missing {
			return runtime.ErrNotFound
		}
		if s.phase == runtime.Running {
			return nil
		}
		if err := e.portTaken(s); err != nil {
			return err
		}
		if s.started.IsZero() {
			e.writeFirst(s)
		}
		e.runSandbox(s)
		return nil
	})
}

// portTaken tells which host port of the sandbox another running sandbox holds, a publication, or somebody else. Docker notices
// at the start, not at the creation.
func (e *Engine) portTaken(s *sandbox) error {
	for _, want := range s.config.Ports {
		if key := (portKey{want.HostPort, protocolOf(want)}); want.HostPort != 0 && (e.heldPorts[key] || e.publishedPort(key)) {
			return fmt.Errorf("host port %d/%s is taken: port is already allocated", want.HostPort, protocolOf(want))
		}
		for _, other := range e.sortedSandboxes() {
			if other == s || other.phase != runtime.Running || !slices.ContainsFunc(other.config.Ports, func(held corev1.ContainerPort) bool { return meet(want, held) }) {
				continue
			}
			return fmt.Errorf("host port %d/%s is taken by pod %s: port is already allocated", want.HostPort, protocolOf(want), other.name())
		}
	}
	return nil
}

// meet: one host port on one address, where none given is all.
func meet(a, b corev1.ContainerPort) bool {
	all := func(p corev1.ContainerPort) bool { return p.HostIP == "" || p.HostIP == "0.0.0.0" }
	return a.HostPort != 0 && a.HostPort == b.HostPort && protocolOf(a) == protocolOf(b) && (a.HostIP == b.HostIP || all(a) || all(b))
}

func protocolOf(p corev1.ContainerPort) corev1.Protocol {
	if p.Protocol == "" {
		return corev1.ProtocolTCP
	}
	return p.Protocol
}

// RemoveSandbox implements runtime.Sandboxes.
func (e *Engine) RemoveSandbox(ctx context.Context, id string) error {
	return e.do(ctx, "RemoveSandbox", id, func() error {
		if s := e.sandboxes[id]; s != nil {
			e.removeSandbox(s)
		}
		return nil
	})
}

func (e *Engine) removeSandbox(s *sandbox) {
	for _, c := range e.sortedContainers() {
		if c.sandbox == s {
			e.exit(c, killed, false)
			delete(e.containers, c.id)
		}
	}
	delete(e.sandboxes, s.id)
	if e.findSandbox(s.key) == nil { // a sandbox made anew for the same pod uses them
		e.removeVolumes(s.key)
	}
	e.touch()
}

// loseSandbox leaves what the labels of a sandbox's containers tell, or nothing if it has none.
func (e *Engine) loseSandbox(s *sandbox) {
	s.phase, s.ip, s.started, s.finished = runtime.Missing, "", time.Time{}, time.Time{}
	s.manifest = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: s.manifest.Namespace, Name: s.manifest.Name, UID: s.manifest.UID,
	}}
	e.dropIfEmpty(s)
	e.touch()
}

func (e *Engine) dropIfEmpty(s *sandbox) {
	if s.phase != runtime.Missing {
		return
	}
	for _, c := range e.containers {
		if c.sandbox == s {
			return
		}
	}
	delete(e.sandboxes, s.id)
}

// StopSandbox implements runtime.Sandboxes.
func (e *Engine) StopSandbox(ctx context.Context, id string) error {
	return e.do(ctx, "StopSandbox", id, func() error {
		s := e.sandboxes[id]
		if s == nil || s.phase == runtime.Missing {
			return runtime.ErrNotFound
		}
		e.endSandbox(s)
		return nil
	})
}
