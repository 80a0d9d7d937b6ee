package reconcile

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/podyard/podyard/runtime"
)

// prober asks containers how they are. The rules are upstream's pkg/kubelet/prober (worker.go): readiness is false and
// liveness true until told otherwise, a result counts when its threshold is reached, liveness and readiness wait for the
// startup probe, and a probe that wants a restart says no more until there is a new container.
//
// One thing is quicker than upstream: until a container is ready for the first time it is asked again after 100 ms,
// 200 ms, 400 ms, … up to the period, so that a rollout does not wait out a period of ten seconds for a program that was up
// after half a second. These early questions can only succeed: their failures do not count.
type prober struct {
	probe   probeFunc
	changed func()

	mu      sync.Mutex
	workers map[string]*worker
	// routed holds the addresses that were ready when the daemon started: their pods were ready, and stay so until a
	// probe says otherwise. nil after the first sync.
	routed map[string]bool
	synced bool
	done   sync.WaitGroup
}

type probeFunc func(ctx context.Context, pod *runtime.Pod, containerID string, handler corev1.ProbeHandler) (runtime.ProbeResult, error)

const firstEarlyProbe = 100 * time.Millisecond

func newProber(probe probeFunc, changed func()) *prober {
	return &prober{probe: probe, changed: changed, workers: map[string]*worker{}}
}

// worker is what is known of one running container.
type worker struct {
	cancel context.CancelFunc
	verdict
}

// verdict is what a container's probes have found.
type verdict struct {
	started bool
	ready   bool
	// readySince is when it became ready, unreadySince when it ceased to be; one of them, or none.
	readySince, unreadySince time.Time
	unhealthy, by, notReady  string
}

// sync starts workers for the containers that run and stops the others. It reports whether any was started. Init
// containers that are no sidecars, and containers for debugging, have no probes; a container whose postStart hook runs
// still is not asked yet.
func (p *prober) sync(ctx context.Context, state *runtime.State) (started bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.synced {
		p.routed, p.synced = readyAddresses(state), true
	}
	running := map[string]bool{}
	for i := range state.Pods {
		pod := &state.Pods[i]
		for j := range pod.Containers {
			c := &pod.Containers[j]
			spec := containerSpec(pod.Manifest, c.Name)
			if c.State != runtime.Running || c.Starting || c.Ephemeral || spec == nil {
				continue
			}
			running[c.ID] = true
			if p.workers[c.ID] == nil {
				p.workers[c.ID], started = p.start(ctx, *pod, *c, spec), true
			}
		}
	}
	for id, w := range p.workers {
		if !running[id] {
			w.cancel()
			delete(p.workers, id)
		}
	}
	p.routed = nil
	return started
}

// start begins to ask one container. The caller holds mu.
func (p *prober) start(ctx context.Context, pod runtime.Pod, c runtime.Container, spec *corev1.Container) *worker {
	ctx, cancel := context.WithCancel(ctx)
	w := &worker{cancel: cancel}
	w.started = spec.StartupProbe == nil || p.routed[pod.IP]
	if w.started && (spec.ReadinessProbe == nil || p.routed[pod.IP]) {
		w.ready, w.readySince = true, c.StartedAt
		if hooked := spec.Lifecycle != nil && spec.Lifecycle.PostStart != nil; hooked && p.routed == nil {
			w.readySince = time.Now() // its hook has just ended
		}
	}
	if spec.StartupProbe != nil || spec.ReadinessProbe != nil || spec.LivenessProbe != nil {
		p.done.Go(func() { p.watch(ctx, w, &pod, &c, spec) })
	}
	return w
}

func (p *prober) stop() {
	p.mu.Lock()
	for id, w := range p.workers {
		w.cancel()
		delete(p.workers, id)
	}
	p.mu.Unlock()
	p.done.Wait()
}

// overlay fills in what is known of each container.
func (p *prober) overlay(state *runtime.State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range state.Pods {
		for j := range state.Pods[i].Containers {
			c := &state.Pods[i].Containers[j]
			if w := p.workers[c.ID]; w != nil {
				c.Started, c.Ready, c.ReadySince, c.UnreadySince = w.started, w.ready, w.readySince, w.unreadySince
				c.Unhealthy, c.UnhealthyProbe, c.NotReady = w.unhealthy, w.by, w.notReady
			}
		}
	}
}

// watch runs a container's probes: first startup, then readiness and liveness side by side.
func (p *prober) watch(ctx context.Context, w *worker, pod *runtime.Pod, c *runtime.Container, spec *corev1.Container) {
	ask := func(probe *corev1.Probe) (runtime.ProbeResult, error) { return p.ask(ctx, pod, c, spec, probe) }
	if probe := spec.StartupProbe; probe != nil {
		if !p.loop(ctx, probe, c.StartedAt, firstEarlyProbe, ask, func(ok bool, why string) (more bool) {
			return !p.set(w, func(v *verdict) { v.startupResult(ok, why, spec) })
		}) {
			return
		}
	}
	var both sync.WaitGroup
	if probe := spec.ReadinessProbe; probe != nil {
		both.Go(func() {
			p.loop(ctx, probe, c.StartedAt, firstEarlyProbe, ask, func(ok bool, why string) bool {
				p.set(w, func(v *verdict) { v.readinessResult(ok, why) })
				return true
			})
		})
	}
	if probe := spec.LivenessProbe; probe != nil {
		both.Go(func() {
			p.loop(ctx, probe, c.StartedAt, 0, ask, func(ok bool, why string) bool {
				if !ok {
					p.set(w, func(v *verdict) { v.unhealthy, v.by = "liveness probe failed: "+why, "liveness" })
				}
				return ok
			})
		})
	}
	both.Wait()
}

func (v *verdict) startupResult(ok bool, why string, spec *corev1.Container) {
	if !ok {
		v.unhealthy, v.by = "startup probe failed: "+why, "startup"
		return
	}
	v.started = true
	if spec.ReadinessProbe == nil && !v.ready {
		v.ready, v.readySince = true, time.Now()
	}
}

func (v *verdict) readinessResult(ok bool, why string) {
	switch {
	case ok && !v.ready:
		v.readySince, v.unreadySince = time.Now(), time.Time{}
	case !ok && v.ready:
		v.readySince, v.unreadySince = time.Time{}, time.Now()
	}
	v.ready, v.notReady = ok, ""
	if !ok {
		v.notReady = why
	}
}

// set changes a worker, tells the loop if that made a difference, and returns whether the container has become unhealthy
// or started, either of which ends the startup probe.
func (p *prober) set(w *worker, change func(*verdict)) bool {
	p.mu.Lock()
	before := w.verdict
	change(&w.verdict)
	now := w.verdict
	p.mu.Unlock()
	if now != before {
		p.changed()
	}
	return now.unhealthy != "" || now.started
}

// loop asks once a period and reports each time a threshold is reached, until report says stop or ctx ends. It returns
// whether the last report was a success. Before the first success it asks in between as well, after early, 2*early, …;
// zero for not at all.
func (p *prober) loop(ctx context.Context, probe *corev1.Probe, started time.Time, early time.Duration, ask func(*corev1.Probe) (runtime.ProbeResult, error), report func(ok bool, why string) bool) bool {
	period := seconds(probe.PeriodSeconds)
	begin := started.Add(seconds(probe.InitialDelaySeconds))
	if !sleep(ctx, time.Until(begin)) {
		return false
	}
	successes, failures, everOK, lastOK, reported := 0, 0, false, false, false
	tick := time.Now()
	for {
		counts := !time.Now().Before(tick)
		if counts {
			tick = time.Now().Add(period)
		}
		result, err := ask(probe)
		ok, why := result.OK, result.Message
		switch {
		case ctx.Err() != nil:
			return false
		case err != nil:
			counts = false // the question did not reach the container, so it says nothing of it
		case ok:
			successes, failures, everOK = successes+1, 0, true
		case counts:
			successes, failures = 0, failures+1
		}
		reached := ok && successes >= int(probe.SuccessThreshold) || counts && !ok && failures >= int(probe.FailureThreshold)
		if reached && (!reported || ok != lastOK || !ok) {
			reported, lastOK = true, ok
			if !report(ok, why) {
				return ok
			}
		}
		wait := time.Until(tick)
		if !everOK && early > 0 && early < wait {
			wait, early = early, 2*early
		}
		if !sleep(ctx, wait) {
			return lastOK
		}
	}
}

// ask puts one question, within the probe's time-out. An error says that it could not be asked: the gateway was away, say.
// As upstream, that counts neither way.
func (p *prober) ask(ctx context.Context, pod *runtime.Pod, c *runtime.Container, spec *corev1.Container, probe *corev1.Probe) (runtime.ProbeResult, error) {
	handler, err := resolvePorts(probe.ProbeHandler, spec)
	if err != nil {
		return runtime.ProbeResult{Message: err.Error()}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, seconds(probe.TimeoutSeconds))
	defer cancel()
	return p.probe(ctx, pod, c.ID, handler)
}

// resolvePorts turns a port's name into its number. A number in quotes is one, too. Upstream: ResolveContainerPort
// (pkg/probe/util.go).
func resolvePorts(handler corev1.ProbeHandler, spec *corev1.Container) (corev1.ProbeHandler, error) {
	var err error
	if get := handler.HTTPGet; get != nil {
		handler.HTTPGet = get.DeepCopy()
		handler.HTTPGet.Port, err = resolvePort(get.Port, spec)
	}
	if tcp := handler.TCPSocket; tcp != nil && err == nil {
		handler.TCPSocket = tcp.DeepCopy()
		handler.TCPSocket.Port, err = resolvePort(tcp.Port, spec)
	}
	return handler, err
}

func resolvePort(port intstr.IntOrString, spec *corev1.Container) (intstr.IntOrString, error) {
	if port.Type == intstr.Int {
		return port, nil
	}
	for _, p := range spec.Ports {
		if p.Name == port.StrVal {
			return intstr.FromInt32(p.ContainerPort), nil
		}
	}
	if number, err := strconv.ParseUint(port.StrVal, 10, 16); err == nil && number > 0 {
		return intstr.FromInt32(int32(number)), nil
	}
	return port, fmt.Errorf("container %s has no port named %s", spec.Name, port.StrVal)
}

// readyAddresses are the pod addresses to which Services lead.
func readyAddresses(state *runtime.State) map[string]bool {
	addresses := map[string]bool{}
	for _, slice := range state.Routes.Endpoints {
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready != nil && *e.Conditions.Ready && len(e.Addresses) > 0 {
				addresses[e.Addresses[0]] = true
			}
		}
	}
	return addresses
}

func seconds(n int32) time.Duration { return time.Duration(n) * time.Second }

// sleep waits and reports whether ctx still runs.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
