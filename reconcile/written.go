package reconcile

import (
	"context"

	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

// writes are those of one volume of files.
type writes struct {
	// running is how many are under way; mixed that there was more than one since there was none.
	running int
	mixed   bool
	// hash is what the last one left; empty if that is not known.
	hash string
}

// writeVolume writes a volume and remembers what it shows; unless another write ran meanwhile, for then nobody knows which
// came last, and the next plan writes once more.
func (r *Reconciler) writeVolume(ctx context.Context, sandbox string, v runtime.Volume, hash string) error {
	w := r.beginWrite(sandbox, v.Name)
	err := r.runtime.WriteVolume(ctx, sandbox, v)
	r.mu.Lock()
	defer r.mu.Unlock()
	w.hash = ""
	if err == nil && !w.mixed {
		w.hash = hash
	}
	w.running--
	w.mixed = w.mixed && w.running > 0
	return failed(failedMount, "", err)
}

func (r *Reconciler) beginWrite(sandbox, volume string) *writes {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.written[sandbox] == nil {
		r.written[sandbox] = map[string]*writes{}
	}
	w := r.written[sandbox][volume]
	if w == nil {
		w = &writes{}
		r.written[sandbox][volume] = w
	}
	w.running++
	w.mixed = w.mixed || w.running > 1
	return w
}

// noteStart forgets what volumes show when their sandbox has started again, whoever started it: those in memory are empty
// then, and a container may have begun to use them between two rounds. The caller holds mu.
func (r *Reconciler) noteStart(pod *runtime.Pod) {
	last := r.began[pod.ID]
	if !pod.StartedAt.After(last) {
		return
	}
	r.began[pod.ID] = pod.StartedAt
	if last.IsZero() {
		return
	}
	for _, w := range r.written[pod.ID] {
		w.hash = ""
	}
}

// rewrites tells a write that makes sure of what is there already, as after a restart of the daemon: nothing that anybody
// need hear of. The caller holds mu.
func (r *Reconciler) rewrites(a plan.Action) bool {
	update, ok := a.(plan.UpdateVolume)
	if !ok {
		return false
	}
	w := r.written[update.SandboxID][update.Volume]
	return w == nil || w.hash == ""
}

// anyFlight: an action on the pod with this sandbox, or the creation of some pod, is under way. The caller holds mu.
func (r *Reconciler) anyFlight(sandbox string) bool {
	for _, a := range r.flights {
		if _, create := a.(plan.CreatePod); create {
			return true
		}
		if ref, ok := refOf(a); ok && ref.SandboxID == sandbox {
			return true
		}
	}
	return false
}
