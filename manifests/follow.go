package manifests

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// helmFields are the fields by which kustomize runs helm.
var helmFields = []string{"helmCharts", "helmChartInflationGenerator", "helmGlobals"}

// follow takes in everything a kustomization refers to. Upstream: kustomize api/types/kustomization.go.
func (w *walk) follow(k place, owner *place) {
	for _, field := range helmFields {
		if _, there := k.object[field]; there {
			w.fail(k, field, "Helm charts are not rendered: commit the output of helm template")
		}
	}
	manifest := func(field, reference string) { w.manifest(k, field, reference, owner) }
	w.each(k, "resources", manifest)
	w.each(k, "bases", manifest)
	w.each(k, "components", func(field, reference string) { w.component(k, field, reference, owner) })
	for _, field := range []string{"crds", "configurations"} {
		w.each(k, field, func(field, reference string) { w.yamlFile(k, field, reference) })
	}
	for _, field := range []string{"generators", "transformers", "validators"} {
		w.each(k, field, func(field, reference string) { w.plugin(k, field, reference) })
	}
	if openapi, ok := k.object["openapi"].(map[string]any); ok && openapi["path"] != nil {
		w.text(k, "openapi.path", openapi["path"], func(field, reference string) { w.yamlFile(k, field, reference) })
	}
	w.each(k, "patchesStrategicMerge", func(field, reference string) { w.yamlOrFile(k, field, reference) })
	for _, field := range []string{"patches", "patchesJson6902", "replacements"} {
		w.maps(k, field, func(field string, item map[string]any) { w.patch(k, field, item) })
	}
	w.maps(k, "configMapGenerator", func(field string, item map[string]any) { w.keyValues(k, field, item, false) })
	w.maps(k, "secretGenerator", func(field string, item map[string]any) { w.keyValues(k, field, item, true) })
}

// each calls back for every text of a list.
func (w *walk) each(p place, field string, then func(field, text string)) {
	w.list(p, field, p.object[field], then)
}

func (w *walk) list(p place, field string, value any, then func(field, text string)) {
	items, ok := value.([]any)
	if !ok && value != nil {
		w.fail(p, field, "must be a list")
	}
	for i, item := range items {
		w.text(p, fmt.Sprintf("%s[%d]", field, i), item, then)
	}
}

func (w *walk) text(p place, field string, value any, then func(field, text string)) {
	text, ok := value.(string)
	if !ok {
		w.fail(p, field, "must be a string")
		return
	}
	then(field, text)
}

// maps calls back for every map of a list.
func (w *walk) maps(p place, field string, then func(field string, item map[string]any)) {
	items, ok := p.object[field].([]any)
	if !ok && p.object[field] != nil {
		w.fail(p, field, "must be a list")
	}
	for i, item := range items {
		at := fmt.Sprintf("%s[%d]", field, i)
		if m, ok := item.(map[string]any); ok {
			then(at, m)
		} else {
			w.fail(p, at, "must be a map")
		}
	}
}

// manifest is a file of objects or a directory with a kustomization.
func (w *walk) manifest(k place, field, reference string, owner *place) {
	logical, t, ok := w.refer(k, field, reference)
	if !ok {
		return
	}
	if t.info.IsDir() {
		w.directory(k, field, logical, t, owner)
		return
	}
	_, text, ok := w.file(k, field, reference)
	if !ok {
		return
	}
	for i, d := range w.parse(logical, text) {
		if isKustomization(d.object) {
			w.fail(k, field, "%s is a kustomization: refer to its directory", reference)
		}
		if owner != nil {
			w.builtin(place{&w.documents[logical][i], owner.dir, owner.real})
		}
	}
}

func (w *walk) component(k place, field, reference string, owner *place) {
	logical, t, ok := w.refer(k, field, reference)
	switch {
	case !ok:
	case t.info.IsDir():
		w.directory(k, field, logical, t, owner)
	default:
		w.fail(k, field, "%s is a file where a directory with a component is wanted", reference)
	}
}

func (w *walk) yamlFile(p place, field, reference string) {
	if logical, text, ok := w.file(p, field, reference); ok {
		w.checkYAML(logical, 0, text)
		w.hideIn(text)
	}
}

// yamlOrFile is a patch itself or its path.
func (w *walk) yamlOrFile(p place, field, text string) {
	if documents, err := parseYAML(p.File, []byte(text)); err == nil && len(documents) > 0 {
		w.hideIn([]byte(text))
		return
	}
	w.yamlFile(p, field, text)
}

// patch is an entry that has a path, or a patch in itself.
func (w *walk) patch(p place, field string, item map[string]any) {
	if item["path"] != nil {
		w.text(p, field+".path", item["path"], func(field, reference string) { w.yamlFile(p, field, reference) })
	}
	if text, ok := item["patch"].(string); ok {
		w.checkYAML(p.File, p.at(field+".patch").Line, []byte(text))
		w.hideIn([]byte(text))
	}
	if t, ok := item["target"].(map[string]any); ok && t["kind"] == "Secret" {
		w.hideAll(item["patch"])
		if reference, ok := item["path"].(string); ok {
			w.hideLines(w.texts[pathOf(p, reference)])
		}
	}
}

// keyValues are the sources of a ConfigMap or Secret: files as path or key=path, env files, literals.
func (w *walk) keyValues(p place, field string, item map[string]any, secret bool) {
	read := func(field, reference string) []byte {
		_, text, _ := w.file(p, field, reference)
		if secret {
			w.hideLines(text)
		}
		return text
	}
	env := func(field, reference string) {
		if !utf8.Valid(read(field, reference)) {
			w.fail(p, field, "%s is not text in UTF-8", reference)
		}
	}
	w.list(p, field+".files", item["files"], func(field, reference string) {
		if key, file, ok := strings.Cut(reference, "="); ok {
			if key == "" || file == "" || strings.Contains(file, "=") {
				w.fail(p, field, "must be a path or key=path")
				return
			}
			reference = file
		}
		read(field, reference)
	})
	w.list(p, field+".envs", item["envs"], env)
	if item["env"] != nil {
		w.text(p, field+".env", item["env"], env)
	}
	w.list(p, field+".literals", item["literals"], func(field, literal string) {
		if strings.Index(literal, "=") < 1 {
			w.fail(p, field, "must be key=value")
		}
		if secret {
			w.hideLines([]byte(literal))
		}
	})
}
