package manifests

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/rand"
)

// TemplateHash names a pod template by its content, as upstream's ComputeHash does (pkg/controller/controller_utils.go):
// it becomes the label pod-template-hash. Comments, order and formatting do not change it, for the template was decoded
// and its defaults filled in.
func TemplateHash(template *corev1.PodTemplateSpec) string {
	plain := *template
	if _, labelled := plain.Labels["pod-template-hash"]; labelled {
		plain.Labels = maps.Clone(plain.Labels)
		delete(plain.Labels, "pod-template-hash")
	}
	h := fnv.New32a()
	if err := json.NewEncoder(h).Encode(plain); err != nil {
		panic(fmt.Sprintf("encode a pod template: %v", err)) // its types always encode
	}
	return rand.SafeEncodeString(fmt.Sprint(h.Sum32()))
}
