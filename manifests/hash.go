package manifests

import (
	"encoding/json"
	"fmt"
	"hash/fnv"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/rand"
)

// TemplateHash names a pod template by its content, as upstream's ComputeHash does (pkg/controller/controller_utils.go):
// it becomes the label pod-template-hash. Comments, order and formatting do not change it, for the template was decoded;
// nor do values to which it defaults, so that a Podyard that knows more defaults does not make new pods.
func TemplateHash(template *corev1.PodTemplateSpec) string {
	plain := template.DeepCopy()
	delete(plain.Labels, "pod-template-hash")
	defaults{undo: true}.podSpec(&plain.Spec)
	return hashOf(plain)
}

// JobHash names a Job by all of it that Kubernetes lets nobody change, but for completions, of which an Indexed Job may get
// others: ValidateJobSpecUpdate (pkg/apis/batch/validation).
func JobHash(spec *batchv1.JobSpec) string {
	plain := spec.DeepCopy()
	defaults{undo: true}.lastingJob(plain)
	plain.Parallelism, plain.Completions, plain.ActiveDeadlineSeconds, plain.BackoffLimit = nil, nil, nil, nil
	plain.MaxFailedIndexes, plain.TTLSecondsAfterFinished, plain.Suspend, plain.PodReplacementPolicy = nil, nil, nil, nil
	return hashOf(plain)
}

func hashOf(value any) string {
	h := fnv.New32a()
	if err := json.NewEncoder(h).Encode(value); err != nil {
		panic(fmt.Sprintf("encode %T: %v", value, err)) // these types always encode
	}
	return rand.SafeEncodeString(fmt.Sprint(h.Sum32()))
}
