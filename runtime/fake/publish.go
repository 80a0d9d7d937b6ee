package fake

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

// HoldPort makes a port of the host somebody else's, as "80/TCP", until release.
func (e *Engine) HoldPort(port int32, protocol corev1.Protocol) (release func()) {
	key := portKey{port, protocol}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heldPorts[key] = true
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.heldPorts, key)
	}
}

type portKey struct {
	port     int32
	protocol corev1.Protocol
}

// Publish implements runtime.Publisher.
func (e *Engine) Publish(ctx context.Context, p runtime.Publication) error {
	held := copyPublication(p)
	return e.do(ctx, "Publish", publicationName(p.Namespace, p.Name), func() error {
		if !e.ensured {
			return errNotEnsured
		}
		i := slices.IndexFunc(e.publications, func(other runtime.Published) bool { return sameName(other.Publication, held) })
		var before runtime.Published
		if i >= 0 {
			before = e.publications[i]
		}
		if before.Running && reflect.DeepEqual(before.Publication, held) {
			return nil
		}
		if i >= 0 {
			e.publications = slices.Delete(e.publications, i, i+1)
		}
		made := runtime.Published{Publication: held, Running: true}
		err := e.publishedElsewhere(held)
		if err != nil {
			made.Running, made.Error = false, err.Error()
		}
		e.publications = append(e.publications, made)
		slices.SortFunc(e.publications, func(a, b runtime.Published) int {
			return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
		})
		if !reflect.DeepEqual(before, made) {
			e.touch()
		}
		return err
	})
}

// ClosePublication is a publication whose container dies, and is not restarted.
func (e *Engine) ClosePublication(namespace, name string) {
	e.locked(func() {
		for i := range e.publications {
			if p := &e.publications[i]; p.Namespace == namespace && p.Name == name {
				p.Running, p.Error = false, "exit code 137"
				e.touch()
			}
		}
	})
}

// publishedElsewhere looks among what is held from outside, other publications, and pods.
func (e *Engine) publishedElsewhere(p runtime.Publication) error {
	for _, want := range p.Ports {
		if key := (portKey{want.HostPort, want.Protocol}); e.heldPorts[key] || e.publishedPort(key) || e.podPort(key) {
			return fmt.Errorf("%w: %d/%s", runtime.ErrPortTaken, want.HostPort, want.Protocol)
		}
	}
	return nil
}

func (e *Engine) publishedPort(key portKey) bool {
	return slices.ContainsFunc(e.publications, func(p runtime.Published) bool {
		return p.Running && slices.ContainsFunc(p.Ports, func(port runtime.PublishedPort) bool { return portKey{port.HostPort, port.Protocol} == key })
	})
}

func (e *Engine) podPort(key portKey) bool {
	for _, s := range e.sandboxes {
		if s.phase == runtime.Running && slices.ContainsFunc(s.config.Ports, func(p corev1.ContainerPort) bool { return portKey{p.HostPort, p.Protocol} == key }) {
			return true
		}
	}
	return false
}

// Unpublish implements runtime.Publisher.
func (e *Engine) Unpublish(ctx context.Context, namespace, name string) error {
	return e.do(ctx, "Unpublish", publicationName(namespace, name), func() error {
		gone := runtime.Publication{Namespace: namespace, Name: name}
		e.publications = slices.DeleteFunc(e.publications, func(p runtime.Published) bool { return sameName(p.Publication, gone) })
		e.touch()
		return nil
	})
}

func sameName(a, b runtime.Publication) bool { return a.Namespace == b.Namespace && a.Name == b.Name }

// publicationName is what calls are recorded under.
func publicationName(namespace, name string) string {
	return strings.TrimPrefix(namespace+"/"+name, "/")
}

func copyPublication(p runtime.Publication) runtime.Publication {
	p.Ports, p.SourceRanges = slices.Clone(p.Ports), slices.Clone(p.SourceRanges)
	return p
}

func copyPublications(list []runtime.Published) []runtime.Published {
	out := slices.Clone(list)
	for i := range out {
		out[i].Publication = copyPublication(out[i].Publication)
	}
	return out
}
