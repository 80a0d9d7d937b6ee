package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
)

// replicaSet is the pods of one template of a Deployment. It exists as long as it has pods, or is the one wanted.
type replicaSet struct {
	name, hash string
	revision   int
	template   *corev1.PodTemplateSpec
	// pods are those that are meant to stay; stopping ones do not count, as upstream.
	pods []*podView
	// planned counts the pods that this plan creates.
	planned int
	// nextIndex is one more than the highest index any pod of it has, stopping ones included. youngest is when the
	// Deployment's youngest pod was created: it keeps the name of a pod that is gone from being given again.
	nextIndex int
	youngest  time.Time
}

// nextName is the name of the next pod. It stays the same until a pod is created, so that one that cannot be created is
// tried again with the patience that its name has earned.
func (rs *replicaSet) nextName(offset int) string {
	return rs.name + "-" + suffix(fmt.Sprint(rs.name, rs.youngest.UnixNano()), rs.nextIndex+offset)
}

func newReplicaSet(deployment, hash string, template *corev1.PodTemplateSpec) *replicaSet {
	return &replicaSet{name: deployment + "-" + hash, hash: hash, template: template}
}

// add counts an observed pod in.
func (rs *replicaSet) add(v *podView) {
	rs.nextIndex = max(rs.nextIndex, number(v.Manifest.Annotations, indexAnnotation, 0)+1)
	rs.revision = max(rs.revision, number(v.Manifest.Annotations, revisionAnnotation, 0))
	if v.live() {
		rs.pods = append(rs.pods, v)
	}
}

// templateOf reads the template back from one of the set's pods: it is stored nowhere else.
func templateOf(pod *corev1.Pod) *corev1.PodTemplateSpec {
	meta := metav1.ObjectMeta{Labels: pod.Labels, Annotations: pod.Annotations}
	return &corev1.PodTemplateSpec{ObjectMeta: meta, Spec: pod.Spec}
}

// scaleUp creates n pods with the next indexes. wanted is what the Deployment wants in all.
func (p *planner) scaleUp(key ownerKey, rs *replicaSet, n, wanted int, reason string) {
	for range n {
		p.create(p.replica(key, rs, wanted), reason)
		rs.nextIndex++
		rs.planned++
	}
}

// size is how many pods the set has, those that this plan creates included.
func (rs *replicaSet) size() int { return len(rs.pods) + rs.planned }

// replica is the next pod of a ReplicaSet; upstream's GetPodFromTemplate (pkg/controller/controller_utils.go).
func (p *planner) replica(key ownerKey, rs *replicaSet, wanted int) *corev1.Pod {
	pod := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: *rs.template.ObjectMeta.DeepCopy(),
		Spec:       *rs.template.Spec.DeepCopy(),
	}
	pod.Namespace, pod.Name = key.namespace, rs.nextName(0)
	pod.Labels = withEntries(pod.Labels, templateHashLabel, rs.hash)
	pod.Annotations = withEntries(pod.Annotations,
		ownerAnnotation, key.annotation(),
		indexAnnotation, strconv.Itoa(rs.nextIndex),
		revisionAnnotation, strconv.Itoa(rs.revision),
		desiredAnnotation, strconv.Itoa(wanted))
	pod.UID = p.uid("Pod", key.namespace, pod.Name, rs.youngest.String())
	controller := true
	pod.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: "apps/v1", Kind: "ReplicaSet", Name: rs.name, Controller: &controller,
		UID: p.uid("ReplicaSet", key.namespace, rs.name),
	}}
	return pod
}

// scaleDown deletes the n pods that upstream would delete first.
func (p *planner) scaleDown(rs *replicaSet, n int, reason string) {
	pods := slices.Clone(rs.pods)
	slices.SortStableFunc(pods, compareForDeletion)
	for _, v := range pods[:max(min(n, len(pods)), 0)] {
		p.delete(v, reason)
	}
	rs.pods = slices.DeleteFunc(rs.pods, func(v *podView) bool { return v.deleted })
}

// compareForDeletion is upstream's ActivePodsWithRanks (pkg/controller/controller_utils.go): pending before running, not
// ready before ready, lower deletion cost, ready for a shorter time, more restarts, younger.
func compareForDeletion(a, b *podView) int {
	return cmp.Or(
		cmp.Compare(order(a.phase == corev1.PodRunning), order(b.phase == corev1.PodRunning)),
		cmp.Compare(order(a.ready), order(b.ready)),
		cmp.Compare(number(a.Manifest.Annotations, deletionCostAnnotation, 0), number(b.Manifest.Annotations, deletionCostAnnotation, 0)),
		b.readySince.Compare(a.readySince),
		cmp.Compare(b.restarts, a.restarts),
		b.CreatedAt.Compare(a.CreatedAt),
		cmp.Compare(b.Manifest.Name, a.Manifest.Name),
	)
}

func order(b bool) int {
	if b {
		return 1
	}
	return 0
}

// reportReplicaSet says what is known of a ReplicaSet and its pods, stopping ones included.
func (p *planner) reportReplicaSet(root manifests.Ref, rs *replicaSet, wanted int, all []*podView) {
	ref := manifests.Ref{APIVersion: "apps/v1", Kind: "ReplicaSet", Namespace: root.Namespace, Name: rs.name}
	readyPods := 0
	for _, v := range rs.pods {
		readyPods += order(v.ready)
	}
	status := ObjectStatus{Ref: ref, Owner: root, Health: Ready, Summary: map[string]string{
		"ready": fmt.Sprintf("%d/%d", readyPods, wanted), "revision": strconv.Itoa(rs.revision)}}
	if readyPods != wanted || rs.size() != wanted {
		status.Health = Reconciling
		status.Message = fmt.Sprintf("%d of %d pods ready", readyPods, wanted)
	}
	p.report(root, status)
	for _, v := range all {
		if v.Manifest.Labels[templateHashLabel] == rs.hash {
			p.report(root, p.podStatus(v, ref))
		}
	}
}

// lost deletes what is left of pods whose sandbox is gone; their owner then makes new ones.
func (p *planner) lost(pods []*podView) {
	for _, v := range pods {
		if v.Phase == runtime.Missing {
			p.delete(v, "its sandbox was removed")
		}
	}
}
