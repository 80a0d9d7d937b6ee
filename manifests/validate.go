package manifests

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validate checks the values and references of every typed object, and adds its warnings to the Set's. Upstream: pkg/apis/core/validation,
// pkg/apis/apps/validation and pkg/apis/batch/validation. Messages never quote the value of a Secret.
func validate(set *Set) error {
	var errs Errors
	rules, asked := newPolicies(set), newAskedPorts(set)
	for _, o := range set.Objects {
		if o.Value == nil {
			continue
		}
		var own Errors
		c := check{object: o, errs: &own, warnings: &set.Warnings}
		c.metadata()
		c.ordering()
		c.value()
		c.references(set)
		c.sharedPorts(asked)
		c.policies(rules)
		errs = append(errs, o.withoutConsequences(own)...)
	}
	return errs.result()
}

// check gathers what is wrong with one object, and what means less here than in a cluster.
type check struct {
	object   *Object
	errs     *Errors
	warnings *[]Warning
}

func (c check) value() {
	spec := field.NewPath("spec")
	c.workload(spec)
	switch v := c.object.Value.(type) {
	case *corev1.ConfigMap:
		c.configMap(v)
	case *corev1.Secret:
		c.secret(v)
	case *corev1.Pod:
		c.podSpec(spec, &v.Spec)
	case *corev1.Service:
		c.service(spec, v)
	case *networkingv1.Ingress:
		c.ingress(spec, v)
	case *Endpoints:
		c.endpoints(v)
	case *discoveryv1.EndpointSlice:
		c.endpointSlice(v)
	case *corev1.PersistentVolumeClaim:
		c.claim(v)
	case *corev1.PersistentVolume:
		c.persistentVolume(spec, &v.Spec)
	case *storagev1.StorageClass:
		c.storageClass(v)
	case *corev1.LimitRange:
		c.limitRange(spec, &v.Spec)
	case *policyv1.PodDisruptionBudget:
		c.disruptionBudget(spec, &v.Spec)
	case *nodev1.RuntimeClass:
		c.runtimeClass(v)
	case *appsv1.Deployment:
		c.deployment(spec, &v.Spec)
	case *appsv1.StatefulSet:
		c.statefulSet(spec, &v.Spec)
	case *appsv1.DaemonSet:
		c.daemonSetStrategy(spec.Child("updateStrategy"), &v.Spec.UpdateStrategy)
	case *batchv1.Job:
		c.job(v)
	case *autoscalingv2.HorizontalPodAutoscaler:
		c.autoscaler(spec, &v.Spec)
	case *batchv1.CronJob:
		c.cronJob(spec, &v.Spec)
	}
}

// add takes in one thing that is wrong.
func (c check) add(path *field.Path, format string, args ...any) {
	c.errs.add(c.object.errorf(path.String(), format, args...))
}

// warn takes in one thing that is accepted.
func (c check) warn(path *field.Path, format string, args ...any) {
	e := c.object.errorf(path.String(), format, args...)
	*c.warnings = append(*c.warnings, Warning{Position: e.Position, Object: e.Object, Field: e.Field, Message: e.Message})
}

// all takes in what a function of apimachinery's util/validation says.
func (c check) all(path *field.Path, messages []string) {
	for _, message := range messages {
		c.add(path, "%s", message)
	}
}

// list takes in an ErrorList of apimachinery, of which Detail does not repeat the value.
func (c check) list(errs field.ErrorList) {
	for _, e := range errs {
		message := e.Detail
		if message == "" {
			message = e.Type.String()
		}
		c.errs.add(c.object.errorf(e.Field, "%s", message))
	}
}

// oneOf takes a value that must be one of several; the empty one is for defaults to fill.
func oneOf[T ~string](c check, path *field.Path, value T, allowed ...T) {
	for _, a := range allowed {
		if value == a {
			return
		}
	}
	switch {
	case value == "":
	case len(allowed) == 1:
		c.add(path, "must be %s", allowed[0])
	default:
		c.add(path, "must be one of %s", words(allowed))
	}
}

func words[T ~string](list []T) string {
	out := ""
	for i, word := range list {
		switch {
		case i > 0 && i == len(list)-1:
			out += " or "
		case i > 0:
			out += ", "
		}
		out += string(word)
	}
	return out
}

// notNegative takes a number that may be missing.
func notNegative[T int32 | int64](c check, path *field.Path, value *T) {
	if value != nil && *value < 0 {
		c.add(path, "must be greater than or equal to 0")
	}
}

// unique returns a function that reports names seen before. what says what the names are of.
func (c check) unique(what string) func(path *field.Path, name string) {
	seen := map[string]bool{}
	return func(path *field.Path, name string) {
		if name != "" && seen[name] {
			c.add(path, "%s %s is there twice", what, name)
		}
		seen[name] = true
	}
}

// errorf is an error at a field of an object.
func (o *Object) errorf(field, format string, args ...any) *Error {
	return &Error{Position: o.positionOf(field), Object: o.Ref, Field: field, Message: fmt.Sprintf(format, args...)}
}

// positionOf is where a field is written, as far as is known.
func (o *Object) positionOf(field string) Position {
	if o.document == nil {
		return o.Position
	}
	return o.document.at(field)
}
