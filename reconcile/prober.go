package reconcile

import (
	"context"
	"fmt"
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
	cancel     context.CancelFunc
	started    bool
	ready      bool
	readySince time.Time
	unhealthy  string
	notReady   string
}

// sync starts workers for the containers that run and stops the others. It reports whether any was started.
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
			spec := containerSpec(pod, c.Name)
			if c.State != runtime.Running || spec == nil {
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
	w.started = spec.StartupProbe == nil
	if w.started && (spec.ReadinessProbe == nil || p.routed[pod.IP]) {
		w.ready, w.readySince = true, c.StartedAt
	}
	if p.routed[pod.IP] {
		w.started, w.ready, w.readySince = true, true, c.StartedAt
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
				c.Started, c.Ready, c.ReadySince = w.started, w.ready, w.readySince
				c.Unhealthy, c.NotReady = w.unhealthy, w.notReady
			}
		}
	}
}

// watch runs a container's probes: first startup, then readiness and liveness side by side.
func (p *prober) watch(ctx context.Context, w *worker, pod *runtime.Pod, c *runtime.Container, spec *corev1.Container) {
	ask := func(probe *corev1.Probe) (runtime.ProbeResult, error) { return p.ask(ctx, pod, c, spec, probe) }
	if probe := spec.StartupProbe; probe != nil {
		if !p.loop(ctx, probe, c.StartedAt, ask, func(ok bool, why string) (more bool) {
			return !p.set(w, func() { w.startupResult(ok, why, spec) })
		}) {
			return
		}
	}
	var both sync.WaitGroup
	if probe := spec.ReadinessProbe; probe != nil {
		both.Go(func() {
			p.loop(ctx, probe, c.StartedAt, ask, func(ok bool, why string) bool {
				p.set(w, func() { w.readinessResult(ok, why) })
				return true
			})
		})
	}
	if probe := spec.LivenessProbe; probe != nil {
		both.Go(func() {
			p.loop(ctx, probe, c.StartedAt, ask, func(ok bool, why string) bool {
				if !ok {
					p.set(w, func() { w.unhealthy = "liveness probe failed: " + why })
				}
				return ok
			})
		})
	}
	both.Wait()
}

func (w *worker) startupResult(ok bool, why string, spec *corev1.Container) {
	if !ok {
		w.unhealthy = "startup probe failed: " + why
		return
	}
	w.started = true
	if spec.ReadinessProbe == nil && !w.ready {
		w.ready, w.readySince = true, time.Now()
	}
}

func (w *worker) readinessResult(ok bool, why string) {
	if ok && !w.ready {
		w.readySince = time.Now()
	}
	w.ready, w.notReady = ok, why
}

// set changes a worker, tells the loop, and returns whether the container has become unhealthy or started, either of
// which ends the startup probe.
func (p *prober) set(w *worker, change func()) bool {
	p.mu.Lock()
	change()
	over := w.unhealthy != "" || w.started
	p.mu.Unlock()
	p.changed()
	return over
}

// loop asks once a period and reports each time a threshold is reached, until report says stop or ctx ends. It returns
// whether the last report was a success.
func (p *prober) loop(ctx context.Context, probe *corev1.Probe, started time.Time, ask func(*corev1.Probe) (runtime.ProbeResult, error), report func(ok bool, why string) bool) bool {
	period := seconds(probe.PeriodSeconds)
	begin := started.Add(seconds(probe.InitialDelaySeconds))
	if !sleep(ctx, time.Until(begin)) {
		return false
	}
	successes, failures, everOK, lastOK, reported := 0, 0, false, false, false
	early, tick := firstEarlyProbe, time.Now()
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
		if !everOK && early < wait {
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

// resolvePorts turns a port's name into its number.
func resolvePorts(handler corev1.ProbeHandler, spec *corev1.Container) (corev1.ProbeHandler, error) {
	resolve := func(port intstr.IntOrString) (intstr.IntOrString, error) {
		if port.Type == intstr.Int {
			return port, nil
		}
		for _, p := range spec.Ports {
			if p.Name == port.StrVal {
				return intstr.FromInt32(p.ContainerPort), nil
			}
		}
		return port, fmt.Errorf("container %s has no port named %s", spec.Name, port.StrVal)
	}
	var err error
	if get := handler.HTTPGet; get != nil {
		handler.HTTPGet = get.DeepCopy()
		handler.HTTPGet.Port, err = resolve(get.Port)
	}
	if tcp := handler.TCPSocket; tcp != nil && err == nil {
		handler.TCPSocket = tcp.DeepCopy()
		handler.TCPSocket.Port, err = resolve(tcp.Port)
	}
	return handler, err
}

func containerSpec(pod *runtime.Pod, name string) *corev1.Container {
	for i := range pod.Manifest.Spec.Containers {
		if pod.Manifest.Spec.Containers[i].Name == name {
			return &pod.Manifest.Spec.Containers[i]
		}
	}
	return nil
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
