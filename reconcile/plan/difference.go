package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

const (
	// maxDifferences is how many of them a reason names.
	maxDifferences = 3
	// maxValue is how many characters of a value it shows.
	maxValue = 60
)

// newTemplate is the reason for replacing pods, of which old is one, by such as fresh.
func (p *planner) newTemplate(key ownerKey, old *podView, fresh *corev1.Pod) string {
	return fmt.Sprintf("%s has a new template%s", key, p.differences(old, fresh))
}

// differences says what is different in a new pod: ": image nginx:1.25 → nginx:1.26, replicas …"; empty if nothing that can be named. Names and
// what Podyard writes into each pod do not count.
func (p *planner) differences(old *podView, fresh *corev1.Pod) string {
	if old == nil || old.Manifest == nil {
		return ""
	}
	fresh = fresh.DeepCopy()
	p.priorities().Fill(&fresh.Spec)
	var found []string
	compareTrees("", described(old.Manifest), described(fresh), &found)
	if len(found) == 0 {
		return ""
	}
	more := ""
	if n := len(found) - maxDifferences; n > 0 {
		found, more = found[:maxDifferences], fmt.Sprintf(" and %d more", n)
	}
	return ": " + strings.Join(found, ", ") + more
}

// controllers are the domains of the labels and annotations that are written into each pod.
var controllers = []string{"podyard.dev", "deployment.kubernetes.io", "statefulset.kubernetes.io", "apps.kubernetes.io", "batch.kubernetes.io"}

// described is what of a pod its template says. A pod from the engine and one of a template differ in what is empty only.
func described(pod *corev1.Pod) map[string]any {
	ours := func(key, _ string) bool {
		domain, _, _ := strings.Cut(key, "/")
		return slices.Contains(controllers, domain) || key == templateHashLabel || key == revisionLabel
	}
	labels, annotations := maps.Clone(pod.Labels), maps.Clone(pod.Annotations)
	maps.DeleteFunc(labels, ours)
	maps.DeleteFunc(annotations, ours)
	spec := pod.Spec.DeepCopy()
	spec.Hostname, spec.Subdomain = "", ""
	tree := map[string]any{}
	text, err := json.Marshal(struct {
		Labels      map[string]string `json:"labels,omitempty"`
		Annotations map[string]string `json:"annotations,omitempty"`
		*corev1.PodSpec
	}{labels, annotations, spec})
	if err == nil {
		err = json.Unmarshal(text, &tree)
	}
	if err != nil {
		return nil // a pod is always JSON
	}
	return tree
}

// compareTrees appends each place where two trees of JSON differ, in the order of their fields.
func compareTrees(path string, old, fresh any, found *[]string) {
	oldMap, oldIs := old.(map[string]any)
	freshMap, freshIs := fresh.(map[string]any)
	if oldIs && freshIs {
		keys := map[string]bool{}
		for key := range oldMap {
			keys[key] = true
		}
		for key := range freshMap {
			keys[key] = true
		}
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			compareTrees(join(path, key), oldMap[key], freshMap[key], found)
		}
		return
	}
	oldList, oldNamed := byElementName(old)
	freshList, freshNamed := byElementName(fresh)
	if oldNamed && freshNamed {
		compareTrees(path, oldList, freshList, found)
		return
	}
	if a, b := shown(old), shown(fresh); a != b {
		*found = append(*found, change(path, a, b))
	}
}

// byElementName makes a map of a list whose elements have names: "[web]" and so on. Of what is not there it is empty.
func byElementName(value any) (map[string]any, bool) {
	list, isList := value.([]any)
	if value != nil && !isList {
		return nil, false
	}
	out := map[string]any{}
	for _, element := range list {
		fields, _ := element.(map[string]any)
		name, ok := fields["name"].(string)
		if !ok {
			return nil, false
		}
		out["["+name+"]"] = fields
	}
	return out, true
}

func join(path, key string) string {
	if path == "" || strings.HasPrefix(key, "[") {
		return path + key
	}
	return path + "." + key
}

// shown is a value in a few characters; empty if there is none.
func shown(value any) string {
	switch value := value.(type) {
	case nil:
		return ""
	case string:
		return abbreviated(value)
	}
	text, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return abbreviated(string(text))
}

func abbreviated(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > maxValue {
		return string(runes[:maxValue]) + "…"
	}
	return text
}

// change is one difference. The image is what people look for. The value of a variable may be a password, for all we know.
func change(path, old, fresh string) string {
	switch {
	case strings.Contains(path, ".env["):
		return path + " changed"
	case strings.HasPrefix(path, "containers[") && strings.HasSuffix(path, "].image"):
		path = "image"
	}
	whole := strings.HasSuffix(path, "]") // a container or volume, with all that is in it
	switch {
	case old == "" && whole:
		return path + " added"
	case fresh == "" && whole:
		return path + " removed"
	case old == "":
		return fmt.Sprintf("%s %s added", path, fresh)
	case fresh == "":
		return fmt.Sprintf("%s %s removed", path, old)
	default:
		return fmt.Sprintf("%s %s → %s", path, old, fresh)
	}
}
