package manifests

import (
	"cmp"
	"fmt"
	"sync"
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
	// Sync names the deployment of these objects. Revisions that follow each other with the same objects have the same: what
	// is done once for each deployment, hooks and waves, is not done again.
	Sync string
	// Fallback: a commit whose rollout failed is rolled back to this. Hooks do not run, for they have run when it was deployed, and
	// a migration is not undone by an older one; and no volume is removed.
	Fallback bool

	// index is made when something is looked for first.
	index     map[name]*Object
	indexOnce sync.Once
}

// With is the same set with other objects.
func (s *Set) With(objects []*Object) *Set {
	return &Set{Objects: objects, Warnings: s.Warnings, Since: s.Since, Sync: s.Sync, Fallback: s.Fallback}
}

// name is how objects refer to each other: the version of an API does not matter.
type name struct{ kind, namespace, name string }

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

	// Hash is JobHash of a Job as it was written: what LimitRanges give its pods does not make it another one.
	Hash string

	// document is the text it came from; nil if it was made otherwise.
	document *document
	// spoiled are the fields whose values could not be read. An object that has some is in no Set that anybody sees.
	spoiled []string
	// hash is what Once keeps.
	hash     string
	hashOnce sync.Once
}

// Once is what compute makes of the object, worked out the first time only: an object never changes. There is one such
// function for each kind: that which names, by their content, the pods it makes.
func (o *Object) Once(compute func() string) string {
	o.hashOnce.Do(func() { o.hash = compute() })
	return o.hash
}

// With is the object with another value of its kind.
func (o *Object) With(value any) *Object {
	return &Object{Ref: o.Ref, Position: o.Position, Value: value, Raw: o.Raw, Unsupported: o.Unsupported, document: o.document}
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

// Find returns the object with this kind, namespace and name, or nil; the first, if there are two of different APIs.
func (s *Set) Find(kind, namespace, called string) *Object {
	if s == nil {
		return nil
	}
	s.indexOnce.Do(func() {
		s.index = make(map[name]*Object, len(s.Objects))
		for _, o := range s.Objects {
			if at := (name{o.Kind, o.Namespace, o.Name}); s.index[at] == nil {
				s.index[at] = o
			}
		}
	})
	return s.index[name{kind, namespace, called}]
}
