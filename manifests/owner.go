package manifests

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// OwnersOf are the objects that an object names as its owners, in its own namespace or in none.
func OwnersOf(o *Object) []Ref {
	if o.Value == nil {
		return nil
	}
	var out []Ref
	for _, owner := range metaOf(o.Value).OwnerReferences {
		out = append(out, ownerRef(o, owner))
	}
	return out
}

func ownerRef(o *Object, owner metav1.OwnerReference) Ref {
	ref := Ref{APIVersion: owner.APIVersion, Kind: owner.Kind, Namespace: o.Namespace, Name: owner.Name}
	if clusterScoped[owner.Kind] {
		ref.Namespace = ""
	}
	return ref
}

// owners checks ownerReferences. An object all of whose owners are missing is garbage in a cluster, and here.
func (r resolver) owners() {
	path := field.NewPath("metadata", "ownerReferences")
	references := metaOf(r.object.Value).OwnerReferences
	missing := 0
	for i, owner := range references {
		if owner.Kind == "" || owner.Name == "" {
			r.add(path.Index(i), "must name the owner: kind and name")
			return
		}
		ref := ownerRef(r.object, owner)
		if r.set.Find(ref.Kind, ref.Namespace, ref.Name) == nil {
			missing++
			r.warn(path.Index(i), "%s is not in the commit", ref)
		}
	}
	if missing > 0 && missing == len(references) && Acts(r.object) {
		r.warn(path, "no owner is in the commit: as in a cluster, this object is removed with the last of them")
	}
}

// Acts tells whether an object does something by itself: makes pods, or leads to them. The others are of use to those.
func Acts(o *Object) bool {
	_, makesPods := TemplateOf(o)
	return o.Value != nil && (makesPods || IsRoute(o))
}

// IsRoute tells whether an object leads connections to pods: a Service or an Ingress.
func IsRoute(o *Object) bool { return o.Value != nil && (o.Kind == "Service" || o.Kind == "Ingress") }
