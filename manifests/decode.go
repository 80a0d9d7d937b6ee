package manifests

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	strictjson "sigs.k8s.io/json"
)

// decode makes a typed, defaulted object of a document. An object of a kind that Podyard does nothing with has no Value.
func decode(d *document, defaultNamespace string) (*Object, []Warning, error) {
	object := newObject(d)
	if err := object.identified(); err != nil {
		return nil, nil, err
	}
	newValue, unsupported, refused := kindSupport(object.APIVersion, object.Kind)
	switch {
	case refused != "":
		return nil, nil, &Error{Position: d.at("kind"), Object: object.Ref, Field: "kind", Message: refused}
	case unsupported != "":
		object.Unsupported = unsupported
		return object, nil, nil
	}
	if object.Namespace == "" && !clusterScoped[object.Kind] {
		object.Namespace = defaultNamespace
		object.Raw.SetNamespace(defaultNamespace)
	}
	value := newValue()
	if err := object.decodeInto(value); err != nil {
		return nil, nil, err
	}
	setDefaults(value)
	object.Value = value
	warnings, errs := checkFields(object)
	return object, warnings, errs.result()
}

// clusterScoped are the kinds of ours that live outside namespaces.
var clusterScoped = map[string]bool{"Namespace": true}

// newObject copies the top of a document, so that a document that several Sets share is never changed.
func newObject(d *document) *Object {
	raw := &unstructured.Unstructured{Object: map[string]any{}}
	for k, v := range d.object {
		raw.Object[k] = v
	}
	if metadata, ok := raw.Object["metadata"].(map[string]any); ok {
		own := map[string]any{}
		for k, v := range metadata {
			own[k] = v
		}
		raw.Object["metadata"] = own
	}
	ref := Ref{APIVersion: raw.GetAPIVersion(), Kind: raw.GetKind(), Namespace: raw.GetNamespace(), Name: raw.GetName()}
	return &Object{Ref: ref, Position: d.Position, Raw: raw, document: d}
}

// identified refuses an object without apiVersion, kind or name.
func (o *Object) identified() error {
	for _, part := range []struct{ field, value string }{{"apiVersion", o.APIVersion}, {"kind", o.Kind}, {"metadata.name", o.Name}} {
		if part.value == "" {
			return &Error{Position: o.document.at(part.field), Object: o.Ref, Field: part.field, Message: "is missing"}
		}
	}
	return nil
}

// decodeInto decodes strictly: an unknown field, a field of the wrong case, or a value of the wrong type is an error.
func (o *Object) decodeInto(value any) error {
	text, err := json.Marshal(o.Raw.Object)
	if err != nil {
		return &Error{Position: o.Position, Object: o.Ref, Message: err.Error()}
	}
	strict, err := strictjson.UnmarshalStrict(text, value)
	var errs Errors
	for _, e := range strict {
		errs.add(o.strictError(e))
	}
	if err != nil {
		errs.add(o.typeError(err))
	}
	return errs.result()
}

var strictMessage = regexp.MustCompile(`^(unknown|duplicate) field "(.*)"$`)

func (o *Object) strictError(err error) *Error {
	m := strictMessage.FindStringSubmatch(err.Error())
	if m == nil {
		return &Error{Position: o.Position, Object: o.Ref, Message: err.Error()}
	}
	return &Error{Position: o.document.at(m[2]), Object: o.Ref, Field: m[2], Message: m[1] + " field"}
}

// typeError rewords what encoding/json says of a value of the wrong type. A quantity or port that does not parse says so
// in its own words, which may quote the value; Secrets hold neither.
func (o *Object) typeError(err error) *Error {
	e := &Error{Position: o.Position, Object: o.Ref, Message: strings.TrimPrefix(err.Error(), "json: ")}
	if o.Kind == "Secret" {
		e.Message = "data must map keys to base64, stringData keys to strings"
	}
	path, want, got := wrongType(err)
	if path == "" {
		return e
	}
	e.Field, e.Position = path, o.document.at(o.indexed(path))
	e.Message = fmt.Sprintf("must be %s, not %s", want, got)
	return e
}

var typeMessage = regexp.MustCompile(`cannot unmarshal (\S+)(?: \S+)? into Go struct field [^.]*\.(\S+) of type (\S+)`)

func wrongType(err error) (path, want, got string) {
	m := typeMessage.FindStringSubmatch(err.Error())
	if m == nil {
		return "", "", ""
	}
	return m[2], wantedWord(m[3]), article(m[1])
}

func wantedWord(goType string) string {
	switch {
	case strings.HasPrefix(goType, "[]"):
		return "a list"
	case strings.HasPrefix(goType, "map["):
		return "a map"
	case strings.HasPrefix(goType, "int"):
		return "a whole number"
	case goType == "string", goType == "bool":
		return article(goType)
	default:
		return "a map with fields"
	}
}

func article(word string) string {
	switch word {
	case "object":
		return "a map"
	case "array":
		return "a list"
	case "bool":
		return "true or false"
	default:
		return "a " + word
	}
}

// indexed guesses the list items that a path of encoding/json leaves out, by walking to the first that has the field.
func (o *Object) indexed(path string) string {
	var out []string
	current := any(o.Raw.Object)
	for _, step := range strings.Split(path, ".") {
		if list, ok := current.([]any); ok && len(list) > 0 {
			out[len(out)-1] += "[0]"
			current = list[0]
		}
		m, _ := current.(map[string]any)
		out, current = append(out, step), m[step]
	}
	return strings.Join(out, ".")
}

// metaOf is the metadata of a typed object.
func metaOf(value any) *metav1.ObjectMeta {
	field := reflect.ValueOf(value).Elem().FieldByName("ObjectMeta")
	return field.Addr().Interface().(*metav1.ObjectMeta)
}
