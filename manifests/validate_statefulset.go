package manifests

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxStatefulSetName leaves room for what follows the name in the label controller-revision-hash of its pods: "-" and up to
// ten characters. In a cluster a longer name is accepted, but no pod of it can be made (pkg/controller/history,
// ControllerRevisionName). Names of pods fit, then, too: an ordinal has no more than ten digits.
const maxStatefulSetName = validation.LabelValueMaxLength - 11

// statefulSet is what only StatefulSets have. Upstream: ValidateStatefulSetSpec.
func (c check) statefulSet(path *field.Path, s *appsv1.StatefulSetSpec) {
	if len(c.object.Name) > maxStatefulSetName {
		c.add(field.NewPath("metadata", "name"), "must be no more than %d characters: the label controller-revision-hash of its pods is the name and up to 11 more", maxStatefulSetName)
	}
	oneOf(c, path.Child("podManagementPolicy"), s.PodManagementPolicy, appsv1.OrderedReadyPodManagement, appsv1.ParallelPodManagement)
	if s.Ordinals != nil {
		notNegative(c, path.Child("ordinals", "start"), &s.Ordinals.Start)
	}
	if s.ServiceName != "" {
		c.all(path.Child("serviceName"), validation.IsDNS1123Label(s.ServiceName))
	}
	c.statefulSetStrategy(path.Child("updateStrategy"), &s.UpdateStrategy)
	retention, at := s.PersistentVolumeClaimRetentionPolicy, path.Child("persistentVolumeClaimRetentionPolicy")
	for _, policy := range []struct {
		field string
		value appsv1.PersistentVolumeClaimRetentionPolicyType
	}{{"whenDeleted", retention.WhenDeleted}, {"whenScaled", retention.WhenScaled}} {
		oneOf(c, at.Child(policy.field), policy.value, appsv1.RetainPersistentVolumeClaimRetentionPolicyType, appsv1.DeletePersistentVolumeClaimRetentionPolicyType)
	}
	c.claimTemplates(path.Child("volumeClaimTemplates"), s.VolumeClaimTemplates)
	c.overridden(path.Child("template", "spec"), s)
}

func (c check) statefulSetStrategy(path *field.Path, s *appsv1.StatefulSetUpdateStrategy) {
	oneOf(c, path.Child("type"), s.Type, appsv1.RollingUpdateStatefulSetStrategyType, appsv1.OnDeleteStatefulSetStrategyType)
	at := path.Child("rollingUpdate")
	switch {
	case s.RollingUpdate == nil:
		return
	case s.Type == appsv1.OnDeleteStatefulSetStrategyType:
		c.add(at, "must not be set when the type is OnDelete")
		return
	}
	notNegative(c, at.Child("partition"), s.RollingUpdate.Partition)
	if number, ok := c.partialShare(at.Child("maxUnavailable"), s.RollingUpdate.MaxUnavailable); ok && number == 0 {
		c.add(at.Child("maxUnavailable"), "must not be 0: no pod could ever be replaced")
	}
}

// claimTemplates are claims whose names are those of volumes.
func (c check) claimTemplates(path *field.Path, templates []corev1.PersistentVolumeClaim) {
	twice := c.unique("claim")
	for i := range templates {
		claim, at := &templates[i], path.Index(i)
		c.label(at.Child("metadata", "name"), claim.Name)
		twice(at.Child("metadata", "name"), claim.Name)
		c.labels(at.Child("metadata"), &claim.ObjectMeta)
		if _, adopts := claim.Annotations[VolumeAnnotation]; adopts {
			c.add(at.Child("metadata", "annotations").Key(VolumeAnnotation),
				"must not be set in a template: all pods would have the same volume; set it in a PersistentVolumeClaim named %s-%s-0 instead", claim.Name, c.object.Name)
		}
		c.claimSpec(at.Child("spec"), &claim.Spec)
	}
}

// overridden warns of what the template says in vain. Upstream: initIdentity and updateStorage
// (pkg/controller/statefulset/stateful_set_utils.go).
func (c check) overridden(path *field.Path, s *appsv1.StatefulSetSpec) {
	if s.Template.Spec.Hostname != "" {
		c.warn(path.Child("hostname"), "is not used: a pod of a StatefulSet has its own name as hostname")
	}
	if s.Template.Spec.Subdomain != "" && s.Template.Spec.Subdomain != s.ServiceName {
		c.warn(path.Child("subdomain"), "is not used: pods of a StatefulSet have its serviceName as subdomain")
	}
	claims := claimVolumes(c.object.Value)
	for i, volume := range s.Template.Spec.Volumes {
		if claims[volume.Name] {
			c.warn(path.Child("volumes").Index(i), "is not used: volumeClaimTemplates have a claim of this name, which takes its place")
		}
	}
}

// claimVolumes are the volumes that pods have beside those in their template: one of each claim that is made for them.
func claimVolumes(value any) map[string]bool {
	out := map[string]bool{}
	if s, ok := value.(*appsv1.StatefulSet); ok {
		for i := range s.Spec.VolumeClaimTemplates {
			out[s.Spec.VolumeClaimTemplates[i].Name] = true
		}
	}
	return out
}

// lastPod is the name of the pod with the highest ordinal.
func lastPod(s *appsv1.StatefulSet) string {
	last := max(int64(*s.Spec.Replicas)-1, 0)
	if s.Spec.Ordinals != nil {
		last += int64(s.Spec.Ordinals.Start)
	}
	return fmt.Sprintf("%s-%d", s.Name, last)
}
