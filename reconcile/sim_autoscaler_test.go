package reconcile

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime/fake"
)

// addTide makes up a Deployment whose load comes and goes, with an autoscaler. Its pods ask for 100m and may use half of it.
func (s *simulation) addTide(set *manifests.Set) {
	d := &appsv1.Deployment{}
	d.TypeMeta, d.ObjectMeta, d.Spec.Selector = typed("Deployment", "tide")
	d.Spec.Replicas = pointer(int32(rapid.IntRange(0, 8).Draw(s.T, "replicas")))
	d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{
		MaxSurge: pointer(intstr.FromInt(rapid.IntRange(0, 2).Draw(s.T, "surge"))), MaxUnavailable: pointer(intstr.FromInt(1))}}
	d.Spec.Template.Labels = map[string]string{"app": "tide"}
	d.Spec.Template.Spec = corev1.PodSpec{RestartPolicy: corev1.RestartPolicyAlways, TerminationGracePeriodSeconds: pointer(int64(10)),
		Containers: []corev1.Container{{Name: "main", Image: "tide", ImagePullPolicy: corev1.PullIfNotPresent,
			Env:            []corev1.EnvVar{{Name: "VERSION", Value: fmt.Sprint(rapid.IntRange(1, 3).Draw(s.T, "version"))}},
			ReadinessProbe: tcpProbe(),
			Resources:      corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}}}}}
	least := rapid.IntRange(1, 4).Draw(s.T, "least")
	a := autoscalerOf("Deployment", "tide", int32(least), int32(rapid.IntRange(least, 9).Draw(s.T, "most")))
	add(set, "Deployment", "tide", d)
	add(set, "HorizontalPodAutoscaler", "tide", a)
}

// tide changes the load.
func (s *simulation) tide() {
	s.engine.SetLoad("tide", fake.Load{CPU: int64(rapid.SampledFrom([]int{0, 10, 100, 230, 900}).Draw(s.T, "load"))})
}

// tideAtEnd is the load at the end, and how many pods it makes, whatever there were before.
const tideAtEnd, podsAtEnd = 230, 5

// replicasOf is how many pods a Deployment may want: as it says, or between the bounds of its autoscaler.
func replicasOf(set *manifests.Set, d *appsv1.Deployment) (least, most int) {
	least, most = int(*d.Spec.Replicas), int(*d.Spec.Replicas)
	if o := set.Find("HorizontalPodAutoscaler", "default", d.Name); o != nil && most > 0 {
		a := o.Value.(*autoscalingv2.HorizontalPodAutoscaler)
		least, most = int(*a.Spec.MinReplicas), int(a.Spec.MaxReplicas)
	}
	return least, most
}

// finalReplicas is how many pods a Deployment wants when the load has not changed for long.
func finalReplicas(set *manifests.Set, d *appsv1.Deployment) int {
	least, most := replicasOf(set, d)
	return min(max(podsAtEnd, least), most) // of one that is not autoscaled both are the same
}
