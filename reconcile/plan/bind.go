package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
)

// Labels of the engine's volume that a claim leads to. They decide before anything is matched anew, so that a binding
// never moves.
const (
	claimLabel = "podyard.dev/claim"
	// persistentLabel is the PersistentVolume's name, where there is one.
	persistentLabel = "podyard.dev/persistent-volume"
)

// binding is where a claim leads: to an adopted volume, to a PersistentVolume, or to a volume of the engine's own.
type binding struct {
	claim *corev1.PersistentVolumeClaim
	// set is the StatefulSet that makes the claim; empty of one that the commit holds.
	set string
	// existing is the engine's volume, if it has been made.
	existing *runtime.PersistentVolume
	adopted  string
	volume   *corev1.PersistentVolume
	// lost names the PersistentVolume to which it was bound and which is not in the commit any more.
	lost string
	// unbound says why it leads nowhere.
	unbound string
}

// bindings are those of all claims of a commit.
type bindings struct {
	claims map[types.NamespacedName]*binding
	// made are those that a StatefulSet makes.
	made map[types.NamespacedName][]*binding
	// taken tells which claim has a PersistentVolume, also if the claim is not in the commit any more.
	taken map[string]types.NamespacedName
}

// bind gives every claim of a commit its volume: first those to whose volume the engine bears witness, then those that
// name each other, then the rest by name. Upstream: pkg/controller/volume/persistentvolume (pv_controller.go, index.go).
func bind(set *manifests.Set, state *runtime.State) *bindings {
	observed := state.Volumes
	b := &bindings{claims: map[types.NamespacedName]*binding{}, made: map[types.NamespacedName][]*binding{}, taken: map[string]types.NamespacedName{}}
	volumes := manifests.All[*corev1.PersistentVolume](set)
	slices.SortFunc(volumes, compareVolumes)
	var open []*binding
	for _, found := range sortedClaims(set, observed) {
		if _, twice := b.claims[nameOf(found.claim)]; twice {
			continue
		}
		b.claims[nameOf(found.claim)] = found
		if found.set != "" {
			at := types.NamespacedName{Namespace: found.claim.Namespace, Name: found.set}
			b.made[at] = append(b.made[at], found)
		}
		if found.adopted == "" {
			open = append(open, found)
		} else if !onEngine(state, found.adopted) {
			found.unbound = fmt.Sprintf("it adopts volume %s, which is not on the engine: docker volume create %[1]s makes an empty one", found.adopted)
		}
	}
	b.keep(volumes, observed)
	for _, byName := range []bool{true, false} {
		for _, c := range open {
			if c.existing == nil && c.volume == nil && named(c.claim, volumes) == byName {
				b.match(c, volumes, set)
			}
		}
	}
	return b
}

// onEngine tells whether there is a volume that a claim may adopt.
func onEngine(state *runtime.State, name string) bool {
	return slices.Contains(state.OtherVolumes, name) ||
		slices.ContainsFunc(state.Volumes, func(v runtime.PersistentVolume) bool { return v.Name == name })
}

func nameOf(o metav1.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}

// sortedClaims are those that the commit holds and those that StatefulSets make, the former first where both have a name.
func sortedClaims(set *manifests.Set, observed []runtime.PersistentVolume) []*binding {
	var claims []*binding
	for _, claim := range manifests.All[*corev1.PersistentVolumeClaim](set) {
		claims = append(claims, &binding{claim: claim, adopted: claim.Annotations[manifests.VolumeAnnotation]})
	}
	claims = append(claims, madeClaims(set, observed)...)
	slices.SortStableFunc(claims, func(a, b *binding) int {
		return cmp.Or(cmp.Compare(a.claim.Namespace, b.claim.Namespace), cmp.Compare(a.claim.Name, b.claim.Name))
	})
	return claims
}

// compareVolumes puts first what should be taken first: few access modes, a small capacity. Upstream: findByClaim
// (pkg/controller/volume/persistentvolume/index.go).
func compareVolumes(a, b *corev1.PersistentVolume) int {
	sizeA, sizeB := a.Spec.Capacity[corev1.ResourceStorage], b.Spec.Capacity[corev1.ResourceStorage]
	return cmp.Or(cmp.Compare(len(a.Spec.AccessModes), len(b.Spec.AccessModes)), sizeA.Cmp(sizeB), cmp.Compare(a.Name, b.Name))
}

// named: the claim and a volume name each other, or one the other.
func named(claim *corev1.PersistentVolumeClaim, volumes []*corev1.PersistentVolume) bool {
	return claim.Spec.VolumeName != "" || slices.ContainsFunc(volumes, func(v *corev1.PersistentVolume) bool { return reserved(v, claim) })
}

// reserved: the volume's claimRef names the claim.
func reserved(v *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) bool {
	return v.Spec.ClaimRef != nil && v.Spec.ClaimRef.Namespace == claim.Namespace && v.Spec.ClaimRef.Name == claim.Name
}

// keep restores the bindings that the engine's volumes tell of.
func (b *bindings) keep(volumes []*corev1.PersistentVolume, observed []runtime.PersistentVolume) {
	for i := range observed {
		claim, ok := claimOf(&observed[i])
		if !ok {
			continue
		}
		persistent := observed[i].Labels[persistentLabel]
		if persistent != "" {
			b.taken[persistent] = claim
		}
		found := b.claims[claim]
		if found == nil || found.adopted != "" {
			continue
		}
		found.existing = &observed[i]
		if persistent == "" {
			continue
		}
		if j := slices.IndexFunc(volumes, func(v *corev1.PersistentVolume) bool { return v.Name == persistent }); j >= 0 {
			found.volume = volumes[j]
		} else {
			found.lost = persistent
		}
	}
}

// claimOf reads back for which claim the engine's volume was made.
func claimOf(v *runtime.PersistentVolume) (types.NamespacedName, bool) {
	namespace, name, ok := strings.Cut(v.Labels[claimLabel], "/")
	return types.NamespacedName{Namespace: namespace, Name: name}, ok
}

// match finds a PersistentVolume for a claim, or lets it have a volume of the engine's own, or says why not.
func (b *bindings) match(c *binding, volumes []*corev1.PersistentVolume, set *manifests.Set) {
	if name := c.claim.Spec.VolumeName; name != "" {
		b.matchNamed(c, name, volumes)
		return
	}
	for _, wantReserved := range []bool{true, false} {
		for _, v := range volumes {
			if _, gone := b.taken[v.Name]; gone || reserved(v, c.claim) != wantReserved || !fits(v, c.claim) {
				continue
			}
			b.give(c, v)
			return
		}
	}
	if !provisioned(c.claim, volumes, set) {
		c.unbound = fmt.Sprintf("no PersistentVolume of the commit that is free has %s", describeClaim(c.claim))
	}
}

// matchNamed is about a claim that asks for one volume; upstream's checkVolumeSatisfyClaim.
func (b *bindings) matchNamed(c *binding, name string, volumes []*corev1.PersistentVolume) {
	i := slices.IndexFunc(volumes, func(v *corev1.PersistentVolume) bool { return v.Name == name })
	if i < 0 {
		c.unbound = fmt.Sprintf("PersistentVolume %s is not in the commit", name)
		return
	}
	v := volumes[i]
	if other, gone := b.taken[name]; gone {
		c.unbound = fmt.Sprintf("PersistentVolume %s is bound to claim %s", name, other)
		return
	}
	if v.Spec.ClaimRef != nil && !reserved(v, c.claim) {
		c.unbound = fmt.Sprintf("PersistentVolume %s is reserved for claim %s/%s", name, v.Spec.ClaimRef.Namespace, v.Spec.ClaimRef.Name)
		return
	}
	if !reserved(v, c.claim) && !satisfies(v, c.claim) {
		c.unbound = fmt.Sprintf("PersistentVolume %s does not have %s", name, describeClaim(c.claim))
		return
	}
	b.give(c, v)
}

func (b *bindings) give(c *binding, v *corev1.PersistentVolume) {
	c.volume = v
	b.taken[v.Name] = nameOf(c.claim)
}

// fits is upstream's FindMatchingVolume (k8s.io/component-helpers/storage/volume): a volume that names the claim need only
// be large enough.
func fits(v *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) bool {
	if reserved(v, claim) {
		return largeEnough(v, claim)
	}
	return v.Spec.ClaimRef == nil && satisfies(v, claim) && selected(v, claim.Spec.Selector)
}

func satisfies(v *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) bool {
	for _, mode := range claim.Spec.AccessModes {
		if !slices.Contains(v.Spec.AccessModes, mode) {
			return false
		}
	}
	return largeEnough(v, claim) && v.Spec.StorageClassName == className(claim)
}

func largeEnough(v *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) bool {
	capacity, request := v.Spec.Capacity[corev1.ResourceStorage], claim.Spec.Resources.Requests[corev1.ResourceStorage]
	return capacity.Cmp(request) >= 0
}

func selected(v *corev1.PersistentVolume, selector *metav1.LabelSelector) bool {
	if selector == nil {
		return true
	}
	s, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && s.Matches(labels.Set(v.Labels))
}

func className(claim *corev1.PersistentVolumeClaim) string {
	if claim.Spec.StorageClassName == nil {
		return ""
	}
	return *claim.Spec.StorageClassName
}

// provisioned tells whether a claim that no PersistentVolume fits gets a volume of the engine's own. It does unless it
// asks for one that somebody has prepared: with the class "", with a selector, with a class that has no provisioner, or with
// one that the commit does not hold but has PersistentVolumes of.
func provisioned(claim *corev1.PersistentVolumeClaim, volumes []*corev1.PersistentVolume, set *manifests.Set) bool {
	name := className(claim)
	if claim.Spec.Selector != nil || claim.Spec.StorageClassName != nil && name == "" {
		return false
	}
	if object := set.Find("StorageClass", "", name); object != nil {
		class, ok := object.Value.(*storagev1.StorageClass)
		return !ok || class.Provisioner != "kubernetes.io/no-provisioner"
	}
	return name == "" || !slices.ContainsFunc(volumes, func(v *corev1.PersistentVolume) bool { return v.Spec.StorageClassName == name })
}

// describeClaim is what a volume must have for a claim.
func describeClaim(claim *corev1.PersistentVolumeClaim) string {
	request := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	text := fmt.Sprintf("storageClassName %q, %s and the access modes %s", className(claim), request.String(), accessModes(claim.Spec.AccessModes))
	if claim.Spec.Selector != nil {
		text += ", and the labels of its selector"
	}
	return text
}
