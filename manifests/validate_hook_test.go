package manifests

import (
	"slices"
	"testing"
)

// withAnnotations is a Pod, or an object of a kind without a spec, with annotations.
func withAnnotations(kind, annotations string) string {
	head := "apiVersion: v1\nkind: " + kind + "\nmetadata:\n  name: a\n  annotations:\n" + annotations
	if kind == "Pod" {
		return head + "spec: {restartPolicy: Never, containers: [{name: main, image: app:1}]}\n"
	}
	return head
}

func TestValidateOrdering(t *testing.T) {
	runCases(t, []validateCase{
		{name: "a wave and a policy", yaml: withAnnotations("ConfigMap", "    argocd.argoproj.io/sync-wave: \"-5\"\n    podyard.dev/prune: disabled\n")},
		{name: "a wave that is no number", yaml: withAnnotations("ConfigMap", "    argocd.argoproj.io/sync-wave: first\n"),
			errors: []string{`a.yaml:6: metadata.annotations[argocd.argoproj.io/sync-wave]: must be a whole number in quotes, as "-1"`}},
		{name: "a policy that there is not", yaml: withAnnotations("ConfigMap", "    podyard.dev/prune: never\n"),
			errors: []string{"a.yaml:6: metadata.annotations[podyard.dev/prune]: must be one of foreground, background, orphan or disabled"}},
		{name: "a hook", yaml: withAnnotations("Pod", "    argocd.argoproj.io/hook: PreSync, SyncFail\n    argocd.argoproj.io/hook-delete-policy: HookSucceeded,BeforeHookCreation\n")},
		{name: "a hook that there is not", yaml: withAnnotations("Pod", "    argocd.argoproj.io/hook: BeforeSync\n"),
			errors: []string{"a.yaml:6: metadata.annotations[argocd.argoproj.io/hook]: there is no hook of this name: use PostSync, PreSync, Skip, Sync or SyncFail, with commas between several"}},
		{name: "a delete policy that there is not", yaml: withAnnotations("Pod", "    argocd.argoproj.io/hook: Sync\n    argocd.argoproj.io/hook-delete-policy: Always\n"),
			errors: []string{"a.yaml:7: metadata.annotations[argocd.argoproj.io/hook-delete-policy]: must be one of BeforeHookCreation, HookSucceeded or HookFailed"}},
		{name: "a hook of another kind", yaml: withAnnotations("ConfigMap", "    argocd.argoproj.io/hook: PreSync\n"),
			errors: []string{"a.yaml:6: metadata.annotations[argocd.argoproj.io/hook]: only a Job or a Pod can be a hook: a ConfigMap is ordered by the annotation argocd.argoproj.io/sync-wave"}},
		{name: "a hook for removal", yaml: withAnnotations("Pod", "    argocd.argoproj.io/hook: PostDelete\n"),
			warnings: []string{"a.yaml:6: Pod default/a: metadata.annotations[argocd.argoproj.io/hook]: PostDelete is never run: Podyard has no such point in a deployment"}},
		{name: "a hook of Helm that is never run", yaml: withAnnotations("Pod", "    helm.sh/hook: test\n"),
			warnings: []string{"a.yaml:6: Pod default/a: metadata.annotations[helm.sh/hook]: test is never run: Podyard has no such point in a deployment"}},
		{name: "a hook of Helm of another kind", yaml: withAnnotations("ConfigMap", "    helm.sh/hook: pre-install\n    helm.sh/hook-weight: \"-5\"\n"),
			warnings: []string{"a.yaml:6: ConfigMap default/a: metadata.annotations[helm.sh/hook]: only a Job or a Pod can be a hook: this ConfigMap is applied as if it were none"}},
		{name: "a hook that never ends", yaml: `
apiVersion: v1
kind: Pod
metadata:
  name: a
  annotations: {argocd.argoproj.io/hook: PreSync}
spec: {containers: [{name: main, image: app:1}]}
`, warnings: []string{"a.yaml:5: Pod default/a: metadata.annotations[argocd.argoproj.io/hook]: the hook counts as done when the pod is ready, because its containers are always restarted: set spec.restartPolicy to Never or OnFailure to have it run to its end"}},
	})
}

func TestHooksOfArgoCDAndHelm(t *testing.T) {
	for _, c := range []struct {
		annotations string
		phases      []Phase
		wave        int
		after       [2]bool
	}{
		{"    argocd.argoproj.io/hook: SyncFail,PreSync\n    argocd.argoproj.io/sync-wave: \"2\"\n", []Phase{PhasePreSync, PhaseSyncFail}, 2, [2]bool{}},
		{"    argocd.argoproj.io/hook: Skip\n", nil, 0, [2]bool{}},
		{"    helm.sh/hook: pre-install,pre-upgrade\n    helm.sh/hook-weight: \"-5\"\n    helm.sh/hook-delete-policy: hook-succeeded\n", []Phase{PhasePreSync}, -5, [2]bool{true, false}},
		{"    helm.sh/hook: post-upgrade\n    helm.sh/hook-delete-policy: hook-failed,before-hook-creation\n", []Phase{PhasePostSync}, 0, [2]bool{false, true}},
		{"    helm.sh/hook: test\n", nil, 0, [2]bool{}},
	} {
		set, errs := assembleText(t, withAnnotations("Pod", c.annotations))
		if set == nil {
			t.Fatal(errs)
		}
		h, is := HookOf(set.Objects[0])
		if wave := WaveOf(set.Objects[0]); !is || !slices.Equal(h.Phases, c.phases) || wave != c.wave || [2]bool{h.AfterSuccess, h.AfterFailure} != c.after {
			t.Errorf("%s is hook %v %+v of wave %d", c.annotations, is, h, wave)
		}
	}
}

func TestPruneOfOthers(t *testing.T) {
	for annotations, want := range map[string]Prune{
		"    argocd.argoproj.io/sync-options: Validate=false, Prune=false\n":                PruneDisabled,
		"    kustomize.toolkit.fluxcd.io/prune: disabled\n":                                 PruneDisabled,
		"    kustomize.toolkit.fluxcd.io/prune: enabled\n":                                  PruneBackground,
		"    podyard.dev/prune: orphan\n    argocd.argoproj.io/sync-options: Prune=false\n": PruneOrphan,
	} {
		set, errs := assembleText(t, withAnnotations("ConfigMap", annotations))
		if set == nil {
			t.Fatal(errs)
		}
		if got := PruneOf(set.Objects[0]); got != want {
			t.Errorf("%s means %s, want %s", annotations, got, want)
		}
	}
}

func TestValidateOwners(t *testing.T) {
	const owner = "\n  - {apiVersion: v1, kind: Pod, name: "
	pod := func(owners string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  ownerReferences:" + owners + "\nspec: {containers: [{name: main, image: app:1}]}\n"
	}
	runCases(t, []validateCase{
		{name: "one of two owners is there", yaml: pod(owner + "a, uid: x}" + owner + "b, uid: y, controller: true}"), warnings: []string{
			"a.yaml:7: Pod default/a: metadata.ownerReferences[1]: Pod default/b is not in the commit"}},
		{name: "no owner is there", yaml: pod(owner + "b, uid: y}"), warnings: []string{
			"a.yaml:6: Pod default/a: metadata.ownerReferences[0]: Pod default/b is not in the commit",
			"a.yaml:5: Pod default/a: metadata.ownerReferences: no owner is in the commit: as in a cluster, this object is removed with the last of them"}},
		{name: "an owner without a name", yaml: pod("\n  - {apiVersion: v1, kind: Pod, name: \"\", uid: x}"),
			errors: []string{"a.yaml:6: metadata.ownerReferences[0]: must name the owner: kind and name"}},
	})
}
