package manifests

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
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
	strict, err := object.decodeInto(value)
	if err != nil {
		return nil, nil, err
	}
	value = converted(value)
	setDefaults(value)
	object.Value = value
	if j, ok := value.(*batchv1.Job); ok {
		object.Hash = JobHash(&j.Spec)
	}
	warnings, errs := checkFields(object)
	return object, warnings, append(strict, errs...).result()
}

// clusterScoped are the kinds of ours that live outside namespaces.
var clusterScoped = map[string]bool{"Namespace": true, "PersistentVolume": true, "StorageClass": true, "RuntimeClass": true,
	"IngressClass": true, "PriorityClass": true, "ClusterRole": true, "ClusterRoleBinding": true}

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
		if part.value != "" {
			continue
		}
		e := &Error{Position: o.document.at(part.field), Object: o.Ref, Field: part.field, Message: "is missing"}
		if _, found, err := unstructured.NestedString(o.Raw.Object, strings.Split(part.field, ".")...); err != nil && !found {
			e.Message = "must be a string: put it in quotes"
		}
		return e
	}
	return nil
}

// decodeInto decodes strictly: an unknown field, or one of the wrong case, is among the errors, and so is a value of the
// wrong type. Such a value is left out, so that everything else can be decoded and checked as well. Where it cannot be found in
// the object, there is no more to be said of it than err.
func (o *Object) decodeInto(value any) (errs Errors, err error) {
	content := o.Raw.Object
	for {
		text, err := json.Marshal(content)
		if err != nil {
			return nil, &Error{Position: o.Position, Object: o.Ref, Message: "cannot be written as JSON"}
		}
		strict, err := strictjson.UnmarshalStrict(text, value)
		for _, e := range strict {
			errs.add(o.strictError(e))
		}
		if err == nil {
			return errs, nil
		}
		wrong := o.typeError(content, err)
		errs.add(wrong)
		if len(o.spoiled) == 0 {
			content = runtime.DeepCopyJSON(content)
		}
		if wrong.Field == "" || len(o.spoiled) == maxErrors || !clearField(content, wrong.Field) {
			return nil, errs.result()
		}
		o.spoiled = append(o.spoiled, wrong.Field)
		reflect.ValueOf(value).Elem().SetZero()
	}
}

// clearField makes a field null, which decodes to nothing and leaves the places of its neighbours as they are. It reports whether
// there was something.
func clearField(value any, field string) bool {
	steps := pathStep.FindAllStringSubmatch(field, -1)
	for i, step := range steps {
		name, next := step[1]+step[3]+step[2], member(value, step[1]+step[3], step[2])
		if next == nil {
			return false
		}
		if i == len(steps)-1 {
			switch parent := value.(type) {
			case map[string]any:
				parent[name] = nil
			case []any:
				index, _ := strconv.Atoi(step[2]) // member has read it
				parent[index] = nil
			}
		}
		value = next
	}
	return len(steps) > 0
}

// withoutConsequences leaves out what follows from a value that could not be read: what is said of its field, or of what it is
// part of.
func (o *Object) withoutConsequences(errs Errors) Errors {
	within := func(field, parent string) bool {
		rest, ok := strings.CutPrefix(field, parent)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	}
	return slices.DeleteFunc(errs, func(e *Error) bool {
		return slices.ContainsFunc(o.spoiled, func(field string) bool { return within(e.Field, field) || within(field, e.Field) })
	})
}

var strictMessage = regexp.MustCompile(`^(unknown|duplicate) field "(.*)"$`)

func (o *Object) strictError(err error) *Error {
	m := strictMessage.FindStringSubmatch(err.Error())
	if m == nil {
		return &Error{Position: o.Position, Object: o.Ref, Message: err.Error()}
	}
	return &Error{Position: o.document.at(m[2]), Object: o.Ref, Field: m[2], Message: m[1] + " field"}
}

// typeError rewords what encoding/json says of a value of the wrong type. It quotes no value.
func (o *Object) typeError(content map[string]any, err error) *Error {
	if field := badQuantity(content, ""); field != "" {
		return &Error{Position: o.document.at(field), Object: o.Ref, Field: field, Message: "must be a quantity, as 100m, 0.5 or 64Mi"}
	}
	m := typeMessage.FindStringSubmatch(err.Error())
	if m == nil {
		return &Error{Position: o.Position, Object: o.Ref, Message: "has a value of the wrong form: " + o.plainMessage(err)}
	}
	got, want := m[1], wantedWord(m[3])
	field := strings.Join(locate(content, strings.Split(m[2], "."), got), ".")
	e := &Error{Position: o.document.at(field), Object: o.Ref, Field: field, Message: fmt.Sprintf("must be %s, not %s", want, article(got))}
	if got == "number" && strings.HasPrefix(m[3], "int") {
		e.Message = "must be a whole number of " + strings.TrimPrefix(m[3], "int") + " bits"
	}
	return e
}

// plainMessage is the decoder's, which may quote what it could not decode; of a Secret nothing is quoted.
func (o *Object) plainMessage(err error) string {
	if o.Kind == "Secret" {
		return "data must map keys to base64, stringData keys to strings"
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

var typeMessage = regexp.MustCompile(`cannot unmarshal (\S+)(?: \S+)? into Go struct field [^.]*\.(\S+) of type (\S+)`)

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

// locate completes a path of encoding/json, which leaves out list items: the first items along which the path leads to a
// value of the kind that it complains about.
func locate(value any, path []string, kind string) []string {
	if list, ok := value.([]any); ok {
		for i, item := range list {
			if rest := locate(item, path, kind); rest != nil {
				return append([]string{fmt.Sprintf("[%d]", i)}, rest...)
			}
		}
		return nil
	}
	object, _ := value.(map[string]any)
	if len(path) == 0 {
		if jsonKind(value) == kind {
			return []string{}
		}
		return locateKey(object, kind)
	}
	next, ok := object[path[0]]
	if !ok {
		return nil
	}
	if len(path) == 1 && jsonKind(next) == kind {
		return []string{path[0]}
	}
	rest := locate(next, path[1:], kind)
	if rest == nil {
		return nil
	}
	if len(rest) > 0 && strings.HasPrefix(rest[0], "[") {
		return append([]string{path[0] + rest[0]}, rest[1:]...)
	}
	return append([]string{path[0]}, rest...)
}

// locateKey is about the values of a map, of which encoding/json leaves out the keys.
func locateKey(object map[string]any, kind string) []string {
	for _, key := range sortedKeys(object) {
		if jsonKind(object[key]) == kind {
			return []string{"[" + key + "]"}
		}
	}
	return nil
}

// jsonKind is encoding/json's word for a value.
func jsonKind(value any) string {
	switch value.(type) {
	case string:
		return "string"
	case bool:
		return "bool"
	case int64, float64:
		return "number"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	default:
		return "null"
	}
}

// badQuantity finds the first field that should hold a quantity and does not, in the order of keys.
func badQuantity(value any, path string) string {
	switch value := value.(type) {
	case []any:
		for i, item := range value {
			if found := badQuantity(item, fmt.Sprintf("%s[%d]", path, i)); found != "" {
				return found
			}
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			at := strings.TrimPrefix(path+"."+key, ".")
			if found := badQuantityAt(key, value[key], at); found != "" {
				return found
			}
		}
	}
	return ""
}

func badQuantityAt(key string, value any, at string) string {
	switch key {
	case "limits", "requests", "capacity", "hard", "min", "max", "default", "defaultRequest", "maxLimitRequestRatio":
		quantities, _ := value.(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(quantities)) {
			if !isQuantity(quantities[name]) {
				return at + "." + name
			}
		}
		return ""
	case "sizeLimit", "divisor", "averageValue", "tolerance":
		if !isQuantity(value) {
			return at
		}
		return ""
	}
	return badQuantity(value, at)
}

func isQuantity(value any) bool {
	switch value.(type) {
	case string, int64, float64:
		_, err := resource.ParseQuantity(fmt.Sprint(value))
		return err == nil
	}
	return value == nil
}

// metaOf is the metadata of a typed object.
func metaOf(value any) *metav1.ObjectMeta {
	field := reflect.ValueOf(value).Elem().FieldByName("ObjectMeta")
	return field.Addr().Interface().(*metav1.ObjectMeta)
}
