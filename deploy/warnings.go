package deploy

import (
	"slices"

	"github.com/podyard/podyard/manifests"
)

// warnings are those of a commit, and those about what it changes. before is nil for the first.
func warnings(before, set *manifests.Set) []string {
	var out []string
	for _, w := range slices.Concat(set.Warnings, manifests.IgnoredReplicas(before, set)) {
		out = append(out, w.String())
	}
	return out
}
