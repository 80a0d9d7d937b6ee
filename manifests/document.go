package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document is one object as rendered, and the text it came from.
type document struct {
	// Position of the object's first line.
	Position
	// object is the content, as JSON would decode it.
	object map[string]any
	// node is the text from which Position was read; nil if it is not known. It may differ from object where an
	// overlay changed something.
	node *yaml.Node
}

// A repository may be hostile: a text of 500 bytes can stand for billions of nodes by aliases of aliases.
const maxNodes = 1 << 20

// parseYAML reads every document of a YAML or JSON file. Empty documents are left out. Errors are *Error with the line.
func parseYAML(file string, text []byte) ([]document, error) {
	var out []document
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var node yaml.Node
		if err := decoder.Decode(&node); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, yamlError(file, err)
		}
		doc, err := newDocument(file, &node)
		if err != nil {
			return nil, err
		}
		if doc != nil {
			out = append(out, *doc)
		}
	}
}

func newDocument(file string, node *yaml.Node) (*document, error) {
	if len(node.Content) == 0 || node.Content[0].Tag == "!!null" {
		return nil, nil
	}
	root := node.Content[0]
	position := Position{File: file, Line: root.Line}
	budget := maxNodes
	value, err := plainValue(root, file, &budget)
	if err != nil {
		return nil, err
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, &Error{Position: position, Message: "is not an object: it must begin with apiVersion and kind"}
	}
	return &document{Position: position, object: object, node: root}, nil
}

// plainValue expands a node into what JSON would decode to, and refuses duplicate keys and too many nodes.
func plainValue(node *yaml.Node, file string, budget *int) (any, error) {
	if *budget--; *budget < 0 {
		return nil, &Error{Position: Position{File: file, Line: node.Line}, Message: fmt.Sprintf("stands for more than %d values (aliases of aliases?)", maxNodes)}
	}
	switch node.Kind {
	case yaml.AliasNode:
		return plainValue(node.Alias, file, budget)
	case yaml.SequenceNode:
		list := make([]any, 0, len(node.Content))
		for _, item := range node.Content {
			value, err := plainValue(item, file, budget)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		return list, nil
	case yaml.MappingNode:
		return plainMap(node, file, budget)
	default:
		return plainScalar(node, file)
	}
}

func plainMap(node *yaml.Node, file string, budget *int) (any, error) {
	out, merged := map[string]any{}, map[string]any{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, position := node.Content[i], Position{File: file, Line: node.Content[i].Line}
		value, err := plainValue(node.Content[i+1], file, budget)
		if err != nil {
			return nil, err
		}
		if key.Tag == "!!merge" {
			mergeInto(merged, value)
			continue
		}
		if key.Kind != yaml.ScalarNode {
			return nil, &Error{Position: position, Message: "a key must be a string"}
		}
		if _, twice := out[key.Value]; twice {
			return nil, &Error{Position: position, Field: key.Value, Message: "is there twice"}
		}
		out[key.Value] = value
	}
	for key, value := range merged {
		if _, own := out[key]; !own {
			out[key] = value
		}
	}
	return out, nil
}

// mergeInto follows "<<": one map or a list of maps, of which the first has precedence.
func mergeInto(merged map[string]any, value any) {
	switch value := value.(type) {
	case map[string]any:
		for k, v := range value {
			if _, there := merged[k]; !there {
				merged[k] = v
			}
		}
	case []any:
		for _, item := range value {
			mergeInto(merged, item)
		}
	}
}

func plainScalar(node *yaml.Node, file string) (any, error) {
	if node.Tag == "!!timestamp" || node.Tag == "!!binary" {
		return node.Value, nil // as text, which is what JSON would hold
	}
	var value any
	if err := node.Decode(&value); err != nil {
		return nil, &Error{Position: Position{File: file, Line: node.Line}, Message: err.Error()}
	}
	switch n := value.(type) {
	case int:
		return int64(n), nil
	case uint64:
		return float64(n), nil
	}
	return value, nil
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:unmarshal errors:\s*)?line (\d+): `)

// yamlError finds the line in the YAML library's message. The message never quotes a value.
func yamlError(file string, err error) error {
	message, line := err.Error(), 0
	if m := yamlLine.FindStringSubmatch(message); m != nil {
		line, _ = strconv.Atoi(m[1])
		message = message[len(m[0]):]
	}
	return &Error{Position: Position{File: file, Line: line}, Message: strings.TrimPrefix(message, "yaml: ")}
}

var pathStep = regexp.MustCompile(`([^.\[\]]+)|\[(\d+)\]|\["?([^\]"]+)"?\]`)

// at is where a field is written, as spec.template.spec.containers[0].image; the nearest parent that is there if the
// field is not.
func (d *document) at(field string) Position {
	position, node := d.Position, d.node
	for _, step := range pathStep.FindAllStringSubmatch(field, -1) {
		for node != nil && node.Kind == yaml.AliasNode {
			node = node.Alias
		}
		key, next := child(node, step[1]+step[3], step[2])
		if next == nil {
			break
		}
		position.Line, node = key.Line, next
	}
	return position
}

// child is a field of a map or an item of a list, with the node whose line tells where it begins.
func child(node *yaml.Node, name, index string) (key, value *yaml.Node) {
	switch {
	case node == nil:
	case node.Kind == yaml.SequenceNode && index != "":
		if i, err := strconv.Atoi(index); err == nil && i < len(node.Content) {
			return node.Content[i], node.Content[i]
		}
	case node.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == name+index {
				return node.Content[i], node.Content[i+1]
			}
		}
	}
	return nil, nil
}
