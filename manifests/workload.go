package manifests

import (
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Workload is what all kinds that make pods have in common, with defaults filled in.
type Workload struct {
	// Replicas is nil of a DaemonSet, which has one pod on each node, and of a Job, whose pods end.
	Replicas        *int32
	MinReadySeconds int32
	// RevisionHistoryLimit is nil of the kinds that keep no history.
	RevisionHistoryLimit *int32
	// Selector and Template may be nil before validation only.
	Selector *metav1.LabelSelector
	Template *corev1.PodTemplateSpec
}

// WorkloadOf reads the Value of an object; ok is false where that is not one of these kinds.
func WorkloadOf(value any) (w Workload, ok bool) {
	switch v := value.(type) {
	case *appsv1.Deployment:
		s := &v.Spec
		return Workload{s.Replicas, s.MinReadySeconds, s.RevisionHistoryLimit, s.Selector, &s.Template}, true
	case *appsv1.ReplicaSet:
		s := &v.Spec
		return Workload{s.Replicas, s.MinReadySeconds, nil, s.Selector, &s.Template}, true
	case *corev1.ReplicationController:
		s := &v.Spec
		return Workload{s.Replicas, s.MinReadySeconds, nil, mapSelector(s.Selector), s.Template}, true
	case *appsv1.StatefulSet:
		s := &v.Spec
		return Workload{s.Replicas, s.MinReadySeconds, s.RevisionHistoryLimit, s.Selector, &s.Template}, true
	case *appsv1.DaemonSet:
		s := &v.Spec
		return Workload{nil, s.MinReadySeconds, s.RevisionHistoryLimit, s.Selector, &s.Template}, true
	case *batchv1.Job:
		return Workload{Selector: v.Spec.Selector, Template: &v.Spec.Template}, true
	}
	return Workload{}, false
}

// mapSelector is a selector as ReplicationControllers write it.
func mapSelector(labels map[string]string) *metav1.LabelSelector {
	if len(labels) == 0 {
		return nil
	}
	return &metav1.LabelSelector{MatchLabels: labels}
}

// Template is the pod that an object is, or of which it makes pods.
type Template struct {
	Object *Object
	Meta   *metav1.ObjectMeta
	Spec   *corev1.PodSpec
	// path is the field below which metadata and spec lie; nil of a Pod.
	path *field.Path
}

// TemplateOf is that of one object; ok is false if it makes no pods.
func TemplateOf(o *Object) (t Template, ok bool) {
	if pod, is := o.Value.(*corev1.Pod); is {
		return Template{o, &pod.ObjectMeta, &pod.Spec, nil}, true
	}
	if c, is := o.Value.(*batchv1.CronJob); is {
		t := &c.Spec.JobTemplate.Spec.Template
		return Template{o, &t.ObjectMeta, &t.Spec, field.NewPath("spec", "jobTemplate", "spec", "template")}, true
	}
	if w, is := WorkloadOf(o.Value); is && w.Template != nil {
		return Template{o, &w.Template.ObjectMeta, &w.Template.Spec, field.NewPath("spec", "template")}, true
	}
	return Template{}, false
}

// Templates are those of all objects of a Set, in apply order.
func Templates(s *Set) []Template {
	var out []Template
	if s == nil {
		return nil
	}
	for _, o := range s.Objects {
		if t, ok := TemplateOf(o); ok {
			out = append(out, t)
		}
	}
	return out
}
