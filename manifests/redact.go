package manifests

import (
	"encoding/base64"
	"encoding/json"
	"path"
	"regexp"
	"slices"
	"strings"
)

// hide remembers a value that must not appear in an error. Very short ones would only blot out unrelated words.
func (w *walk) hide(value string) {
	if value = strings.TrimSpace(value); len(value) < 3 {
		return
	}
	w.secrets[value] = true
	if plain, err := base64.StdEncoding.DecodeString(value); err == nil && len(plain) >= 3 {
		w.secrets[string(plain)] = true
		w.hideJSON(plain)
	}
	w.hideJSON([]byte(value))
}

// hideJSON hides the texts in a JSON object, as a file of registry logins is.
func (w *walk) hideJSON(text []byte) {
	var object map[string]any
	if json.Unmarshal(text, &object) == nil {
		w.hideAll(object)
	}
}

// hideAll hides every text below a value.
func (w *walk) hideAll(value any) {
	switch value := value.(type) {
	case string:
		w.hide(value)
		w.hideLines([]byte(value))
	case map[string]any:
		for _, v := range value {
			w.hideAll(v)
		}
	case []any:
		for _, v := range value {
			w.hideAll(v)
		}
	}
}

// hideLines hides the lines of a secret file, of an env file also what stands before and after the first "=".
func (w *walk) hideLines(text []byte) {
	for line := range strings.Lines(string(text)) {
		w.hide(line)
		key, value, _ := strings.Cut(line, "=")
		w.hide(key)
		w.hide(strings.Trim(strings.TrimSpace(value), `"'`))
		if _, value, ok := strings.Cut(line, ": "); ok {
			w.hide(strings.Trim(strings.TrimSpace(value), `"'`))
		}
	}
}

// hideIn hides the values of the Secrets in a text of YAML objects.
func (w *walk) hideIn(text []byte) {
	documents, _ := parseYAML("", text)
	for _, d := range documents {
		w.hideSecrets(d.object)
	}
}

// hideSecrets hides the values of a Secret, or of the Secrets in a List.
func (w *walk) hideSecrets(object map[string]any) {
	if object["kind"] == "Secret" {
		w.hideAll(object["data"])
		w.hideAll(object["stringData"])
		w.hideAnnotations(object)
	}
	items, _ := object["items"].([]any)
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			w.hideSecrets(m)
		}
	}
}

// hideAnnotations hides those of a Secret: last-applied-configuration holds its values.
func (w *walk) hideAnnotations(object map[string]any) {
	metadata, _ := object["metadata"].(map[string]any)
	w.hideAll(metadata["annotations"])
}

// pathOf is where a reference of a place points.
func pathOf(p place, reference string) string { return path.Join(p.dir, reference) }

var (
	// kustomize tries each resource as a file first, and then reports that too.
	asFile = regexp.MustCompile(`accumulation err='accumulating resources from '[^']*': '[^']*' must resolve to a file': `)
	// And as a directory, if there is something wrong with the file.
	asDirectory = regexp.MustCompile(`(?s)accumulation err='(.*?)': must build at directory: '[^']*': file is not directory`)
	// It quotes a patch or another part of the kustomization that it cannot read.
	configured = regexp.MustCompile("(?s) with config: `.*?`")
	quoted     = regexp.MustCompile(`(?s)patch from \[.*\]`)
)

// redact makes kustomize's message readable, and takes out whatever stands in a Secret.
func (w *walk) redact(message string) string {
	message = asFile.ReplaceAllString(message, "")
	message = asDirectory.ReplaceAllString(message, "$1")
	message = configured.ReplaceAllString(message, "")
	message = quoted.ReplaceAllString(message, "patch")
	message = w.mask(message)
	message = strings.ReplaceAll(message, memoryRoot+"/", "")
	return strings.TrimSpace(strings.ReplaceAll(message, memoryRoot, "."))
}

// mask takes out what is hidden.
func (w *walk) mask(text string) string {
	values := sortedKeys(w.secrets)
	slices.SortStableFunc(values, func(a, b string) int { return len(b) - len(a) }) // a value may be part of another
	for _, value := range values {
		text = strings.ReplaceAll(text, value, "***")
	}
	return text
}

// Redact takes the values of the Secrets in the set out of a text that a program has written, such as its log.
func (s *Set) Redact(text string) string {
	w := &walk{secrets: map[string]bool{}}
	for _, o := range s.Objects {
		w.hideSecrets(o.Raw.Object)
	}
	return w.mask(text)
}
