package plan

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
)

// holdFormers leaves alone what autoscalers without their targets scaled last. Upstream: reconcileAutoscaler in horizontal.go,
// which touches no scale when scaleForResourceMappings fails. There the number of replicas is in the scaled object; here it is in
// the autoscaler's note, and without it git would count: a slip in scaleTargetRef would stop all pods but one, and a StatefulSet
// might remove their volumes.
func holdFormers(scalers []*autoscaler, desired *manifests.Set, observed *runtime.State) {
	deciders := map[*manifests.Object]*autoscaler{}
	for _, a := range scalers {
		if a.target != nil && deciders[a.target] == nil {
			deciders[a.target] = a
		}
	}
	for _, a := range scalers {
		if a.target != nil {
			continue
		}
		a.note = a.remembered(observed)
		a.noted = a.note.Target != ""
		if former := a.findFormer(desired); former != nil {
			a.hold(former, deciders)
		}
	}
}

// findFormer is what it scaled last; nil while that is not in the commit either. It is remembered then, since it may come back.
func (a *autoscaler) findFormer(desired *manifests.Set) *manifests.Object {
	kind, name, _ := strings.Cut(a.note.Target, "/")
	object := desired.Find(kind, a.Namespace, name)
	if object == nil {
		return nil
	}
	if w, _ := manifests.WorkloadOf(object.Value); w.Replicas == nil {
		return nil
	}
	return object
}

// hold keeps the number of replicas, unless git says that there are none, or another autoscaler decides. Of several that scaled
// the same, the first decides, as it does when they have their target.
func (a *autoscaler) hold(former *manifests.Object, deciders map[*manifests.Object]*autoscaler) {
	w, _ := manifests.WorkloadOf(former.Value)
	decider := deciders[former]
	switch {
	case *w.Replicas == 0:
		a.released = notScaled(former)
		return
	case decider == nil:
		deciders[former], a.current = a, a.note.Replicas
	case decider.target == former:
		a.released = fmt.Sprintf("%s scales %s now", decider.root, former.Ref)
		return
	default:
		a.current = decider.current
	}
	a.former = former
	a.failure += fmt.Sprintf("; %s, which was scaled before, keeps %d pods until scaleTargetRef is corrected; "+
		"without this autoscaler, replicas in git would count", former.Ref, a.current)
}

func notScaled(object *manifests.Object) string {
	return fmt.Sprintf("%s has no replicas in git: it is not scaled", object.Ref)
}

// withoutTarget returns what is to be remembered of one that cannot scale: from when on, if there is a note at all.
func (a *autoscaler) withoutTarget(next autoscalerNote, now time.Time) autoscalerNote {
	if a.noted {
		a.at = now
	}
	a.set(autoscalingv2.AbleToScale, false, "FailedGetScale", "the HPA controller was unable to get the target's current scale: "+a.failure)
	if a.released != "" {
		return autoscalerNote{}
	}
	return next
}

// remembered is the note; empty if there is none that can be read.
func (a *autoscaler) remembered(observed *runtime.State) (note autoscalerNote) {
	if json.Unmarshal([]byte(observed.Notes[autoscalerNoteName(a.Namespace, a.Name)]), &note) != nil {
		return autoscalerNote{}
	}
	return note
}

// lost tells whether the target was not found when the note was written.
func (n *autoscalerNote) lost() bool {
	able := hpaCondition(n.Status.Conditions, autoscalingv2.AbleToScale)
	return able != nil && able.Status == corev1.ConditionFalse
}
