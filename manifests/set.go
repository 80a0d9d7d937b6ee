package manifests

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Set is the desired state of one revision: every object, defaulted and validated, in the order in which they are
// applied. It is immutable once made; several revisions may share objects.
type Set struct {
	Objects  []*Object
	Warnings []Warning
	// Since is when this revision became the desired state. Progress deadlines count from it at the earliest.
	Since time.Time
}

// Object is one manifest.
type Object struct {
	Ref
	Position
	// Value is the typed object (*appsv1.Deployment, …) with defaults filled in; nil if Unsupported.
	Value any
	// Raw is the object as rendered, before defaults. It may hold secrets: mask before showing.
	Raw *unstructured.Unstructured
	// Unsupported says why Podyard does nothing with the object; empty if it does.
	Unsupported string

	// document is the text it came from; nil if it was made otherwise.
	document *document
}

// Ref names an object.
type Ref struct {
	APIVersion, Kind, Namespace, Name string
}

// String is how every text of Podyard names an object: Deployment default/web, Namespace production.
func (r Ref) String() string {
	if r.Namespace == "" {
		return r.Kind + " " + r.Name
	}
	return r.Kind + " " + r.Namespace + "/" + r.Name
}

// Compare orders by namespace, kind, name and apiVersion.
func (r Ref) Compare(o Ref) int {
	return cmp.Or(cmp.Compare(r.Namespace, o.Namespace), cmp.Compare(r.Kind, o.Kind),
		cmp.Compare(r.Name, o.Name), cmp.Compare(r.APIVersion, o.APIVersion))
}

// Position is where in the repository something is written. Line counts from 1; 0 means unknown.
type Position struct {
	File string
	Line int
}

// String is file:line, or as much of it as is known.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Warning is something accepted that means less here than in a cluster.
type Warning struct {
	Position
	Object Ref
	// Field is the path, as "spec.template.spec.affinity"; Message says what it means here.
	Field, Message string
}

// String is "apps/web.yaml:12: Deployment default/web: spec.…: …".
func (w Warning) String() string {
	return fmt.Sprintf("%s: %s: %s: %s", w.Position, w.Object, w.Field, w.Message)
}

// All returns the objects of one type in apply order: All[*corev1.Service](set).
func All[T any](s *Set) []T {
	var out []T
	if s == nil {
		return nil
	}
	for _, o := range s.Objects {
		if v, ok := o.Value.(T); ok {
			out = append(out, v)
		}
	}
	return out
}

// Find returns the object with this kind, namespace and name, or nil.
func (s *Set) Find(kind, namespace, name string) *Object {
	if s == nil {
		return nil
	}
	i := slices.IndexFunc(s.Objects, func(o *Object) bool {
		return o.Kind == kind && o.Namespace == namespace && o.Name == name
	})
	if i < 0 {
		return nil
	}
	return s.Objects[i]
}
