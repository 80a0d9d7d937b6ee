package manifests

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ordering checks the annotations about waves, hooks and pruning.
func (c check) ordering() {
	annotations := metaOf(c.object.Value).Annotations
	at := field.NewPath("metadata", "annotations")
	for _, key := range []string{waveAnnotation, helmWeightAnnotation} {
		if text, there := annotations[key]; there && !isWhole(text) {
			c.add(at.Key(key), `must be a whole number in quotes, as "-1"`)
		}
	}
	if prune := Prune(annotations[PruneAnnotation]); prune != "" {
		oneOf(c, at.Key(PruneAnnotation), prune, PruneForeground, PruneBackground, PruneOrphan, PruneDisabled)
	}
	c.argoHook(at, annotations)
	c.helmHook(at, annotations)
	c.hookThatEnds(at)
}

func isWhole(text string) bool {
	_, err := strconv.Atoi(text)
	return err == nil
}

func (c check) argoHook(at *field.Path, annotations map[string]string) {
	names := listOf(annotations[hookAnnotation])
	switch {
	case len(names) == 0:
		return
	case !canBeHook(c.object.Kind):
		c.add(at.Key(hookAnnotation), "only a Job or a Pod can be a hook: a %s is ordered by the annotation %s", c.object.Kind, waveAnnotation)
		return
	}
	c.known(at.Key(hookAnnotation), names, argoPhases)
	for _, name := range listOf(annotations[hookDeleteAnnotation]) {
		oneOf(c, at.Key(hookDeleteAnnotation), name, "BeforeHookCreation", "HookSucceeded", "HookFailed")
	}
}

// helmHook warns of what a chart means and Podyard does not do. Charts that were rendered into git hold such things, so
// nothing of it is refused.
func (c check) helmHook(at *field.Path, annotations map[string]string) {
	names := listOf(annotations[helmHookAnnotation])
	switch {
	case len(names) == 0 || annotations[hookAnnotation] != "":
		return
	case !canBeHook(c.object.Kind):
		c.warn(at.Key(helmHookAnnotation), "only a Job or a Pod can be a hook: this %s is applied as if it were none", c.object.Kind)
	default:
		c.known(at.Key(helmHookAnnotation), names, helmPhases)
	}
}

// known refuses names of hooks that there are not, and warns of those that are never run.
func (c check) known(at *field.Path, names []string, known map[string]Phase) {
	for _, name := range names {
		phase, is := known[name]
		switch {
		case !is:
			c.add(at, "there is no hook of this name: use %s, with commas between several", words(slices.Sorted(maps.Keys(runs(known)))))
		case phase == "" && name != "Skip":
			c.warn(at, "%s is never run: Podyard has no such point in a deployment", name)
		}
	}
}

// runs are the hooks that run.
func runs(known map[string]Phase) map[string]Phase {
	out := maps.Clone(known)
	maps.DeleteFunc(out, func(name string, phase Phase) bool { return phase == "" && name != "Skip" })
	return out
}

// hookThatEnds warns of a Pod that has its containers restarted: it never ends. Argo CD takes it as done when it is ready
// (gitops-engine, pkg/health/health_pod.go).
func (c check) hookThatEnds(at *field.Path) {
	h, is := HookOf(c.object)
	pod, isPod := c.object.Value.(*corev1.Pod)
	if is && isPod && len(h.Phases) > 0 && (pod.Spec.RestartPolicy == corev1.RestartPolicyAlways || pod.Spec.RestartPolicy == "") {
		key := hookAnnotation
		if strings.TrimSpace(pod.Annotations[key]) == "" {
			key = helmHookAnnotation
		}
		c.warn(at.Key(key), "the hook counts as done when the pod is ready, because its containers are always restarted: set spec.restartPolicy to Never or OnFailure to have it run to its end")
	}
}
