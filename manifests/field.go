package manifests

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
)

// unknownFields refuses every field that a kustomization cannot have. It is strict about case, as kustomize is not: a
// "Resources" would else slip past the checks.
func unknownFields(d *document) error {
	var errs Errors
	checkType(d, "", d.object, reflect.TypeFor[types.Kustomization](), &errs)
	return errs.result()
}

func checkType(d *document, field string, value any, want reflect.Type, errs *Errors) {
	for want.Kind() == reflect.Pointer {
		want = want.Elem()
	}
	switch value := value.(type) {
	case []any:
		if want.Kind() == reflect.Slice {
			for i, item := range value {
				checkType(d, fmt.Sprintf("%s[%d]", field, i), item, want.Elem(), errs)
			}
		}
	case map[string]any:
		if want.Kind() != reflect.Struct {
			return
		}
		known := jsonFields(want)
		for _, key := range sortedKeys(value) {
			at := strings.TrimPrefix(field+"."+key, ".")
			if fieldType, ok := known[key]; ok {
				checkType(d, at, value[key], fieldType, errs)
			} else {
				errs.add(&Error{Position: d.at(at), Field: at, Message: "is not a field of a kustomization"})
			}
		}
	}
}

// jsonFields are the names and types of a struct's fields, embedded ones included.
func jsonFields(t reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for _, field := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name != "" && name != "-" && field.IsExported() {
			out[name] = field.Type
		}
	}
	return out
}

func sortedKeys[M ~map[K]V, K ~string, V any](m M) []K { return slices.Sorted(maps.Keys(m)) }
