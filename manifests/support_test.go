package manifests

import (
	"bytes"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestSupportPageIsTheTable(t *testing.T) {
	const page = "../docs/support.md"
	want := SupportMarkdown()
	if *update {
		if err := os.WriteFile(page, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs from the table: run go test ./manifests -run TestSupportPage -update", page)
	}
}

// upstreamFields are the paths of all fields of a type, leaves and what is above them.
func upstreamFields(t reflect.Type, path string, leaf func(string), inner func(string)) {
	switch t.Kind() {
	case reflect.Pointer:
		upstreamFields(t.Elem(), path, leaf, inner)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			leaf(path)
			return
		}
		inner(path)
		upstreamFields(t.Elem(), path+"[]", leaf, inner)
	case reflect.Map:
		inner(path)
		upstreamFields(t.Elem(), path+".*", leaf, inner)
	case reflect.Struct:
		if opaque(t) {
			leaf(path)
			return
		}
		inner(path)
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			below := path // of an embedded struct that is inlined
			if name != "" {
				below = strings.TrimPrefix(path+"."+name, ".")
			}
			upstreamFields(t.Field(i).Type, below, leaf, inner)
		}
	default:
		leaf(path)
	}
}

// opaque types are written as one value, or have no fields that anyone writes.
func opaque(t reflect.Type) bool {
	switch t.String() {
	case "resource.Quantity", "intstr.IntOrString", "v1.Time", "v1.FieldsV1":
		return true
	}
	return false
}

// fieldsOf sorts the paths of a kind into leaves and inner ones.
func fieldsOf(k kind) (leaves, inner []string) {
	upstreamFields(reflect.TypeOf(k.newObject()), "", func(p string) { leaves = append(leaves, p) }, func(p string) { inner = append(inner, p) })
	return leaves, inner
}

// covers: an honoured entry stands for one field (or a list or map of plain values), any other for all below it.
func (r rule) covers(leaf string) bool {
	if r.verdict == honoured {
		return leaf == r.path || leaf == r.path+"[]"
	}
	return leaf == r.path || strings.HasPrefix(leaf, r.path+".") || strings.HasPrefix(leaf, r.path+"[]")
}

func TestEveryUpstreamFieldIsInTheTable(t *testing.T) {
	for _, k := range supportedKinds {
		leaves, _ := fieldsOf(k)
		if len(leaves) < 10 {
			t.Errorf("%s: only %d fields found: the walk is broken", k.name, len(leaves))
		}
		for _, leaf := range leaves {
			if !slices.ContainsFunc(k.fields, func(r rule) bool { return r.covers(leaf) && r.only == nil }) {
				t.Errorf("%s: %s is not in the table", k.name, leaf)
			}
		}
	}
}

func TestEveryTableEntryIsAnUpstreamField(t *testing.T) {
	for _, k := range supportedKinds {
		leaves, inner := fieldsOf(k)
		all := append(leaves, inner...)
		for _, r := range k.fields {
			// A key of a map, as resources.limits.cpu, is there as the map's *.
			key := r.path[:strings.LastIndex(r.path, ".")+1] + "*"
			if !slices.Contains(all, r.path) && !slices.Contains(all, key) {
				t.Errorf("%s: there is no field %s", k.name, r.path)
			}
		}
	}
}

func TestEntriesThatAreNotHonouredSayWhy(t *testing.T) {
	for _, k := range kinds {
		if (k.why == "") != (k.verdict == honoured) {
			t.Errorf("%s: verdict %q, reason %q", k.name, k.verdict, k.why)
		}
		seen := map[string]bool{}
		for _, r := range k.fields {
			if r.why == "" && r.verdict != honoured {
				t.Errorf("%s: %s: verdict %q, reason %q", k.name, r.path, r.verdict, r.why)
			}
			if r.only != nil {
				continue
			}
			if seen[r.path] {
				t.Errorf("%s: %s is there twice", k.name, r.path)
			}
			seen[r.path] = true
		}
	}
}

func TestKindSupport(t *testing.T) {
	for _, c := range []struct{ apiVersion, kind, unsupported, refused string }{
		{"apps/v1", "Deployment", "", ""},
		{"v1", "Service", "", ""},
		{"extensions/v1beta1", "Deployment", "Podyard does not know apiVersion extensions/v1beta1 of this kind: use apps/v1", ""},
		{"apps/v1beta2", "Deployment", "Podyard does not know apiVersion apps/v1beta2 of this kind: use apps/v1", ""},
		{"v2", "Pod", "Podyard does not know apiVersion v2 of this kind: use v1", ""},
		{"extensions/v1beta1", "Pod", "Podyard does not know this kind", ""},
		{"serving.knative.dev/v1", "Service", "Podyard does not know this kind", ""},
		{"autoscaling/v1", "HorizontalPodAutoscaler", "", ""},
		{"autoscaling/v2", "HorizontalPodAutoscaler", "", ""},
		{"autoscaling/v2beta2", "HorizontalPodAutoscaler", "Podyard does not know apiVersion autoscaling/v2beta2 of this kind: use autoscaling/v2", ""},
		{"extensions/v1beta1", "NetworkPolicy", "", "NetworkPolicy is not supported yet, and ignoring it would be unsafe: traffic that it forbids would be let through. Take it out of what Podyard applies, as with a kustomize patch with $patch: delete"},
	} {
		newObject, unsupported, refused := kindSupport(c.apiVersion, c.kind)
		if unsupported != c.unsupported || refused != c.refused {
			t.Errorf("%s %s: unsupported %q, refused %q", c.apiVersion, c.kind, unsupported, refused)
		}
		if supported := unsupported == "" && refused == ""; (newObject != nil) != supported {
			t.Errorf("%s %s: newObject given: %t", c.apiVersion, c.kind, newObject != nil)
		}
	}
}

func TestObjectWithoutDocumentIsReportedWhereItStands(t *testing.T) {
	o := &Object{
		Ref:      Ref{APIVersion: "v1", Kind: "Namespace", Name: "a"},
		Position: Position{File: "a.yaml", Line: 7},
		Raw:      &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"uid": "x", "finalizers": []any{}}}},
	}
	warnings, errs := checkFields(o)
	if len(errs) != 0 || len(warnings) != 1 || warnings[0].String() != "a.yaml:7: Namespace a: metadata.uid: only a cluster writes it" {
		t.Errorf("warnings %v, errors %v", warnings, errs)
	}
}

func TestMetadataOfEveryKindIsFound(t *testing.T) {
	for _, k := range supportedKinds {
		if _, ok := k.newObject().(metav1.Object); !ok {
			t.Errorf("%s has no metadata", k.name)
		}
	}
}
