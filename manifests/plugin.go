package manifests

import (
	"fmt"
	"slices"
	"strings"
)

// builtins are the plug-ins that are part of kustomize, without HelmChartInflationGenerator, which runs helm.
// Upstream: kustomize api/internal/plugins/builtinhelpers/builtins.go.
var builtins = []string{
	"AnnotationsTransformer", "ConfigMapGenerator", "HashTransformer", "IAMPolicyGenerator", "ImageTagTransformer",
	"LabelTransformer", "NamespaceTransformer", "PatchJson6902Transformer", "PatchStrategicMergeTransformer",
	"PatchTransformer", "PrefixSuffixTransformer", "PrefixTransformer", "ReplacementTransformer",
	"ReplicaCountTransformer", "SecretGenerator", "SuffixTransformer", "ValueAddTransformer",
}

// functionAnnotations make kustomize run a container or a program for an object.
var functionAnnotations = []string{"config.kubernetes.io/function", "config.k8s.io/function"}

// plugin is an entry of generators, transformers or validators: YAML in place, a file, or a directory.
func (w *walk) plugin(k place, field, reference string) {
	inline, err := parseYAML(k.File, []byte(reference))
	if err != nil || len(inline) == 0 {
		w.manifest(k, field, reference, &k)
		return
	}
	for i := range inline {
		d := &document{Position: k.at(field), object: inline[i].object}
		w.hideSecrets(d.object)
		w.builtin(place{d, k.dir, k.real})
	}
}

// builtin checks one plug-in. Its own references are relative to the kustomization that names it, not to its file.
func (w *walk) builtin(p place) {
	kind, _ := p.object["kind"].(string)
	if p.object["apiVersion"] != "builtin" || !slices.Contains(builtins, kind) {
		w.fail(p, "kind", "plug-in %q of %q is refused: only kustomize's builtin ones are run, and no Helm", kind, p.object["apiVersion"])
		return
	}
	metadata, _ := p.object["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	for _, name := range functionAnnotations {
		if _, there := annotations[name]; there {
			w.fail(p, "metadata.annotations", "%s is refused: no programs or containers are run for rendering", name)
		}
	}
	if w.misspelt(p, "", p.object) {
		return
	}
	switch kind {
	case "ConfigMapGenerator", "SecretGenerator":
		w.keyValues(p, "", p.object, kind == "SecretGenerator")
	case "PatchTransformer", "PatchJson6902Transformer":
		w.patch(p, "", p.object)
	case "PatchStrategicMergeTransformer":
		w.each(p, "paths", func(field, text string) { w.yamlOrFile(p, field, text) })
	case "ReplacementTransformer":
		w.maps(p, "replacements", func(field string, item map[string]any) { w.patch(p, field, item) })
	}
}

// pathFields are the fields of builtins that hold paths.
var pathFields = []string{"files", "envs", "env", "path", "paths", "replacements"}

// misspelt refuses "Path" for "path": kustomize reads plug-ins without regard to case, and would follow it unchecked.
func (w *walk) misspelt(p place, field string, value any) bool {
	found := false
	switch value := value.(type) {
	case map[string]any:
		for _, key := range sortedKeys(value) {
			at := strings.TrimPrefix(field+"."+key, ".")
			if i := slices.IndexFunc(pathFields, func(name string) bool { return name != key && strings.EqualFold(name, key) }); i >= 0 {
				w.fail(p, at, "must be spelt %s", pathFields[i])
				found = true
			}
			found = w.misspelt(p, at, value[key]) || found
		}
	case []any:
		for i, item := range value {
			found = w.misspelt(p, fmt.Sprintf("%s[%d]", field, i), item) || found
		}
	}
	return found
}
