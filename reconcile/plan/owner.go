package plan

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podyard/podyard/manifests"
)

// Annotations by which a pod carries everything that a later plan must know about it.
const (
	// ownerAnnotation names the object of the commit that the pod belongs to, as "Deployment/web".
	ownerAnnotation = "podyard.dev/owner"
	// indexAnnotation counts the pods a ReplicaSet ever had; the pod's name is derived from it.
	indexAnnotation = "podyard.dev/index"
	// hashAnnotation is the content hash of a bare pod, of a Job with its run, or of the template of a ReplicaSet's pod.
	hashAnnotation = "podyard.dev/hash"
	// revisionAnnotation and desiredAnnotation are upstream's (pkg/controller/deployment/util).
	revisionAnnotation = "deployment.kubernetes.io/revision"
	desiredAnnotation  = "deployment.kubernetes.io/desired-replicas"
	// deletionCostAnnotation is upstream's (core/v1 PodDeletionCost).
	deletionCostAnnotation = "controller.kubernetes.io/pod-deletion-cost"
	// templateHashLabel is upstream's (apps/v1 DefaultDeploymentUniqueLabelKey).
	templateHashLabel = "pod-template-hash"
	// revisionLabel is upstream's (apps/v1 ControllerRevisionHashLabelKey).
	revisionLabel = "controller-revision-hash"
)

// ownerKey names the object of the commit that a pod belongs to.
type ownerKey struct{ kind, namespace, name string }

func (k ownerKey) annotation() string { return k.kind + "/" + k.name }

func (k ownerKey) String() string { return k.kind + " " + k.namespace + "/" + k.name }

func (k ownerKey) compare(o ownerKey) int {
	return cmp.Or(cmp.Compare(k.namespace, o.namespace), cmp.Compare(k.kind, o.kind), cmp.Compare(k.name, o.name))
}

// controlledBy is the owner reference of a controller's pods; upstream's NewControllerRef.
func (p *planner) controlledBy(controller ownerKey) []metav1.OwnerReference {
	apiVersion, yes := "apps/v1", true
	switch controller.kind {
	case "ReplicationController":
		apiVersion = "v1"
	case "Job", "CronJob":
		apiVersion = "batch/v1"
	}
	return []metav1.OwnerReference{{
		APIVersion: apiVersion, Kind: controller.kind, Name: controller.name, Controller: &yes, BlockOwnerDeletion: &yes,
		UID: p.uid(controller.kind, controller.namespace, controller.name),
	}}
}

// ownerOf reads the owner from a pod's annotation; a pod without one belongs to nobody and is pruned.
func ownerOf(pod *corev1.Pod) ownerKey {
	kind, name, _ := strings.Cut(pod.Annotations[ownerAnnotation], "/")
	return ownerKey{kind, pod.Namespace, name}
}

// Owns tells whether a pod belongs to an object of a commit.
func Owns(object manifests.Ref, pod *corev1.Pod) bool {
	return ownerOf(pod) == ownerKey{object.Kind, object.Namespace, object.Name}
}

// uid derives an identity from what it identifies, so that creating the same thing twice is refused by the engine.
func (p *planner) uid(parts ...string) types.UID {
	sum := sha256.Sum256([]byte(p.observed.Instance + "\x00" + strings.Join(parts, "\x00")))
	h := hex.EncodeToString(sum[:16])
	return types.UID(fmt.Sprintf("%s-%s-%s-%s-%s", h[:8], h[8:12], h[12:16], h[16:20], h[20:32]))
}

// suffix is a pod's five characters, derived from its ReplicaSet and index: web-5d4f8c7b9-x2x9c. The alphabet is
// upstream's (k8s.io/apimachinery/pkg/util/rand), which forms no words.
func suffix(replicaSet string, index int) string {
	const alphabet = "bcdfghjklmnpqrstvwxz2456789"
	h := fnv.New64a()
	fmt.Fprintf(h, "%s/%d", replicaSet, index)
	sum, out := h.Sum64(), make([]byte, 5)
	for i := range out {
		out[i], sum = alphabet[sum%uint64(len(alphabet))], sum/uint64(len(alphabet))
	}
	return string(out)
}

// number reads an integer annotation; anything else counts as missing.
func number(annotations map[string]string, key string, missing int) int {
	n, err := strconv.Atoi(annotations[key])
	if err != nil {
		return missing
	}
	return n
}
