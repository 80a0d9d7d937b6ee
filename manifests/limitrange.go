package manifests

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	resourcehelper "k8s.io/component-helpers/resource"
)

// limitRangerAnnotation is upstream's: it tells which resources of a pod a LimitRange gave.
const limitRangerAnnotation = "kubernetes.io/limit-ranger"

// defaultLimitRange completes the items for containers; upstream's SetDefaults_LimitRangeItem: a limit defaults to the
// maximum, a request to the limit or to the minimum.
func defaultLimitRange(r *corev1.LimitRange) {
	for i := range r.Spec.Limits {
		item := &r.Spec.Limits[i]
		if item.Type != corev1.LimitTypeContainer {
			continue
		}
		item.Default = withMissing(item.Default, item.Max)
		item.DefaultRequest = withMissing(withMissing(item.DefaultRequest, item.Default), item.Min)
	}
}

// withMissing adds to a list what another has and it has not.
func withMissing(list, more corev1.ResourceList) corev1.ResourceList {
	for name, quantity := range more {
		if _, there := list[name]; there {
			continue
		}
		if list == nil {
			list = corev1.ResourceList{}
		}
		list[name] = quantity.DeepCopy()
	}
	return list
}

// applyLimitRanges gives the containers of every pod and pod template the resources that its namespace's LimitRanges
// default to. Upstream: plugin/pkg/admission/limitranger, mergePodResourceRequirements.
//
// Upstream does it to pods when they are made, and never to those there are. Here it is done to the template: what runs
// follows from the commit alone, not from what was there before, so a LimitRange that changes the resources of pods makes
// new ones.
func applyLimitRanges(set *Set) {
	ranges := limitRanges(set)
	if len(ranges) == 0 {
		return
	}
	for _, t := range Templates(set) {
		for _, r := range ranges[t.Object.Namespace] {
			mergeDefaults(t, r)
		}
	}
}

// limitRanges are those of each namespace, by name.
func limitRanges(set *Set) map[string][]*corev1.LimitRange {
	out := map[string][]*corev1.LimitRange{}
	for _, r := range All[*corev1.LimitRange](set) {
		out[r.Namespace] = append(out[r.Namespace], r)
	}
	for _, list := range out {
		slices.SortStableFunc(list, func(a, b *corev1.LimitRange) int { return cmp.Compare(a.Name, b.Name) })
	}
	return out
}

func mergeDefaults(t Template, r *corev1.LimitRange) {
	limits, requests := corev1.ResourceList{}, corev1.ResourceList{}
	for i := range r.Spec.Limits {
		if item := &r.Spec.Limits[i]; item.Type == corev1.LimitTypeContainer {
			maps.Copy(limits, item.Default)
			maps.Copy(requests, item.DefaultRequest)
		}
	}
	var given []string
	for i := range t.Spec.Containers {
		given = append(given, mergeContainer(&t.Spec.Containers[i], "container", requests, limits)...)
	}
	for i := range t.Spec.InitContainers {
		given = append(given, mergeContainer(&t.Spec.InitContainers[i], "init container", requests, limits)...)
	}
	if len(given) > 0 {
		t.Meta.Annotations = maps.Clone(t.Meta.Annotations)
		if t.Meta.Annotations == nil {
			t.Meta.Annotations = map[string]string{}
		}
		t.Meta.Annotations[limitRangerAnnotation] = "LimitRanger plugin set: " + strings.Join(given, "; ")
	}
}

// mergeContainer returns what was given, in upstream's words.
func mergeContainer(c *corev1.Container, kind string, requests, limits corev1.ResourceList) (given []string) {
	for _, list := range []struct {
		what     string
		has      *corev1.ResourceList
		defaults corev1.ResourceList
	}{{"request", &c.Resources.Requests, requests}, {"limit", &c.Resources.Limits, limits}} {
		var names []string
		for name := range list.defaults {
			if _, there := (*list.has)[name]; !there {
				names = append(names, string(name))
			}
		}
		if len(names) > 0 {
			slices.Sort(names)
			given = append(given, fmt.Sprintf("%s %s for %s %s", strings.Join(names, ", "), list.what, kind, c.Name))
		}
		*list.has = withMissing(*list.has, list.defaults)
	}
	return given
}

// limits refuses what a LimitRange forbids: upstream's PodValidateLimitFunc and PersistentVolumeClaimValidateLimitFunc.
// Upstream refuses the pod; here it is the commit, since the pod would never be made.
func (c check) limits(ranges []*corev1.LimitRange) {
	for _, r := range ranges {
		for i := range r.Spec.Limits {
			item := limited{check: c, limits: r, item: &r.Spec.Limits[i]}
			switch item.item.Type {
			case corev1.LimitTypeContainer:
				item.containers()
			case corev1.LimitTypePod:
				item.pod()
			case corev1.LimitTypePersistentVolumeClaim:
				item.claims()
			}
		}
	}
}

// limited is an object to which one item of a LimitRange applies.
type limited struct {
	check
	limits *corev1.LimitRange
	item   *corev1.LimitRangeItem
}

func (l limited) containers() {
	t, ok := TemplateOf(l.object)
	if !ok {
		return
	}
	for i, container := range t.Spec.Containers {
		l.resources(t.path.Child("spec", "containers").Index(i).Child("resources"), container.Resources.Requests, container.Resources.Limits)
	}
	for i, container := range t.Spec.InitContainers {
		l.resources(t.path.Child("spec", "initContainers").Index(i).Child("resources"), container.Resources.Requests, container.Resources.Limits)
	}
}

func (l limited) pod() {
	if t, ok := TemplateOf(l.object); ok {
		pod := &corev1.Pod{Spec: *t.Spec}
		options := resourcehelper.PodResourcesOptions{}
		l.resources(t.path.Child("spec", "containers"), resourcehelper.PodRequests(pod, options), resourcehelper.PodLimits(pod, options))
	}
}

func (l limited) claims() {
	switch v := l.object.Value.(type) {
	case *corev1.PersistentVolumeClaim:
		l.claim(field.NewPath("spec"), &v.Spec)
	case *appsv1.StatefulSet:
		for i := range v.Spec.VolumeClaimTemplates {
			l.claim(field.NewPath("spec", "volumeClaimTemplates").Index(i).Child("spec"), &v.Spec.VolumeClaimTemplates[i].Spec)
		}
	}
}

func (l limited) claim(path *field.Path, spec *corev1.PersistentVolumeClaimSpec) {
	requests, at := spec.Resources.Requests, path.Child("resources")
	for _, name := range sortedKeys(l.item.Min) {
		l.minimum(at, name, requests, nil)
	}
	for _, name := range sortedKeys(l.item.Max) {
		l.atMost(at, "request", name, requests, true)
	}
}

func (l limited) resources(path *field.Path, requests, limits corev1.ResourceList) {
	for _, name := range sortedKeys(l.item.Min) {
		l.minimum(path, name, requests, limits)
	}
	for _, name := range sortedKeys(l.item.Max) {
		if l.atMost(path, "limit", name, limits, true) {
			l.atMost(path, "request", name, requests, false)
		}
	}
	for _, name := range sortedKeys(l.item.MaxLimitRequestRatio) {
		l.ratio(path, name, requests, limits)
	}
}

// minimum is upstream's minConstraint.
func (l limited) minimum(path *field.Path, name corev1.ResourceName, requests, limits corev1.ResourceList) {
	least := l.item.Min[name]
	request, requested := requests[name]
	limit, hasLimit := limits[name]
	what := fmt.Sprintf("minimum %s usage per %s is %s", name, l.item.Type, least.String())
	switch {
	case !requested:
		l.violated(path, "requests", name, "%s, but no request is specified: add one of at least that", what)
	case request.Cmp(least) < 0:
		l.violated(path, "requests", name, "%s, but request is %s: raise it", what, request.String())
	case hasLimit && limit.Cmp(least) < 0:
		l.violated(path, "limits", name, "%s, but limit is %s: raise it", what, limit.String())
	}
}

// atMost is upstream's maxConstraint, one half of it at a time, and maxRequestConstraint.
func (l limited) atMost(path *field.Path, which string, name corev1.ResourceName, list corev1.ResourceList, needed bool) bool {
	most := l.item.Max[name]
	value, there := list[name]
	what := fmt.Sprintf("maximum %s usage per %s is %s", name, l.item.Type, most.String())
	switch {
	case !there && needed:
		l.violated(path, which+"s", name, "%s, but no %s is specified: add one of at most that", what, which)
	case there && value.Cmp(most) > 0:
		l.violated(path, which+"s", name, "%s, but %s is %s: lower it", what, which, value.String())
	default:
		return true
	}
	return false
}

// ratio is upstream's limitRequestRatioConstraint.
func (l limited) ratio(path *field.Path, name corev1.ResourceName, requests, limits corev1.ResourceList) {
	most := l.item.MaxLimitRequestRatio[name]
	request, limit := requests[name], limits[name]
	what := fmt.Sprintf("%s max limit to request ratio per %s is %s", name, l.item.Type, most.String())
	switch {
	case request.Sign() <= 0:
		l.violated(path, "requests", name, "%s, but no request is specified or request is 0: add one", what)
	case limit.Sign() <= 0:
		l.violated(path, "limits", name, "%s, but no limit is specified or limit is 0: add one", what)
	case quotient(limit, request) > most.AsApproximateFloat64():
		l.violated(path, "limits", name, "%s, but provided ratio is %.3g: lower the limit %s or raise the request %s",
			what, quotient(limit, request), limit.String(), request.String())
	}
}

func (l limited) violated(path *field.Path, list string, name corev1.ResourceName, format string, args ...any) {
	if l.item.Type != corev1.LimitTypePod { // else it is the sum of all containers
		path = ofResource(path.Child(list), name)
	}
	l.add(path, "LimitRange %s/%s: %s", l.limits.Namespace, l.limits.Name, fmt.Sprintf(format, args...))
}
