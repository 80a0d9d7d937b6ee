package manifests

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// walk is a kustomization with everything it refers to: what the child gets to see, and nothing else. Paths are those
// that the references spell, so that a directory behind a symbolic link appears where the link is.
type walk struct {
	repo *repository
	// root is the directory, rootFile its kustomization file.
	root, rootFile string
	// texts are the files as committed, rewritten the kustomizations as the child gets them.
	texts, rewritten map[string][]byte
	// reals says which file a path stands for.
	reals map[string]string
	// documents are the objects of kustomizations and manifests, for finding lines.
	documents map[string][]document
	// trail is the chain of directories being walked, for finding cycles.
	trail   []place
	done    map[string]bool
	secrets map[string]bool
	// keepOrigin is the user's own wish for origin annotations.
	keepOrigin bool
	size       int
	errs       Errors
}

// place is a document with references, and the directory they are relative to.
type place struct {
	*document
	dir, real string
}

// prewalk follows every reference of a kustomization. It never runs kustomize. Its error is Errors: every reference
// that is not a plain path to a file or directory inside the repository, all at once.
func prewalk(repo *repository, dir, real string) (*walk, error) {
	w := &walk{
		repo: repo, root: dir, texts: map[string][]byte{}, rewritten: map[string][]byte{}, reals: map[string]string{},
		documents: map[string][]document{}, done: map[string]bool{}, secrets: map[string]bool{},
	}
	start := place{document: &document{Position: Position{File: dir}}, dir: dir, real: real}
	w.directory(start, "", dir, resolved{real: real}, nil)
	if err := w.errs.result(); err != nil {
		return nil, err
	}
	return w, nil
}

func (w *walk) fail(p place, field, format string, args ...any) {
	field = strings.TrimPrefix(field, ".")
	position := p.at(field)
	if position.Line == 0 { // a plug-in in place has no lines of its own
		position = p.Position
	}
	w.errs.add(&Error{Position: position, Field: field, Message: fmt.Sprintf(format, args...)})
}

// refer resolves a reference, or says why it is refused.
func (w *walk) refer(p place, field, reference string) (string, resolved, bool) {
	if reason := notLocal(reference); reason != "" {
		w.fail(p, field, "%s", reason)
		return "", resolved{}, false
	}
	logical := path.Join(p.dir, reference)
	t, err := w.repo.resolve(p.real, reference)
	switch {
	case leaves(logical), errors.Is(err, errLeaves):
		w.fail(p, field, "%s leaves the repository", reference)
	case errors.Is(err, fs.ErrNotExist):
		w.fail(p, field, "%s is not in the repository", reference)
	case err != nil:
		w.fail(p, field, "%s %s", reference, err)
	case w.reals[logical] != "" && w.reals[logical] != t.real:
		w.fail(p, field, "%s stands for two files because of symbolic links", reference)
	default:
		w.reals[logical] = t.real
		return logical, t, true
	}
	return "", resolved{}, false
}

// file takes a file in. Like kustomize, it refuses files outside the directory of the kustomization.
func (w *walk) file(p place, field, reference string) (string, []byte, bool) {
	logical, t, ok := w.refer(p, field, reference)
	switch {
	case !ok:
		return "", nil, false
	case t.info.IsDir():
		w.fail(p, field, "%s is a directory where a file is wanted", reference)
		return "", nil, false
	case !within(p.dir, logical):
		w.fail(p, field, "%s is outside the directory of the kustomization: kustomize reads files only in and below it", reference)
		return "", nil, false
	}
	return logical, w.take(p, field, logical, t), true
}

// take reads a file into the walk.
func (w *walk) take(p place, field, logical string, t resolved) []byte {
	if text, ok := w.texts[logical]; ok {
		return text
	}
	text, err := w.repo.read(t)
	if err == nil && (w.size+len(text) > maxTree || len(w.texts) >= maxFiles) { // one file behind many links
		err = errors.New("is too much for one application")
	}
	if err != nil {
		w.fail(p, field, "%s %s", logical, err)
		return nil
	}
	w.size += len(text)
	w.texts[logical] = text
	return text
}

func within(dir, name string) bool { return dir == "." || strings.HasPrefix(name, dir+"/") }

// parse reads the objects of a file once.
func (w *walk) parse(logical string, text []byte) []document {
	if documents, ok := w.documents[logical]; ok {
		return documents
	}
	documents, err := parseYAML(logical, text)
	w.errs.add(err)
	w.documents[logical] = documents
	for i := range documents {
		w.hideSecrets(documents[i].object)
	}
	return documents
}

// checkYAML refuses text that is no YAML or stands for too much. It takes lists too, such as JSON patches.
func (w *walk) checkYAML(file string, line int, text []byte) {
	if json.Valid(text) {
		return // which knows no aliases
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var node yaml.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			err = yamlError(file, err)
		} else {
			_, err = (&expansion{file: file, budget: newBudget(node.Content[0])}).value(node.Content[0], "")
		}
		if err != nil {
			var one *Error
			if errors.As(err, &one) {
				one.Line += line
			}
			w.errs.add(err)
			return
		}
	}
}

// directory takes a kustomization in. Its resources are plug-ins of owner if that is given.
func (w *walk) directory(p place, field, logical string, t resolved, owner *place) {
	for _, above := range w.trail {
		if above.real == t.real || within(t.real, above.real) {
			w.fail(p, field, "%s is a cycle: it is or holds %s, which refers to it", logical, above.dir)
			return
		}
	}
	key := logical + "\n" + ownerOf(owner)
	if w.done[key] {
		return
	}
	w.done[key] = true
	names, failed := w.repo.kustomizationFiles(logical, t.real)
	switch {
	case failed != nil:
		w.errs.add(failed)
		return
	case len(names) == 0:
		w.fail(p, field, "directory %s has no kustomization.yaml", logical)
		return
	}
	here := place{dir: logical, real: t.real}
	if !w.open(p, field, &here, names[0]) {
		return
	}
	w.trail = append(w.trail, here)
	w.follow(here, owner)
	w.trail = w.trail[:len(w.trail)-1]
}

func ownerOf(owner *place) string {
	if owner == nil {
		return ""
	}
	return owner.File
}

// open reads a kustomization file, and writes it anew as JSON: kustomize must see exactly the fields that were checked
// here, whatever its own YAML parser would have made of the text.
func (w *walk) open(p place, field string, here *place, name string) bool {
	file, t, ok := w.refer(*here.orAt(p), field, name)
	if !ok {
		return false
	}
	text := w.take(p, field, file, t)
	if text == nil {
		return false
	}
	before := len(w.errs)
	documents := w.parse(file, text)
	if len(documents) != 1 {
		if len(w.errs) == before {
			w.errs.add(&Error{Position: Position{File: file}, Message: fmt.Sprintf("must hold one kustomization, not %d", len(documents))})
		}
		return false
	}
	here.document = &documents[0]
	w.errs.add(unknownFields(here.document))
	root := w.rootFile == ""
	if root {
		w.rootFile = file
	}
	rewritten, err := w.rewrite(here.object, root)
	w.errs.add(err)
	w.rewritten[file] = rewritten
	return err == nil
}

// orAt borrows the position of the reference for a place that has no document yet.
func (p place) orAt(from place) *place {
	p.document = from.document
	return &p
}

// rewrite asks the outermost kustomization for origin annotations, by which lines are found.
func (w *walk) rewrite(object map[string]any, root bool) ([]byte, error) {
	if !root {
		return json.Marshal(object)
	}
	copied := map[string]any{}
	for k, v := range object {
		copied[k] = v
	}
	wished, _ := object["buildMetadata"].([]any)
	w.keepOrigin = slices.Contains(wished, any("originAnnotations"))
	if !w.keepOrigin {
		copied["buildMetadata"] = append(slices.Clone(wished), "originAnnotations")
	}
	return json.Marshal(copied)
}
