package manifests

import (
	appsv1 "k8s.io/api/apps/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CheckSelectors refuses a commit that changes the selector of a Deployment, ReplicaSet, StatefulSet or DaemonSet that has
// pods: Kubernetes would lose sight of them, so it refuses that, too. Upstream: the ValidateUpdate of their strategies
// (pkg/registry/apps), which ask ValidateImmutableField. hasPods tells of the objects of before.
func CheckSelectors(before, after *Set, hasPods func(Ref) bool) error {
	if before == nil {
		return nil
	}
	old := make(map[Ref]*metav1.LabelSelector, len(before.Objects))
	for _, o := range before.Objects {
		old[o.Ref] = fixedSelector(o)
	}
	var errs Errors
	for _, o := range after.Objects {
		was, is := old[o.Ref], fixedSelector(o)
		if was == nil || is == nil || apiequality.Semantic.DeepEqual(was, is) || !hasPods(o.Ref) {
			continue
		}
		errs.add(o.errorf("spec.selector", "cannot change from %s to %s while the %s has pods: give it another name, or delete it in one commit and add it in the next",
			metav1.FormatLabelSelector(was), metav1.FormatLabelSelector(is), o.Kind))
	}
	return errs.result()
}

// fixedSelector is the selector of the kinds that cannot change it; nil of all else.
func fixedSelector(o *Object) *metav1.LabelSelector {
	switch o.Value.(type) {
	case *appsv1.Deployment, *appsv1.ReplicaSet, *appsv1.StatefulSet, *appsv1.DaemonSet:
		w, _ := WorkloadOf(o.Value)
		return w.Selector
	default:
		return nil
	}
}
