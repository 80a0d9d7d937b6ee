package manifests

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// masked stands for the value of a Secret.
const masked = "***"

// YAML writes the objects as rendered, each under a comment that says where it comes from. With mask the values of
// Secrets are left out; without it the text may be shown to nobody, but Decode makes the same Set of it.
func (s *Set) YAML(mask bool) []byte {
	var out bytes.Buffer
	for _, o := range s.Objects {
		content := o.Raw.Object
		if mask {
			content = maskSecret(o.Raw)
		}
		text, err := yaml.Marshal(content)
		if err != nil {
			panic(fmt.Sprintf("write %s: %v", o.Ref, err)) // it was read from YAML
		}
		fmt.Fprintf(&out, "---\n# Source: %s\n%s", o.Position, text)
	}
	return out.Bytes()
}

// maskSecret keeps the keys of a Secret and hides its values; also in the annotation in which kubectl keeps a copy.
func maskSecret(raw *unstructured.Unstructured) map[string]any {
	if raw.GetKind() != "Secret" {
		return raw.Object
	}
	out := maps.Clone(raw.Object)
	for _, field := range []string{"data", "stringData"} {
		if values, ok := out[field].(map[string]any); ok {
			hidden := map[string]any{}
			for key := range values {
				hidden[key] = masked
			}
			out[field] = hidden
		}
	}
	shown := &unstructured.Unstructured{Object: out}
	const copied = "kubectl.kubernetes.io/last-applied-configuration"
	if annotations := raw.GetAnnotations(); annotations[copied] != "" {
		shown = shown.DeepCopy()
		annotations[copied] = masked
		shown.SetAnnotations(annotations)
	}
	return shown.Object
}

// Masked is one object as YAML writes it, with the values of a Secret left out. Against another state of the same Secret,
// which may be nil, the values that differ are marked, so that a diff tells which did.
func (o *Object) Masked(other *Object) []byte {
	shown := Object{Ref: o.Ref, Position: o.Position, Raw: &unstructured.Unstructured{Object: maskSecret(o.Raw)}}
	if o.Kind == "Secret" && other != nil {
		shown.Raw = shown.Raw.DeepCopy()
		for _, field := range []string{"data", "stringData"} {
			markDifferent(shown.Raw.Object[field], o.Raw.Object[field], other.Raw.Object[field])
		}
	}
	return (&Set{Objects: []*Object{&shown}}).YAML(false)
}

func markDifferent(shown, own, other any) {
	out, _ := shown.(map[string]any)
	ours, _ := own.(map[string]any)
	theirs, _ := other.(map[string]any)
	for key := range out {
		if was, there := theirs[key]; there && was != ours[key] {
			out[key] = masked + " (changed)"
		}
	}
}

var sourceComment = regexp.MustCompile(`(?m)^---\n# Source: (.*)$`)

// Decode makes a Set of what YAML wrote, positions included.
func Decode(text []byte, options Options) (*Set, error) {
	documents, err := parseYAML("", text)
	if err != nil {
		return nil, fmt.Errorf("read rendered objects: %w", err)
	}
	sources := sourceComment.FindAllSubmatch(text, -1)
	for i := range documents {
		documents[i].node = nil // its lines are not those of the repository
		if len(sources) == len(documents) {
			documents[i].Position = parsePosition(string(sources[i][1]))
		}
	}
	return assemble(documents, options)
}

func parsePosition(s string) Position {
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		if line, err := strconv.Atoi(s[i+1:]); err == nil {
			return Position{File: s[:i], Line: line}
		}
	}
	return Position{File: s}
}
