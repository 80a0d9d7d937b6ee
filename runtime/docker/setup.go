package docker

import (
	"context"
	"fmt"
	goruntime "runtime"
)

// Ensure implements runtime.Setup.
func (e *Engine) Ensure(ctx context.Context, progress func(string)) error {
	if progress == nil {
		progress = func(string) {}
	}
	e.ensuring.Lock()
	defer e.ensuring.Unlock()
	if err := e.checkPlatform(); err != nil {
		return err
	}
	if err := e.synced(ctx); err != nil {
		return err
	}
	tag, err := e.ensureInfra(ctx, progress)
	if err != nil {
		return err
	}
	network, err := e.ensureNetwork(ctx, progress)
	if err != nil {
		return err
	}
	e.cache.setServiceCIDR(network.services.String())
	e.setShared(shared{infra: infraRepository + ":" + tag, tag: tag, network: network})
	if err := e.ensureGateway(ctx, progress); err != nil {
		return err
	}
	e.renewPublications(ctx, progress)
	e.resumeIngress(ctx, progress)
	if err := e.removeChecks(ctx); err != nil {
		return err
	}
	return e.removeOldInfra(ctx)
}

// checkPlatform: the infra image is made of the running binary, so that must be one that the engine can run.
func (e *Engine) checkPlatform() error {
	if goruntime.GOOS == "linux" && e.facts.os == "linux" && e.facts.arch == goruntime.GOARCH {
		return nil
	}
	return fmt.Errorf("make the infra image: the engine runs %s/%s, this program is for %s/%s: run Podyard's container image on the engine instead",
		e.facts.os, e.facts.arch, goruntime.GOOS, goruntime.GOARCH)
}

func (e *Engine) setShared(s shared) {
	e.sharing.Lock()
	defer e.sharing.Unlock()
	e.shared = s
}

// ensured is what Ensure found; zero before.
func (e *Engine) ensured() shared {
	e.sharing.Lock()
	defer e.sharing.Unlock()
	return e.shared
}

// learned are the engine's facts with what Ensure found out.
func (e *Engine) learned() facts {
	f := e.facts
	f.extras, f.lowersOOM = e.cache.engineExtras(), e.ensured().lowersOOM
	return f
}

func (e *Engine) noteOOM(lowers bool) {
	e.sharing.Lock()
	defer e.sharing.Unlock()
	e.shared.lowersOOM = lowers
}
