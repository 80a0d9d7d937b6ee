package plan

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
)

// DoomedVolumes are the engine's names of the volumes that would be removed, with all their data, if a set were desired: those of a
// StatefulSet that it does not hold, or of ordinals that it does not want, where persistentVolumeClaimRetentionPolicy says so.
// Sorted.
func DoomedVolumes(set *manifests.Set, state *runtime.State) []string {
	var out []string
	for i := range state.Volumes {
		v := &state.Volumes[i]
		claim, _ := claimOf(v)
		owner := ownerKey{"StatefulSet", claim.Namespace, v.Labels[setLabel]}
		if owner.name == "" || set.Find("PersistentVolumeClaim", claim.Namespace, claim.Name) != nil {
			continue
		}
		var doomed bool
		if o := set.Find(owner.kind, owner.namespace, owner.name); o != nil {
			doomed = unwantedByScale(o.Value.(*appsv1.StatefulSet), claim)
		} else {
			doomed = goesWithSet(state, owner)
		}
		if doomed {
			out = append(out, v.Name)
		}
	}
	slices.Sort(out)
	return out
}

func unwantedByScale(s *appsv1.StatefulSet, claim types.NamespacedName) bool {
	_, ordinal := splitOrdinal(claim.Name)
	start := startOrdinal(s)
	return s.Spec.PersistentVolumeClaimRetentionPolicy.WhenScaled == appsv1.DeletePersistentVolumeClaimRetentionPolicyType &&
		(ordinal < start || ordinal >= start+int(*s.Spec.Replicas))
}

// goesWithSet tells whether pods of a StatefulSet say that its volumes go when it is deleted.
func goesWithSet(state *runtime.State, set ownerKey) bool {
	return state.Notes[keepNoteName(set)] == "" && slices.ContainsFunc(state.Pods, func(p runtime.Pod) bool {
		m := p.Manifest
		return m.Namespace == set.namespace && m.Annotations[whenDeletedAnnotation] != "" &&
			slices.ContainsFunc(m.OwnerReferences, func(o metav1.OwnerReference) bool { return o.Kind == set.kind && o.Name == set.name })
	})
}
