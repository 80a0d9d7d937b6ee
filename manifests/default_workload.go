package manifests

import (
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// historyLimit is how many revisions upstream keeps where nothing is said.
const historyLimit = int32(10)

func defaultDeployment(d *appsv1.Deployment) {
	point(defaults{}, &d.Spec.Replicas, int32(1))
	point(defaults{}, &d.Spec.RevisionHistoryLimit, historyLimit)
	point(defaults{}, &d.Spec.ProgressDeadlineSeconds, int32(600))
	fill(defaults{}, &d.Spec.Strategy.Type, appsv1.RollingUpdateDeploymentStrategyType)
	if d.Spec.Strategy.Type == appsv1.RollingUpdateDeploymentStrategyType {
		empty(defaults{}, &d.Spec.Strategy.RollingUpdate)
		point(defaults{}, &d.Spec.Strategy.RollingUpdate.MaxUnavailable, intstr.FromString("25%"))
		point(defaults{}, &d.Spec.Strategy.RollingUpdate.MaxSurge, intstr.FromString("25%"))
	}
	defaults{}.podSpec(&d.Spec.Template.Spec)
}

// defaultReplicationController takes what is missing from the labels of the template.
func defaultReplicationController(c *corev1.ReplicationController) {
	point(defaults{}, &c.Spec.Replicas, int32(1))
	if c.Spec.Template == nil {
		return
	}
	if len(c.Spec.Selector) == 0 {
		c.Spec.Selector = maps.Clone(c.Spec.Template.Labels)
	}
	if len(c.Labels) == 0 {
		c.Labels = maps.Clone(c.Spec.Template.Labels)
	}
	defaults{}.podSpec(&c.Spec.Template.Spec)
}

// defaultStatefulSet fills in rollingUpdate also where only the type is written. Upstream leaves it out there, and its
// controller takes the same values.
func defaultStatefulSet(s *appsv1.StatefulSet) {
	point(defaults{}, &s.Spec.Replicas, int32(1))
	point(defaults{}, &s.Spec.RevisionHistoryLimit, historyLimit)
	fill(defaults{}, &s.Spec.PodManagementPolicy, appsv1.OrderedReadyPodManagement)
	fill(defaults{}, &s.Spec.UpdateStrategy.Type, appsv1.RollingUpdateStatefulSetStrategyType)
	if s.Spec.UpdateStrategy.Type == appsv1.RollingUpdateStatefulSetStrategyType {
		empty(defaults{}, &s.Spec.UpdateStrategy.RollingUpdate)
		point(defaults{}, &s.Spec.UpdateStrategy.RollingUpdate.Partition, int32(0))
		point(defaults{}, &s.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable, intstr.FromInt32(1))
	}
	empty(defaults{}, &s.Spec.PersistentVolumeClaimRetentionPolicy)
	fill(defaults{}, &s.Spec.PersistentVolumeClaimRetentionPolicy.WhenDeleted, appsv1.RetainPersistentVolumeClaimRetentionPolicyType)
	fill(defaults{}, &s.Spec.PersistentVolumeClaimRetentionPolicy.WhenScaled, appsv1.RetainPersistentVolumeClaimRetentionPolicyType)
	for i := range s.Spec.VolumeClaimTemplates {
		defaults{}.claim(&s.Spec.VolumeClaimTemplates[i].Spec)
	}
	defaults{}.podSpec(&s.Spec.Template.Spec)
}

func defaultDaemonSet(d *appsv1.DaemonSet) {
	point(defaults{}, &d.Spec.RevisionHistoryLimit, historyLimit)
	fill(defaults{}, &d.Spec.UpdateStrategy.Type, appsv1.RollingUpdateDaemonSetStrategyType)
	if d.Spec.UpdateStrategy.Type == appsv1.RollingUpdateDaemonSetStrategyType {
		empty(defaults{}, &d.Spec.UpdateStrategy.RollingUpdate)
		point(defaults{}, &d.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable, intstr.FromInt32(1))
		point(defaults{}, &d.Spec.UpdateStrategy.RollingUpdate.MaxSurge, intstr.FromInt32(0))
	}
	defaults{}.podSpec(&d.Spec.Template.Spec)
}
