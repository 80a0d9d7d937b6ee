package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
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

// budget bounds what aliases may expand to. A repository may be hostile: a text of 500 bytes can stand for billions of
// values by aliases of aliases. So a file may stand for ten times of what it holds, and a little.
type budget struct{ nodes, bytes int }

func newBudget(node *yaml.Node) *budget {
	nodes, bytes := sizeOf(node)
	return &budget{nodes: 10*nodes + 1000, bytes: 10*bytes + 64<<10}
}

// sizeOf counts what is really there.
func sizeOf(node *yaml.Node) (nodes, bytes int) {
	nodes, bytes = 1, len(node.Value)
	for _, c := range node.Content {
		n, b := sizeOf(c)
		nodes, bytes = nodes+n, bytes+b
	}
	return nodes, bytes
}

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
	value, err := (&expansion{file: file, budget: newBudget(root)}).value(root, "")
	if err != nil {
		return nil, err
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, &Error{Position: position, Message: "is not an object: it must begin with apiVersion and kind"}
	}
	return &document{Position: position, object: object, node: root}, nil
}

// expansion turns nodes into what JSON would decode to. It refuses duplicate keys and too many values.
type expansion struct {
	file   string
	budget *budget
}

func (e *expansion) errorf(node *yaml.Node, path, format string, args ...any) error {
	return &Error{Position: Position{File: e.file, Line: node.Line}, Field: path, Message: fmt.Sprintf(format, args...)}
}

func (e *expansion) value(node *yaml.Node, path string) (any, error) {
	e.budget.nodes--
	e.budget.bytes -= len(node.Value)
	if e.budget.nodes < 0 || e.budget.bytes < 0 {
		return nil, e.errorf(node, "", "its aliases stand for much more than the file holds")
	}
	switch node.Kind {
	case yaml.AliasNode:
		return e.value(node.Alias, path)
	case yaml.SequenceNode:
		list := make([]any, 0, len(node.Content))
		for i, item := range node.Content {
			value, err := e.value(item, fmt.Sprintf("%s[%d]", path, i))
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		return list, nil
	case yaml.MappingNode:
		return e.mapping(node, path)
	default:
		return e.scalar(node, path)
	}
}

func (e *expansion) mapping(node *yaml.Node, path string) (any, error) {
	out, merged := map[string]any{}, map[string]any{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, at := node.Content[i], path
		if key.Kind != yaml.ScalarNode {
			return nil, e.errorf(key, path, "a key must be a string")
		}
		if at != "" {
			at += "."
		}
		at += key.Value
		value, err := e.value(node.Content[i+1], at)
		if err != nil {
			return nil, err
		}
		if key.Tag == "!!merge" {
			mergeInto(merged, value)
			continue
		}
		if _, twice := out[key.Value]; twice {
			return nil, e.errorf(key, at, "is there twice")
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

// scalar never quotes the value: it may be secret.
func (e *expansion) scalar(node *yaml.Node, path string) (any, error) {
	if node.Tag == "!!timestamp" || node.Tag == "!!binary" {
		return node.Value, nil // as text, which is what JSON would hold
	}
	var value any
	if err := node.Decode(&value); err != nil {
		return nil, e.errorf(node, path, "is not what its tag %s says", node.Tag)
	}
	switch n := value.(type) {
	case int:
		return int64(n), nil
	case uint64:
		return float64(n), nil
	case float64:
		if math.IsNaN(n) || math.IsInf(n, 0) {
			return nil, e.errorf(node, path, "is not a number that JSON knows")
		}
	}
	return value, nil
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:unmarshal errors:\s*)?line (\d+): `)

// unknownAnchor is the one message of the YAML library that quotes the text, which may be secret.
var unknownAnchor = regexp.MustCompile(`unknown anchor '.*' referenced`)

// yamlError finds the line in the YAML library's message, and takes what it quotes out of it.
func yamlError(file string, err error) error {
	message, line := err.Error(), 0
	if m := yamlLine.FindStringSubmatch(message); m != nil {
		line, _ = strconv.Atoi(m[1])
		message = message[len(m[0]):]
	}
	message = unknownAnchor.ReplaceAllString(strings.TrimPrefix(message, "yaml: "), "refers to an anchor that is not defined")
	return &Error{Position: Position{File: file, Line: line}, Message: message}
}

var pathStep = regexp.MustCompile(`([^.\[\]]+)|\[(\d+)\]|\["?([^\]"]+)"?\]`)

// at is where a field is written, as spec.template.spec.containers[0].image; the nearest parent that is there if the
// field is not. Where an overlay changed the field, the line that it once came from would mislead: then only the file is
// told.
func (d *document) at(field string) Position {
	position, node, value := d.Position, d.node, any(d.object)
	for _, step := range pathStep.FindAllStringSubmatch(field, -1) {
		for node != nil && node.Kind == yaml.AliasNode {
			node = node.Alias
		}
		value = member(value, step[1]+step[3], step[2])
		key, next := child(node, step[1]+step[3], step[2])
		if next == nil && value != nil {
			return Position{File: position.File}
		}
		if next == nil {
			return position
		}
		position.Line, node = key.Line, next
	}
	if node != nil && node.Kind == yaml.ScalarNode && value != nil && !sameScalar(node, value) {
		return Position{File: position.File}
	}
	return position
}

// member is a field of a map or an item of a list, or nil.
func member(value any, name, index string) any {
	switch value := value.(type) {
	case map[string]any:
		return value[name+index]
	case []any:
		if i, err := strconv.Atoi(index); err == nil && i < len(value) {
			return value[i]
		}
	}
	return nil
}

func sameScalar(node *yaml.Node, value any) bool {
	written, err := (&expansion{budget: newBudget(node)}).scalar(node, "")
	return err == nil && written == value
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
