package plan

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
)

// ClaimVolume is the volume of the engine to which a PersistentVolumeClaim of the commit leads: Kind, Claim, Labels,
// Adopted, HostPath and Options are filled in. The error says why there is none, in upstream's words.
func ClaimVolume(set *manifests.Set, state *runtime.State, namespace, name string) (runtime.Volume, error) {
	claim := types.NamespacedName{Namespace: namespace, Name: name}
	b := bind(autoscaled(set, autoscalers(set, state)), state).claims[claim]
	switch {
	case b == nil:
		return runtime.Volume{}, fmt.Errorf("persistentvolumeclaim %q not found", name)
	case b.lost != "":
		return runtime.Volume{}, fmt.Errorf("persistentvolumeclaim %q bound to non-existent persistentvolume %q", name, b.lost)
	case b.unbound != "":
		return runtime.Volume{}, fmt.Errorf("persistentvolumeclaim %q is not bound: %s", name, b.unbound)
	case b.adopted != "":
		return runtime.Volume{Kind: runtime.Persistent, Claim: b.adopted, Adopted: true}, nil
	}
	v := runtime.Volume{Kind: runtime.Persistent, Claim: b.engineName(state.Instance), Labels: map[string]string{claimLabel: claim.String()}}
	if b.set != "" {
		v.Labels[setLabel] = b.set
	}
	if b.volume != nil {
		v.Labels[persistentLabel] = b.volume.Name
		persistentSource(&v, &b.volume.Spec)
	}
	return v, nil
}

// engineName is what the engine calls the volume of a claim.
func (b *binding) engineName(instance string) string {
	switch {
	case b.adopted != "":
		return b.adopted
	case b.existing != nil:
		return b.existing.Name
	default:
		return fmt.Sprintf("podyard_%s_claim_%s_%s", instance, b.claim.Namespace, b.claim.Name)
	}
}

// persistentSource says, in options of Docker's local driver, where the bytes of a PersistentVolume are.
func persistentSource(v *runtime.Volume, spec *corev1.PersistentVolumeSpec) {
	switch {
	case spec.HostPath != nil:
		v.HostPath = spec.HostPath.Path
		if spec.HostPath.Type != nil {
			v.HostPathType = *spec.HostPath.Type
		}
		v.Options = map[string]string{"type": "none", "o": "bind", "device": v.HostPath}
	case spec.Local != nil: // not a HostPath: an fsGroup owns it, as upstream
		v.Options = map[string]string{"type": "none", "o": "bind", "device": spec.Local.Path}
	case spec.NFS != nil:
		options := append([]string{"addr=" + spec.NFS.Server}, spec.MountOptions...)
		if spec.NFS.ReadOnly {
			options = append(options, "ro")
		}
		v.Options = map[string]string{"type": "nfs", "o": strings.Join(options, ","), "device": ":" + spec.NFS.Path}
	}
}

// claimsOf lists the claims that a pod uses.
func claimsOf(namespace string, spec *corev1.PodSpec) iter.Seq[types.NamespacedName] {
	return func(yield func(types.NamespacedName) bool) {
		for i := range spec.Volumes {
			source := spec.Volumes[i].PersistentVolumeClaim
			if source != nil && !yield(types.NamespacedName{Namespace: namespace, Name: source.ClaimName}) {
				return
			}
		}
	}
}

// bindings of the commit, worked out once.
func (p *planner) bindings() *bindings {
	if p.bound == nil {
		p.bound = bind(p.desired, p.observed)
	}
	return p.bound
}

// unboundClaims is upstream's plugin VolumeBinding.
func (p *planner) unboundClaims(pod *corev1.Pod) *obstacle {
	for claim := range claimsOf(pod.Namespace, &pod.Spec) {
		switch b := p.bindings().claims[claim]; {
		case b == nil:
			return unfit(fmt.Sprintf("persistentvolumeclaim %q not found", claim.Name)).meaning("PersistentVolumeClaim %s is not in the commit", claim)
		case b.lost != "":
			return unfit(fmt.Sprintf("persistentvolumeclaim %q bound to non-existent persistentvolume %q", claim.Name, b.lost)).
				meaning("PersistentVolumeClaim %s has lost its volume: %s", claim, lostMessage(b))
		case b.unbound != "":
			return unfit("pod has unbound immediate PersistentVolumeClaims").meaning("PersistentVolumeClaim %s is not bound: %s", claim, b.unbound)
		}
	}
	return nil
}

// claimInUse is upstream's plugin VolumeRestrictions: one pod only may use a claim whose access mode is ReadWriteOncePod.
func (p *planner) claimInUse(pod *corev1.Pod, owner ownerKey, withoutOwn bool) *obstacle {
	for claim := range claimsOf(pod.Namespace, &pod.Spec) {
		b := p.bindings().claims[claim]
		if !slices.Contains(b.claim.Spec.AccessModes, corev1.ReadWriteOncePod) {
			continue
		}
		for _, user := range p.users[claim] {
			if withoutOwn && user.owner == owner {
				continue
			}
			o := unfit("1 node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode").
				meaning("PersistentVolumeClaim %s is ReadWriteOncePod, and pod %s uses it", claim, user.ref())
			if o.passing = user.deleted; o.passing {
				o.words += ", which is being stopped"
			}
			return o
		}
	}
	return nil
}

func lostMessage(b *binding) string {
	return fmt.Sprintf("PersistentVolume %s is not in the commit any more; put it back, or remove the volume %s of the engine to have the claim bound anew",
		b.lost, b.existing.Name)
}

// claim reports on a PersistentVolumeClaim of the commit.
func (p *planner) claim(object *manifests.Object, claim *corev1.PersistentVolumeClaim) {
	p.report(object.Ref, p.claimStatus(object.Ref, p.bindings().claims[nameOf(claim)]))
}

// claimStatus has upstream's words for the phase of a claim in its summary.
func (p *planner) claimStatus(ref manifests.Ref, b *binding) ObjectStatus {
	claim := b.claim
	request := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	status := ObjectStatus{Ref: ref, Health: Ready, Summary: map[string]string{
		"status": string(corev1.ClaimBound), "volume": b.engineName(p.observed.Instance), "capacity": request.String(),
		"accessModes": accessModes(claim.Spec.AccessModes), "storageClass": className(claim),
	}}
	if b.volume != nil {
		capacity := b.volume.Spec.Capacity[corev1.ResourceStorage]
		status.Summary["capacity"], status.Summary["persistentVolume"] = capacity.String(), b.volume.Name
		status.Summary["accessModes"] = accessModes(b.volume.Spec.AccessModes)
	}
	switch {
	case b.lost != "":
		status.Health, status.Message, status.Summary["status"] = Stalled, lostMessage(b), string(corev1.ClaimLost)
	case b.unbound != "":
		status.Health, status.Message, status.Summary["status"] = Stalled, b.unbound, string(corev1.ClaimPending)
		delete(status.Summary, "volume")
	case b.adopted == "" && b.volume == nil && b.existing == nil:
		status.Message, status.Summary["status"] = "waiting for first consumer to be created before binding", string(corev1.ClaimPending)
	}
	return status
}

// persistentVolume reports on a PersistentVolume. One whose claim is gone is not given to another: it holds data.
func (p *planner) persistentVolume(object *manifests.Object, v *corev1.PersistentVolume) {
	capacity := v.Spec.Capacity[corev1.ResourceStorage]
	status := ObjectStatus{Ref: object.Ref, Health: Ready, Summary: map[string]string{
		"status": string(corev1.VolumeAvailable), "capacity": capacity.String(), "accessModes": accessModes(v.Spec.AccessModes),
		"storageClass": v.Spec.StorageClassName,
	}}
	if claim, taken := p.bindings().taken[v.Name]; taken {
		status.Summary["status"], status.Summary["claim"] = string(corev1.VolumeBound), claim.String()
		if p.bindings().claims[claim] == nil {
			status.Summary["status"] = string(corev1.VolumeReleased)
			status.Message = fmt.Sprintf("its claim %s is not in the commit; its data is kept, and no other claim gets it until the engine's volume %s is removed",
				claim, p.volumesOf(claim)[0].Name)
		}
	}
	p.report(object.Ref, status)
}

// volumesOf are the engine's volumes that were made for a claim.
func (p *planner) volumesOf(claim types.NamespacedName) []*runtime.PersistentVolume {
	if p.volumes == nil {
		p.volumes = map[types.NamespacedName][]*runtime.PersistentVolume{}
		for i := range p.observed.Volumes {
			if of, ok := claimOf(&p.observed.Volumes[i]); ok {
				p.volumes[of] = append(p.volumes[of], &p.observed.Volumes[i])
			}
		}
	}
	return p.volumes[claim]
}

// keptVolumes tells of the volumes whose claims the commit does not hold: they are kept, with their data.
func (p *planner) keptVolumes() {
	for i := range p.observed.Volumes {
		v := &p.observed.Volumes[i]
		claim, ok := claimOf(v)
		if !ok || p.bindings().claims[claim] != nil {
			continue
		}
		ref := manifests.Ref{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name}
		message := fmt.Sprintf("is not in the commit; its volume %[1]s is kept with its data: docker volume rm %[1]s removes both", v.Name)
		if persistent := v.Labels[persistentLabel]; persistent != "" {
			message = fmt.Sprintf("is not in the commit; its volume %[1]s is kept: docker volume rm %[1]s sets PersistentVolume %[2]s free, and leaves the data where it is",
				v.Name, persistent)
		}
		p.pruned = append(p.pruned, ObjectStatus{Ref: ref, Owner: ref, Health: Ready, Message: message,
			Summary: map[string]string{"status": "Kept", "volume": v.Name}})
	}
}

// accessModes are abbreviated as kubectl does.
func accessModes(modes []corev1.PersistentVolumeAccessMode) string {
	short := map[corev1.PersistentVolumeAccessMode]string{corev1.ReadWriteOnce: "RWO", corev1.ReadOnlyMany: "ROX",
		corev1.ReadWriteMany: "RWX", corev1.ReadWriteOncePod: "RWOP"}
	found := map[string]bool{}
	for _, m := range modes {
		found[short[m]] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(found)), ",")
}
