package plan

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podyard/podyard/manifests"
)

// replicas keeps the pods of a ReplicaSet or ReplicationController that stands in the commit by itself. A new template is for
// new pods only: those there are stay as they are. Upstream: pkg/controller/replicaset, which does both kinds.
func (p *planner) replicas(object *manifests.Object) {
	w := p.workload(object)
	rs := &replicaSet{owner: w.key, name: w.key.name, hash: plainHash(object), template: w.template}
	p.reap(w.pods)
	for _, v := range w.pods {
		rs.add(v)
		rs.avoid(v)
	}
	for _, v := range p.former[w.key] {
		rs.avoid(v)
	}
	have := len(rs.pods)
	reason := fmt.Sprintf("%s wants %d pods, has %d", w.key, w.replicas, have)
	if have > w.replicas {
		p.scaleDown(rs, have-w.replicas, reason)
	} else {
		p.scaleUp(rs, w.replicas-have, w.replicas, reason)
	}
	w.pending = rs.pending
	at := progress{complete: w.available() >= w.replicas}
	if n := len(rs.pods) - w.replicas; n > 0 {
		at.remark = fmt.Sprintf("has %d pods more than it wants, which stand in the commit by themselves", n)
	}
	p.reportWorkload(w, at)
}

// replicaSet is interchangeable pods: those of one template of a Deployment, which exist as long as it has pods or is the one
// wanted, or those of a ReplicaSet, ReplicationController or DaemonSet of the commit.
type replicaSet struct {
	// owner is the object of the commit.
	owner      ownerKey
	name, hash string
	revision   int
	template   *corev1.PodTemplateSpec
	// hashLabel is where pods carry the hash; empty if they have it in hashAnnotation, where upstream has it nowhere.
	hashLabel string
	// pods are those that are meant to stay; stopping ones do not count, as upstream.
	pods []*podView
	// planned counts the pods that this plan creates, and would create if it could. Those that it cannot, or could not in
	// vain before, are pending.
	planned int
	pending []ObjectStatus
	// nextIndex is one more than the highest index any pod of it has, stopping ones included. youngest is when the
	// Deployment's youngest pod was created: it keeps the name of a pod that is gone from being given again.
	nextIndex int
	youngest  time.Time
}

// nextName is the name of the next pod. It stays the same until a pod is created, so that one that cannot be created is
// tried again with the patience that its name has earned.
func (rs *replicaSet) nextName() string {
	return rs.name + "-" + suffix(fmt.Sprint(rs.name, rs.youngest.UnixNano()), rs.nextIndex)
}

// newReplicaSet is one of a Deployment.
func newReplicaSet(deployment ownerKey, hash string, template *corev1.PodTemplateSpec) *replicaSet {
	return &replicaSet{owner: deployment, name: deployment.name + "-" + hash, hash: hash, template: template, hashLabel: templateHashLabel}
}

// avoid keeps a new pod from getting the name of one that is there, or was.
func (rs *replicaSet) avoid(v *podView) {
	rs.nextIndex = max(rs.nextIndex, number(v.Manifest.Annotations, indexAnnotation, 0)+1)
	rs.youngest = later(rs.youngest, v.CreatedAt)
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

// scaleUp creates n pods with the next indexes. wanted is what the owner wants in all.
func (p *planner) scaleUp(rs *replicaSet, n, wanted int, reason string) {
	for range n {
		if status, pending := p.admit(p.replica(rs, wanted), rs.owner, reason); pending {
			rs.pending = append(rs.pending, status)
		}
		rs.nextIndex++
		rs.planned++
	}
}

// size is how many pods the set has, those that this plan creates included.
func (rs *replicaSet) size() int { return len(rs.pods) + rs.planned }

// replica is the next pod; upstream's GetPodFromTemplate (pkg/controller/controller_utils.go).
func (p *planner) replica(rs *replicaSet, wanted int) *corev1.Pod {
	key := rs.owner
	pod := podFrom(rs.template, key, rs.nextName())
	pod.Annotations = withEntries(pod.Annotations, indexAnnotation, strconv.Itoa(rs.nextIndex))
	if rs.hashLabel != "" {
		pod.Labels = withEntries(pod.Labels, rs.hashLabel, rs.hash)
	} else {
		pod.Annotations = withEntries(pod.Annotations, hashAnnotation, rs.hash)
	}
	controller := ownerKey{key.kind, key.namespace, rs.name}
	if key.kind == "Deployment" {
		controller.kind = "ReplicaSet"
		pod.Annotations = withEntries(pod.Annotations,
			revisionAnnotation, strconv.Itoa(rs.revision),
			desiredAnnotation, strconv.Itoa(wanted))
	}
	pod.UID = p.uid("Pod", key.namespace, pod.Name, rs.youngest.String())
	pod.OwnerReferences = p.controlledBy(controller)
	return pod
}

// podFrom is a pod of a template, without an identity of its own but for its name.
func podFrom(template *corev1.PodTemplateSpec, owner ownerKey, name string) *corev1.Pod {
	pod := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: *template.ObjectMeta.DeepCopy(),
		Spec:       *template.Spec.DeepCopy(),
	}
	pod.Namespace, pod.Name = owner.namespace, name
	pod.Annotations = withEntries(pod.Annotations, ownerAnnotation, owner.annotation())
	return pod
}

// scaleDown deletes the n pods that upstream would delete first.
func (p *planner) scaleDown(rs *replicaSet, n int, reason string) {
	pods := slices.DeleteFunc(slices.Clone(rs.pods), func(v *podView) bool { return v.fixed })
	p.sortForDeletion(pods)
	for _, v := range pods[:max(min(n, len(pods)), 0)] {
		p.delete(v, reason)
	}
	rs.pods = slices.DeleteFunc(rs.pods, func(v *podView) bool { return v.deleted })
}

func (p *planner) sortForDeletion(pods []*podView) {
	slices.SortStableFunc(pods, func(a, b *podView) int { return compareForDeletion(a, b, p.now) })
}

// compareForDeletion is upstream's ActivePodsWithRanks (pkg/controller/controller_utils.go): pending before running, not
// ready before ready, lower deletion cost, ready for a shorter time, more restarts of a container, then of a sidecar, younger.
// How many pods are on the same node is left out: on one host it says nothing.
func compareForDeletion(a, b *podView, now time.Time) int {
	return cmp.Or(
		cmp.Compare(order(a.phase == corev1.PodRunning), order(b.phase == corev1.PodRunning)),
		cmp.Compare(order(a.ready), order(b.ready)),
		cmp.Compare(number(a.Manifest.Annotations, deletionCostAnnotation, 0), number(b.Manifest.Annotations, deletionCostAnnotation, 0)),
		order(a.ready)*compareAges(a, b, a.readySince, b.readySince, now), // both are ready, or neither
		cmp.Compare(b.mostRestarts, a.mostRestarts),
		cmp.Compare(b.mostOfSidecars, a.mostOfSidecars),
		compareAges(a, b, a.CreatedAt, b.CreatedAt, now),
		cmp.Compare(b.Manifest.Name, a.Manifest.Name),
	)
}

// compareAges puts the younger first. Times within a factor of two count as the same age, of which the UID takes one by chance,
// so that scaling down does not always spare the same pods. Upstream: logarithmicRankDiff (KEP-2185).
func compareAges(a, b *podView, ofA, ofB, now time.Time) int {
	if ofA.Equal(ofB) {
		return 0
	}
	if ofA.IsZero() || ofB.IsZero() {
		return ofA.Compare(ofB)
	}
	return cmp.Or(cmp.Compare(magnitude(now.Sub(ofA)), magnitude(now.Sub(ofB))), cmp.Compare(a.Manifest.UID, b.Manifest.UID))
}

// magnitude is how often a time in nanoseconds can be halved.
func magnitude(d time.Duration) int { return bits.Len64(uint64(max(d, 0))) }

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
	status.Conditions = replicaFailure(rs.pending)
	p.report(root, status)
	for _, v := range all {
		if v.Manifest.Labels[templateHashLabel] == rs.hash {
			p.report(root, p.podStatus(v, ref))
		}
	}
	for _, status := range rs.pending {
		status.Owner = ref
		p.report(root, status)
	}
}

// reap deletes pods that have ended; their owner makes new ones. Upstream keeps them until there are 12,500. Here they go at
// once: an evicted pod holds the disk, and its sandbox the host ports, that the new one needs; and nobody could delete them
// later, for git does not name them. Those that it does name stay.
func (p *planner) reap(pods []*podView) {
	for _, v := range pods {
		if v.end != nil && !v.fixed {
			p.delete(v, fmt.Sprintf("it has ended: %s", v.end.why))
		}
	}
}
