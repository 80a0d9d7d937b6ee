package fake

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/podyard/podyard/runtime"
)

// errNotEnsured is what needs the network or the gateway gets before Ensure made them.
var errNotEnsured = errors.New("the network is not there: Ensure makes it")

// Ensure implements runtime.Setup.
func (e *Engine) Ensure(ctx context.Context, progress func(string)) error {
	var made []string
	err := e.do(ctx, "Ensure", "", func() error {
		if !e.ensured {
			made = []string{"infra image", "network", "gateway"}
			e.ensured = true
			e.touch()
		}
		return nil
	})
	for _, what := range made {
		if progress != nil {
			progress("made " + what)
		}
	}
	return err
}

// Teardown implements runtime.Setup.
func (e *Engine) Teardown(ctx context.Context, volumes bool, report func(string)) error {
	var gone []string
	err := e.do(ctx, "Teardown", "", func() error {
		gone = e.teardown(volumes)
		return nil
	})
	for _, what := range gone {
		if report != nil {
			report("removed " + what)
		}
	}
	return err
}

func (e *Engine) teardown(volumes bool) []string {
	var gone []string
	for _, s := range e.sortedSandboxes() {
		e.removeSandbox(s)
		gone = append(gone, "pod "+s.name())
	}
	for _, name := range slices.Sorted(maps.Keys(e.volumes)) {
		switch v := e.volumes[name]; v.kind {
		case runtime.HostPath, runtime.NFS:
			continue
		case runtime.Persistent:
			if v.adopted || !volumes {
				continue
			}
		}
		delete(e.volumes, name)
		gone = append(gone, "volume "+name)
	}
	for _, p := range e.publications {
		gone = append(gone, "publication "+publicationName(p.Namespace, p.Name))
	}
	if e.ensured {
		gone = append(gone, "gateway", "network", "infra image")
	}
	e.ensured, e.routes, e.publications = false, runtime.Routes{}, nil
	e.touch()
	return gone
}
