package manifests

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The annotations by which an object says when in a sync it is applied. Argo CD's: its documents "Sync Phases and Waves" and
// "Resource Hooks"; of Helm's, what Argo CD makes of them.
const (
	waveAnnotation       = "argocd.argoproj.io/sync-wave"
	hookAnnotation       = "argocd.argoproj.io/hook"
	hookDeleteAnnotation = "argocd.argoproj.io/hook-delete-policy"
	helmHookAnnotation   = "helm.sh/hook"
	helmWeightAnnotation = "helm.sh/hook-weight"
	helmDeleteAnnotation = "helm.sh/hook-delete-policy"
)

// Phase is a part of a sync.
type Phase string

// The phases, in their order. SyncFail takes the place of those that were to come.
const (
	PhasePreSync  Phase = "PreSync"
	PhaseSync     Phase = "Sync"
	PhasePostSync Phase = "PostSync"
	PhaseSyncFail Phase = "SyncFail"
)

// phases in their order.
var phases = []Phase{PhasePreSync, PhaseSync, PhasePostSync, PhaseSyncFail}

// Hook makes of a Job or Pod something that runs once in a sync, instead of an object like all others.
type Hook struct {
	// Phases in which it runs, in their order; none if it is never run.
	Phases []Phase
	// AfterSuccess and AfterFailure: its pods are deleted then. Before it runs again they always are.
	AfterSuccess, AfterFailure bool
}

// HookOf tells whether an object is a hook, and when it runs.
func HookOf(o *Object) (Hook, bool) {
	if o.Value == nil || !canBeHook(o.Kind) {
		return Hook{}, false
	}
	annotations := metaOf(o.Value).Annotations
	if names := listOf(annotations[hookAnnotation]); len(names) > 0 {
		return hook(names, argoPhases, listOf(annotations[hookDeleteAnnotation]), "HookSucceeded", "HookFailed"), true
	}
	if names := listOf(annotations[helmHookAnnotation]); len(names) > 0 {
		return hook(names, helmPhases, listOf(annotations[helmDeleteAnnotation]), "hook-succeeded", "hook-failed"), true
	}
	return Hook{}, false
}

func canBeHook(kind string) bool { return kind == "Job" || kind == "Pod" }

func hook(names []string, known map[string]Phase, deletes []string, succeeded, failed string) Hook {
	h := Hook{AfterSuccess: slices.Contains(deletes, succeeded), AfterFailure: slices.Contains(deletes, failed)}
	if slices.Contains(names, "Skip") {
		return h
	}
	for _, phase := range phases {
		if slices.ContainsFunc(names, func(name string) bool { return known[name] == phase }) {
			h.Phases = append(h.Phases, phase)
		}
	}
	return h
}

// argoPhases and helmPhases are the hooks there are. Those without a phase are never run.
var (
	argoPhases = map[string]Phase{
		"PreSync": PhasePreSync, "Sync": PhaseSync, "PostSync": PhasePostSync, "SyncFail": PhaseSyncFail,
		"Skip": "", "PreDelete": "", "PostDelete": "",
	}
	helmPhases = map[string]Phase{
		"crd-install": PhasePreSync, "pre-install": PhasePreSync, "pre-upgrade": PhasePreSync,
		"post-install": PhasePostSync, "post-upgrade": PhasePostSync,
		"pre-delete": "", "post-delete": "", "pre-rollback": "", "post-rollback": "", "test": "", "test-success": "", "test-failure": "",
	}
)

// listOf reads a list with commas.
func listOf(text string) []string {
	var out []string
	for _, item := range strings.Split(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}

// WaveOf is the wave of its phase in which an object is applied: lower ones come first.
func WaveOf(o *Object) int {
	if o.Value == nil {
		return 0
	}
	annotations := metaOf(o.Value).Annotations
	for _, key := range []string{waveAnnotation, helmWeightAnnotation} {
		if wave, err := strconv.Atoi(annotations[key]); err == nil {
			return wave
		}
	}
	return 0
}

// WithoutOrdering is metadata without the annotations about waves, hooks and pruning: a pod need not be replaced because one
// of them has changed.
func WithoutOrdering(meta metav1.ObjectMeta) metav1.ObjectMeta {
	meta.Annotations = maps.Clone(meta.Annotations)
	for _, key := range []string{waveAnnotation, hookAnnotation, hookDeleteAnnotation, helmHookAnnotation, helmWeightAnnotation,
		helmDeleteAnnotation, PruneAnnotation, argoOptions, fluxPruneAnnotation} {
		delete(meta.Annotations, key)
	}
	return meta
}
