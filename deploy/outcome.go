package deploy

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/podyard/podyard/history"
	"github.com/podyard/podyard/reconcile"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

// round hears of every round of the reconciler; only the newest counts.
func (d *Deployer) round(s reconcile.Status) {
	select {
	case <-d.rounds:
	default:
	}
	d.rounds <- s
}

// watchOutcomes decides how the applied revision fares, and tells whoever watches.
func (d *Deployer) watchOutcomes(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-d.rounds:
			d.judge(s)
			d.watchers.signal()
		}
	}
}

// judge writes the outcome of the applied revision when it changes. A revision is ready when every object is; it has
// failed when one is stalled; and a failed one that becomes ready after all is ready.
func (d *Deployer) judge(s reconcile.Status) {
	a := d.current()
	if a == nil || s.Set != a.set || s.Err != nil {
		return
	}
	outcome, message, waits := verdict(s.Result.Objects)
	d.mu.Lock()
	before := a.outcome
	if outcome == history.Applying && before != history.Applying {
		d.mu.Unlock()
		return // a pod that is restarted later does not undo what was reached
	}
	changed := before != outcome
	a.message, a.waits = message, waits
	if changed {
		a.outcome, a.since = outcome, time.Now()
	}
	d.mu.Unlock()
	if !changed {
		return
	}
	d.log.Info("revision "+string(outcome), "revision", a.name, "number", a.number, "reason", message)
	d.finish(a.number, func(r *history.Revision) {
		r.Outcome, r.Message = outcome, message
		r.Finished, r.Images = time.Now(), ranImages(s.State)
	})
}

// verdict sums up the objects that the commit holds. What is broken counts before what only waits.
func verdict(objects []plan.ObjectStatus) (outcome history.Outcome, message string, waits bool) {
	outcome = history.Ready
	for i := range objects {
		o := &objects[i]
		if o.Owner.Kind != "" {
			continue
		}
		switch said := fmt.Sprintf("%s: %s", o.Ref, o.Message); {
		case o.Health == plan.Stalled && !pending(o):
			return history.Failed, said, false
		case o.Health == plan.Stalled && !waits:
			outcome, message, waits = history.Failed, said, true
		case (o.Health == plan.Reconciling || o.Health == plan.Terminating) && outcome == history.Ready:
			outcome, message = history.Applying, said
		}
	}
	return outcome, message, waits
}

// pending tells of a stalled object that nothing is wrong with: a pod that cannot be placed, a claim that is not bound, a Service or
// Ingress whose ports somebody else has. It needs another commit or a hand, and nothing of it has crashed.
func pending(o *plan.ObjectStatus) bool {
	switch o.Kind {
	case "PersistentVolumeClaim":
		return o.Summary["status"] == string(corev1.ClaimPending)
	case "Service", "Ingress":
		c := meta.FindStatusCondition(o.Conditions, corev1.LoadBalancerPortsError)
		return c != nil && c.Reason != plan.SyncLoadBalancerFailed
	}
	return o.Pod != nil && o.Pod.Phase == corev1.PodPending && slices.ContainsFunc(o.Pod.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse
	})
}

// ranImages is what each image reference of the running pods meant: the repository digest, or the engine's ID of an
// image that came from no registry.
func ranImages(state *runtime.State) map[string]string {
	out := map[string]string{}
	for _, pod := range state.Pods {
		for _, c := range pod.Containers {
			if image := state.Images[c.Image]; image.ID == c.ImageID && image.Digest != "" {
				out[c.Image] = image.Digest
			} else if c.ImageID != "" {
				out[c.Image] = c.ImageID
			}
		}
	}
	return out
}

// record keeps an event of the reconciler.
func (d *Deployer) record(e reconcile.Event) {
	a := d.current()
	event := history.Event{Time: e.Time, Type: history.Normal, Reason: e.Reason, Object: e.Object, Message: e.Message}
	if e.Type == corev1.EventTypeWarning {
		event.Type = history.Warning
	}
	if a != nil {
		event.Revision = a.number
	}
	if err := d.options.Store.Event(event); err != nil {
		d.log.Warn("event not recorded", "err", err)
	}
}
