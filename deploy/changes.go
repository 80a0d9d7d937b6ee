package deploy

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/rogpeppe/go-internal/diff"
	"sigs.k8s.io/yaml"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/status"
)

// The actions of a Change.
const (
	created = "create"
	changed = "change"
	deleted = "delete"
)

// changes says which objects differ between two sets; either may be nil. Sorted by object.
func changes(from, to *manifests.Set) []status.Change {
	var out []status.Change
	compare(from, to, func(action string, before, after *manifests.Object) {
		out = append(out, status.Change{Action: action, Ref: viewRef(either(before, after).Ref)})
	})
	return out
}

// diffs says how objects differ, as unified diffs with the values of Secrets masked.
func diffs(from, to *manifests.Set, fromName, toName string) []status.ObjectDiff {
	var out []status.ObjectDiff
	compare(from, to, func(action string, before, after *manifests.Object) {
		ref := viewRef(either(before, after).Ref)
		text := diff.Diff(ref.String()+" in "+fromName, maskedYAML(before, nil), ref.String()+" in "+toName, maskedYAML(after, before))
		out = append(out, status.ObjectDiff{Change: status.Change{Action: action, Ref: ref}, Diff: string(text)})
	})
	return out
}

// compare visits every object that differs, in order.
func compare(from, to *manifests.Set, visit func(action string, before, after *manifests.Object)) {
	before, after := byRef(from), byRef(to)
	refs := make([]manifests.Ref, 0, len(before)+len(after))
	for ref := range before {
		refs = append(refs, ref)
	}
	for ref := range after {
		if before[ref] == nil {
			refs = append(refs, ref)
		}
	}
	slices.SortFunc(refs, manifests.Ref.Compare)
	for _, ref := range refs {
		switch b, a := before[ref], after[ref]; {
		case b == nil:
			visit(created, nil, a)
		case a == nil:
			visit(deleted, b, nil)
		case !bytes.Equal(rawYAML(b), rawYAML(a)):
			visit(changed, b, a)
		}
	}
}

func byRef(set *manifests.Set) map[manifests.Ref]*manifests.Object {
	out := map[manifests.Ref]*manifests.Object{}
	if set != nil {
		for _, o := range set.Objects {
			out[o.Ref] = o
		}
	}
	return out
}

func either(a, b *manifests.Object) *manifests.Object { return cmp.Or(a, b) }

func rawYAML(o *manifests.Object) []byte {
	text, err := yaml.Marshal(o.Raw.Object)
	if err != nil {
		return nil // it came from YAML
	}
	return text
}

func maskedYAML(o, other *manifests.Object) []byte {
	if o == nil {
		return nil
	}
	return o.Masked(other)
}

func viewRef(ref manifests.Ref) status.Ref {
	return status.Ref{Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name}
}
