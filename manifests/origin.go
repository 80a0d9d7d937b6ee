package manifests

import (
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
)

const originAnnotation = "config.kubernetes.io/origin"

// aliased follows aliases to what they stand for.
func aliased(node *yaml.Node) *yaml.Node {
	for node != nil && node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	return node
}

// origins reads kustomize's output, and gives each object the place in the repository it came from.
func (w *walk) origins(text []byte) ([]document, error) {
	rendered, err := parseYAML(w.rootFile, text)
	if err != nil {
		return nil, Errors{{Position: Position{File: w.rootFile}, Message: "kustomize's output cannot be read: " + w.redact(err.Error())}}
	}
	var out []document
	for _, d := range rendered {
		for _, one := range expandList(d) {
			out = append(out, w.origin(one.object))
		}
	}
	return out, nil
}

func (w *walk) origin(object map[string]any) document {
	out := document{Position: Position{File: w.rootFile}, object: object}
	from := w.takeOrigin(object)
	kind, name := identity(object)
	switch {
	case from.Path != "":
		out.File = path.Join(w.root, from.Path)
		if best := bestMatch(w.documents[out.File], kind, name, object); best != nil {
			out.Position, out.node = best.Position, best.node
		}
	case from.ConfiguredIn != "":
		out.File = path.Join(w.root, from.ConfiguredIn)
		w.generated(&out, kind, name)
	}
	return out
}

// origin is what kustomize writes about where an object came from. Upstream: kustomize api/resource/origin.go.
type origin struct {
	Path         string `yaml:"path"`
	ConfiguredIn string `yaml:"configuredIn"`
}

// takeOrigin removes the annotation, unless the user asked for it.
func (w *walk) takeOrigin(object map[string]any) origin {
	var from origin
	metadata, _ := object["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	text, _ := annotations[originAnnotation].(string)
	if yaml.Unmarshal([]byte(text), &from) != nil {
		from = origin{}
	}
	if w.keepOrigin {
		return from
	}
	delete(annotations, originAnnotation)
	if annotations != nil && len(annotations) == 0 {
		delete(metadata, "annotations")
	}
	return from
}

func identity(object map[string]any) (kind, name string) {
	kind, _ = object["kind"].(string)
	metadata, _ := object["metadata"].(map[string]any)
	name, _ = metadata["name"].(string)
	return kind, name
}

// bestMatch finds the object in its file: of the same kind, with the longest name that the new one contains, because an
// overlay adds prefixes and suffixes. A namespace in common decides between equals.
func bestMatch(documents []document, kind, name string, object map[string]any) *document {
	var best *document
	score := 0
	for _, d := range documents {
		for _, one := range expandList(d) {
			k, n := identity(one.object)
			if k != kind || !strings.Contains(name, n) {
				continue
			}
			s := 2*len(n) + 1
			if namespaceOf(one.object) == namespaceOf(object) {
				s++
			}
			if s > score {
				best, score = &one, s
			}
		}
	}
	return best
}

func namespaceOf(object map[string]any) any {
	metadata, _ := object["metadata"].(map[string]any)
	return metadata["namespace"]
}

// generated finds the entry of a generator: nameless prefixes and the hash stand around the name it gives.
func (w *walk) generated(out *document, kind, name string) {
	field := map[string]string{"ConfigMap": "configMapGenerator", "Secret": "secretGenerator"}[kind]
	longest := -1
	for _, d := range w.documents[out.File] {
		if k, n := identity(d.object); k == kind+"Generator" && strings.Contains(name, n) && len(n) > longest {
			out.Position, out.node, longest = d.Position, d.node, len(n)
		}
		_, list := child(d.node, field, "")
		if list = aliased(list); list == nil {
			continue
		}
		for _, entry := range list.Content {
			_, named := child(aliased(entry), "name", "")
			if named = aliased(named); named != nil && strings.Contains(name, named.Value) && len(named.Value) > longest {
				out.Line, out.node, longest = entry.Line, aliased(entry), len(named.Value)
			}
		}
	}
}
