package manifests

import (
	"cmp"
	"context"
	"io/fs"
	"slices"
)

// Options of Load and Decode. The zero value works for plain manifests.
type Options struct {
	// DefaultNamespace of objects that name none; "default" if empty.
	DefaultNamespace string
	// Renderer runs kustomize; nil means one with the default limits.
	Renderer *Renderer
}

// Load makes the Set of a directory of the tree. Its error is Errors where something is wrong with the manifests: every
// such thing at once, each with file, line and field.
func Load(ctx context.Context, tree fs.FS, path string, options Options) (*Set, error) {
	renderer := options.Renderer
	if renderer == nil {
		renderer = NewRenderer(RendererOptions{})
	}
	documents, err := renderer.render(ctx, tree, path)
	if err != nil {
		return nil, err
	}
	return assemble(documents, options)
}

// assemble decodes, defaults and validates documents, and puts them in order.
func assemble(documents []document, options Options) (*Set, error) {
	set := &Set{}
	var errs Errors
	undecoded := 0
	for i := range documents {
		d := &documents[i]
		object, warnings, err := decode(d, cmp.Or(options.DefaultNamespace, "default"))
		errs.add(err)
		if object == nil {
			undecoded++
			continue
		}
		set.Objects = append(set.Objects, object)
		set.Warnings = append(set.Warnings, warnings...)
	}
	defaultClass(set)
	applyLimitRanges(set)
	errs.add(duplicates(set.Objects))
	if undecoded == 0 { // else what refers to an object that could not be told would be reported as well
		errs.add(validate(set))
	}
	if err := errs.result(); err != nil {
		return nil, err
	}
	slices.SortStableFunc(set.Objects, func(a, b *Object) int {
		return cmp.Or(cmp.Compare(order(a.Kind), order(b.Kind)), a.Ref.Compare(b.Ref))
	})
	return set, nil
}

// order is that of applying: namespaces, configuration, volumes, Services, workloads, the rest. Upstream: Flux's
// fluxcd/pkg/ssa/sort.go.
func order(kind string) int {
	kinds := []string{"Namespace", "ResourceQuota", "LimitRange", "PriorityClass", "RuntimeClass", "StorageClass", "IngressClass", "ServiceAccount", "Role", "ClusterRole", "RoleBinding",
		"ClusterRoleBinding", "ConfigMap", "Secret",
		"PersistentVolume", "PersistentVolumeClaim", "Service", "Endpoints", "EndpointSlice", "Pod", "ReplicationController", "ReplicaSet", "Deployment",
		"StatefulSet", "DaemonSet", "Job", "CronJob",
		"HorizontalPodAutoscaler", "PodDisruptionBudget", "Ingress"}
	if i := slices.Index(kinds, kind); i >= 0 {
		return i
	}
	return len(kinds)
}

// duplicates refuses two objects with the same name.
func duplicates(objects []*Object) error {
	var errs Errors
	first := map[Ref]*Object{}
	for _, o := range objects {
		if other := first[o.Ref]; other != nil {
			errs.add(&Error{Position: o.Position, Object: o.Ref, Field: "metadata.name", Message: o.Ref.String() + " is there twice: also at " + other.Position.String()})
			continue
		}
		first[o.Ref] = o
	}
	return errs.result()
}
