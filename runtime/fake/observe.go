package fake

import (
	"cmp"
	"context"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/podyard/podyard/runtime"
)

// serviceCIDR is the slice for ClusterIPs; pods have addresses below it.
const serviceCIDR = "10.89.192.0/18"

// hostIP is the host as pods see it.
const hostIP = "10.89.0.1"

// Watch implements runtime.Observer.
func (e *Engine) Watch(ctx context.Context) (<-chan struct{}, error) {
	signals := make(chan struct{}, 1)
	err := e.do(ctx, "Watch", "", func() error {
		e.watchers[signals] = true
		return nil
	})
	if err != nil {
		e.unwatch(signals)
		return nil, err
	}
	context.AfterFunc(ctx, func() { e.unwatch(signals) })
	return signals, nil
}

func (e *Engine) unwatch(signals chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.watchers, signals)
	close(signals)
}

// State implements runtime.Observer.
func (e *Engine) State(ctx context.Context) (*runtime.State, error) {
	var state runtime.State
	err := e.do(ctx, "State", "", func() error {
		state = e.snapshot()
		return nil
	})
	if err != nil {
		return nil, err
	}
	state.Pods = slices.Clone(state.Pods)
	for i := range state.Pods {
		state.Pods[i].Containers = slices.Clone(state.Pods[i].Containers)
	}
	return &state, nil
}

// Truth is what State would show now, also where the engine is down, slow or made to fail: for a test's own look, which
// changes nothing in it.
func (e *Engine) Truth() *runtime.State {
	e.mu.Lock()
	defer e.mu.Unlock()
	state := e.snapshot()
	return &state
}

// locked runs a change and tells the world.
func (e *Engine) locked(change func()) {
	e.mu.Lock()
	change()
	e.publish()
	e.mu.Unlock()
	e.drain()
}

// touch marks that something changed.
func (e *Engine) touch() { e.dirty, e.pods = true, nil }

// publish signals the watchers and notes the state for OnChange, if anything changed.
func (e *Engine) publish() {
	if !e.dirty {
		return
	}
	e.dirty = false
	if e.options.OnChange != nil {
		e.pending = append(e.pending, e.snapshot())
	}
	if e.dropEvents || e.down {
		return
	}
	e.signal()
}

func (e *Engine) signal() {
	for signals := range e.watchers {
		select {
		case signals <- struct{}{}:
		default: // one is waiting already; it means the same
		}
	}
}

// drain gives the noted states to OnChange. One goroutine does so for all, so they keep their order.
func (e *Engine) drain() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.draining {
		return
	}
	e.draining = true
	defer func() { e.draining = false }()
	for len(e.pending) > 0 {
		state := e.pending[0]
		e.pending = e.pending[1:]
		e.show(state)
	}
}

// show calls OnChange without the lock, and has the lock again even if OnChange ends the goroutine.
func (e *Engine) show(state runtime.State) {
	e.mu.Unlock()
	defer e.mu.Lock()
	e.options.OnChange(state)
}

// snapshot shares its pods with others of the same moment.
func (e *Engine) snapshot() runtime.State {
	if e.pods == nil {
		e.pods = e.observePods()
	}
	state := runtime.State{
		Instance:     e.options.Instance,
		Host:         maps.Clone(e.options.Host),
		Runtimes:     slices.Clone(e.options.Runtimes),
		Capacity:     corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("8Gi")},
		Images:       map[string]runtime.Image{},
		Routes:       runtime.Routes{Services: slices.Clone(e.routes.Services), Endpoints: slices.Clone(e.routes.Endpoints), Ingresses: slices.Clone(e.routes.Ingresses)},
		Publications: copyPublications(e.publications),
		Pods:         e.pods,
		Volumes:      e.observeVolumes(), OtherVolumes: e.observeOthers(),
		ServiceCIDR: serviceCIDR,
		HostIP:      hostIP,
	}
	for ref := range e.asked {
		state.Images[ref], _ = e.imageOf(ref)
	}
	return state
}

func (e *Engine) observePods() []runtime.Pod {
	containers := map[*sandbox][]runtime.Container{}
	for _, c := range e.containers {
		containers[c.sandbox] = append(containers[c.sandbox], c.observe())
	}
	pods := make([]runtime.Pod, 0, len(e.sandboxes))
	for _, s := range e.sortedSandboxes() {
		pod := s.observe()
		pod.Containers = containers[s]
		slices.SortFunc(pod.Containers, func(a, b runtime.Container) int {
			return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Attempt, b.Attempt), cmp.Compare(a.ID, b.ID))
		})
		pods = append(pods, pod)
	}
	return pods
}

func (e *Engine) sortedSandboxes() []*sandbox {
	return slices.SortedFunc(maps.Values(e.sandboxes), func(a, b *sandbox) int {
		return cmp.Or(cmp.Compare(a.key.namespace, b.key.namespace), cmp.Compare(a.key.name, b.key.name),
			cmp.Compare(a.key.uid, b.key.uid), cmp.Compare(a.id, b.id))
	})
}

func (e *Engine) sortedContainers() []*container {
	return slices.SortedFunc(maps.Values(e.containers), func(a, b *container) int {
		return cmp.Or(cmp.Compare(a.config.Name, b.config.Name), cmp.Compare(a.config.Attempt, b.config.Attempt),
			cmp.Compare(a.id, b.id))
	})
}
