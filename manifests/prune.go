package manifests

import "slices"

// The annotations that say what becomes of an object that has left the commit. Besides ours, those of Argo CD and Flux that
// keep it are honoured.
const (
	PruneAnnotation     = "podyard.dev/prune"
	argoOptions         = "argocd.argoproj.io/sync-options"
	fluxPruneAnnotation = "kustomize.toolkit.fluxcd.io/prune"
)

// Prune is what becomes of an object that has left the commit, and of its pods.
type Prune string

// The values of Prune. The first three are upstream's propagation policies (metav1.DeletionPropagation).
const (
	// PruneBackground: the object is gone at once, its pods follow.
	PruneBackground Prune = "background"
	// PruneForeground: the object is gone when its pods are, and so are its Services.
	PruneForeground Prune = "foreground"
	// PruneOrphan: the object is gone, its pods stay without a controller.
	PruneOrphan Prune = "orphan"
	// PruneDisabled: nothing goes.
	PruneDisabled Prune = "disabled"
)

// PruneOf is what an object says of itself.
func PruneOf(o *Object) Prune {
	if o.Value == nil {
		return PruneBackground
	}
	meta := metaOf(o.Value)
	switch {
	case meta.Annotations[PruneAnnotation] != "":
		return Prune(meta.Annotations[PruneAnnotation])
	case slices.Contains(listOf(meta.Annotations[argoOptions]), "Prune=false"),
		meta.Annotations[fluxPruneAnnotation] == "disabled", meta.Labels[fluxPruneAnnotation] == "disabled":
		return PruneDisabled
	}
	return PruneBackground
}
