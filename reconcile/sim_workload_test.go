package reconcile

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/runtime/fake"
)

// addWorkloads makes up a StatefulSet, a DaemonSet and a ReplicaSet, each of them or not.
func (s *simulation) addWorkloads(set *manifests.Set) {
	if s.keeps("store", 4, 5) {
		store := s.randomStatefulSet("store", mains, anyDress)
		store.Spec.UpdateStrategy.RollingUpdate.Partition = pointer(int32(rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(s.T, "partition")))
		add(set, "StatefulSet", "store", store)
	}
	if s.keeps("agent", 1, 2) {
		add(set, "DaemonSet", "agent", s.randomDaemonSet("agent", mains, anyDress))
	}
	if s.keeps("crew", 1, 2) {
		crew := s.randomReplicaSet("crew", mains, anyDress)
		s.publish(&crew.Spec.Template.Spec)
		add(set, "ReplicaSet", "crew", crew)
	}
}

// publish asks for a port of the host, or not.
func (s *simulation) publish(spec *corev1.PodSpec) {
	if rapid.IntRange(0, 2).Draw(s.T, "host port") == 0 {
		spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: 8080, Protocol: corev1.ProtocolTCP}}
	}
}

// addGoodWorkloads are those that all can become ready. The ReplicaSet has another name: pods of an earlier template stay.
func (s *simulation) addGoodWorkloads(set *manifests.Set) {
	good := []string{"good:1", "good:2", "good:3"}
	if s.cast["store"] {
		add(set, "StatefulSet", "store", s.randomStatefulSet("store", good, goodDress))
	}
	if s.cast["agent"] {
		add(set, "DaemonSet", "agent", s.randomDaemonSet("agent", good, goodDress))
	}
	if s.cast["crew"] {
		add(set, "ReplicaSet", "hands", s.randomReplicaSet("hands", good, goodDress))
	}
}

func typed(kind, name string) (metav1.TypeMeta, metav1.ObjectMeta, *metav1.LabelSelector) {
	return metav1.TypeMeta{APIVersion: "apps/v1", Kind: kind}, metav1.ObjectMeta{Namespace: "default", Name: name},
		&metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}
}

func (s *simulation) template(name string, images []string, dress dress) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": name}},
		Spec: s.podSpec(rapid.SampledFrom(images).Draw(s.T, "image"), dress)}
}

func (s *simulation) randomStatefulSet(name string, images []string, dress dress) *appsv1.StatefulSet {
	out := &appsv1.StatefulSet{}
	out.TypeMeta, out.ObjectMeta, out.Spec.Selector = typed("StatefulSet", name)
	out.Spec.ServiceName, out.Spec.Replicas = name, pointer(int32(rapid.IntRange(0, 4).Draw(s.T, "replicas")))
	out.Spec.MinReadySeconds = int32(rapid.IntRange(0, 5).Draw(s.T, "minReady"))
	out.Spec.PodManagementPolicy = rapid.SampledFrom([]appsv1.PodManagementPolicyType{"OrderedReady", "Parallel"}).Draw(s.T, "policy")
	out.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType,
		RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: pointer(int32(0)),
			MaxUnavailable: pointer(intstr.FromInt(rapid.IntRange(1, 2).Draw(s.T, "unavailable")))}}
	when := []appsv1.PersistentVolumeClaimRetentionPolicyType{"Retain", "Retain", "Delete"}
	out.Spec.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
		WhenScaled: rapid.SampledFrom(when).Draw(s.T, "whenScaled"), WhenDeleted: rapid.SampledFrom(when).Draw(s.T, "whenDeleted")}
	if start := rapid.SampledFrom([]int{0, 0, 0, 2}).Draw(s.T, "start"); start > 0 {
		out.Spec.Ordinals = &appsv1.StatefulSetOrdinals{Start: int32(start)}
	}
	out.Spec.Template = s.template(name, images, dress)
	out.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "own"},
		Spec: corev1.PersistentVolumeClaimSpec{AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}}}}
	return out
}

func (s *simulation) randomDaemonSet(name string, images []string, dress dress) *appsv1.DaemonSet {
	out := &appsv1.DaemonSet{}
	out.TypeMeta, out.ObjectMeta, out.Spec.Selector = typed("DaemonSet", name)
	surge := rapid.IntRange(0, 1).Draw(s.T, "surge")
	out.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType,
		RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxSurge: pointer(intstr.FromInt(surge)), MaxUnavailable: pointer(intstr.FromInt(1 - surge))}}
	out.Spec.MinReadySeconds = int32(rapid.IntRange(0, 5).Draw(s.T, "minReady"))
	out.Spec.Template = s.template(name, images, dress)
	return out
}

func (s *simulation) randomReplicaSet(name string, images []string, dress dress) *appsv1.ReplicaSet {
	out := &appsv1.ReplicaSet{}
	out.TypeMeta, out.ObjectMeta, out.Spec.Selector = typed("ReplicaSet", name)
	out.Spec.Replicas = pointer(int32(rapid.IntRange(0, 3).Draw(s.T, "replicas")))
	out.Spec.Template = s.template(name, images, dress)
	out.Spec.Selector.MatchLabels, out.Spec.Template.Labels["team"] = map[string]string{"team": name}, name
	return out
}

// checkWorkload looks at a pod that has just been made. The caller holds mu.
func (s *simulation) checkWorkload(state *runtime.State, pod *runtime.Pod) {
	switch kind, name, _ := strings.Cut(pod.Manifest.Annotations["podyard.dev/owner"], "/"); kind {
	case "StatefulSet":
		s.checkOrdinal(state, pod, name)
	case "Job":
		s.checkNewJobPod(state, pod)
	case "DaemonSet":
		if n, most := s.staying(state.Pods, "DaemonSet/"+name), s.mostDaemons(name); n > most {
			s.Errorf("DaemonSet %s has %d pods, at most %d are allowed:%s", name, n, most, s.describe(state.Pods))
		}
	case "ReplicaSet":
		most := s.had["ReplicaSet/"+name]
		for _, set := range s.standingCommits() {
			if o := set.Find("ReplicaSet", "default", name); o != nil {
				most = max(most, int(*o.Value.(*appsv1.ReplicaSet).Spec.Replicas))
			}
		}
		if n := s.staying(state.Pods, "ReplicaSet/"+name); n > most {
			s.Errorf("ReplicaSet %s has %d pods, at most %d are allowed:%s", name, n, most, s.describe(state.Pods))
		}
	}
}

func (s *simulation) mostDaemons(name string) int {
	most := 0
	for _, set := range s.standingCommits() {
		if o := set.Find("DaemonSet", "default", name); o != nil {
			most = max(most, 1+o.Value.(*appsv1.DaemonSet).Spec.UpdateStrategy.RollingUpdate.MaxSurge.IntValue())
		}
	}
	return most
}

// checkOrdinal: a pod of a StatefulSet is the only one of its name, its ordinal is wanted, and in order those below it serve.
func (s *simulation) checkOrdinal(state *runtime.State, pod *runtime.Pod, name string) {
	ordinal, err := strconv.Atoi(strings.TrimPrefix(pod.Manifest.Name, name+"-"))
	wanted, ordered := false, true
	start, minReady := 0, int32(0)
	for _, set := range s.standingCommits() {
		if o := set.Find("StatefulSet", "default", name); o != nil {
			spec := &o.Value.(*appsv1.StatefulSet).Spec
			first := firstOrdinal(spec)
			wanted = wanted || ordinal >= first && ordinal < first+int(*spec.Replicas)
			ordered = ordered && spec.PodManagementPolicy == appsv1.OrderedReadyPodManagement
			start, minReady = max(start, first), spec.MinReadySeconds
		}
	}
	if err != nil || !wanted && s.had[pod.Manifest.Name] == 0 {
		s.Errorf("nobody wants pod %s", pod.Manifest.Name)
	}
	for i := range state.Pods {
		other := &state.Pods[i]
		if other.Manifest.Name == pod.Manifest.Name && other.ID != pod.ID {
			s.Errorf("there are two pods %s:%s", pod.Manifest.Name, s.describe(state.Pods))
		}
	}
	if ordered && len(s.lastCommits()) == 1 && time.Since(s.lastChaos) > 10*time.Second {
		for below := start; below < ordinal; below++ {
			s.checkBelow(state, pod, fmt.Sprintf("%s-%d", name, below), minReady)
		}
	}
}

// checkBelow: programs that crash by themselves may have done so in this instant.
func (s *simulation) checkBelow(state *runtime.State, pod *runtime.Pod, below string, minReady int32) {
	i := slices.IndexFunc(state.Pods, func(p runtime.Pod) bool { return p.Manifest.Name == below })
	if i < 0 {
		s.Errorf("pod %s is made before %s is there", pod.Manifest.Name, below)
	} else if p := &state.Pods[i]; !ripe(p, minReady) && !crashes(&p.Manifest.Spec) {
		s.Errorf("pod %s is made before %s is available", pod.Manifest.Name, below)
	}
}

func crashes(spec *corev1.PodSpec) bool {
	return slices.ContainsFunc(containersOf(spec), func(c *corev1.Container) bool { return programs[c.Image].ExitAfter > 0 })
}

func firstOrdinal(spec *appsv1.StatefulSetSpec) int {
	if spec.Ordinals == nil {
		return 0
	}
	return int(spec.Ordinals.Start)
}

// RemoveVolume is for volumes only that a StatefulSet made and that one of the last commits says should go.
func (g *guard) RemoveVolume(ctx context.Context, name string) error {
	g.s.checkRemoval(name)
	err := g.Engine.RemoveVolume(ctx, name)
	here := slices.ContainsFunc(g.Engine.Volumes(), func(v fake.Volume) bool { return v.Name == name })
	g.s.mu.Lock()
	defer g.s.mu.Unlock()
	if here || !g.s.volumes[name] {
		delete(g.s.removed, name)
	}
	return err
}

// checkRemoval: whenScaled is what the last commits say, whenDeleted what the last commits said that held the StatefulSet.
func (s *simulation) checkRemoval(volume string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, claim, ok := strings.Cut(volume, "_claim_default_own-store-")
	ordinal, err := strconv.Atoi(claim)
	if !ok || err != nil {
		s.Errorf("volume %s is removed, which no StatefulSet made", volume)
		return
	}
	s.removed[volume] = true
	for i := len(s.commits) - 1; i >= 0; i-- {
		o := s.commits[i].Find("StatefulSet", "default", "store")
		if o == nil {
			continue
		}
		spec := &o.Value.(*appsv1.StatefulSet).Spec
		policy, first := spec.PersistentVolumeClaimRetentionPolicy, firstOrdinal(spec)
		scaled := ordinal < first || ordinal >= first+int(*spec.Replicas)
		if scaled && policy.WhenScaled == appsv1.DeletePersistentVolumeClaimRetentionPolicyType ||
			i < len(s.commits)-1 && policy.WhenDeleted == appsv1.DeletePersistentVolumeClaimRetentionPolicyType {
			return
		}
		until := time.Now()
		if i < len(s.commits)-1 {
			until = s.commits[i+1].Since
		}
		if until.Sub(s.commits[i].Since) > 5*time.Second {
			break // it was in force long enough to overrule those before
		}
	}
	s.Errorf("volume %s is removed, although the StatefulSet keeps it", volume)
}

// checkFinalWorkloads returns how many pods there should be.
func (s *simulation) checkFinalWorkloads(state *runtime.State, set *manifests.Set) int {
	total := 0
	for _, o := range set.Objects {
		w, ok := manifests.WorkloadOf(o.Value)
		if !ok || o.Kind == "Deployment" || o.Kind == "Job" {
			continue
		}
		want := 1
		if w.Replicas != nil {
			want = int(*w.Replicas)
		}
		total += want
		if n := s.servingOf(state, o, w.Template); n != want {
			s.Fatalf("%s: %d pods of the last commit serve, want %d; status: %+v", o.Ref, n, want, s.reconciler.Status().Result.Objects)
		}
	}
	return total
}

// servingOf counts the pods that serve as the last commit says; those of a StatefulSet by their ordinals.
func (s *simulation) servingOf(state *runtime.State, o *manifests.Object, template *corev1.PodTemplateSpec) int {
	n := 0
	for i := range state.Pods {
		pod := &state.Pods[i]
		main := plan.Latest(pod, "main")
		if pod.Manifest.Annotations["podyard.dev/owner"] != o.Kind+"/"+o.Name || !serves(pod) || main.Image != template.Spec.Containers[0].Image {
			continue
		}
		n++
		if value, ok := o.Value.(*appsv1.StatefulSet); ok {
			ordinal, _ := strconv.Atoi(strings.TrimPrefix(pod.Manifest.Name, o.Name+"-"))
			if first := firstOrdinal(&value.Spec); ordinal < first || ordinal >= first+int(*value.Spec.Replicas) {
				s.Fatalf("%s: nobody wants pod %s", o.Ref, pod.Manifest.Name)
			}
		}
	}
	return n
}
