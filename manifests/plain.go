package manifests

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// plainWalk is a directory without a kustomization file, read as Flux does: every manifest in and below it; a
// sub-directory with a kustomization file is rendered on its own. Upstream: fluxcd/pkg/kustomize,
// kustomize_generator.go (scanManifests). Files are parsed here, because kustomize is quadratic in their number.
type plainWalk struct {
	renderer  *Renderer
	repo      *repository
	trail     []string
	documents []document
	errs      Errors
}

func (r *Renderer) plain(ctx context.Context, repo *repository, dir, real string) ([]document, error) {
	w := &plainWalk{renderer: r, repo: repo}
	if err := w.directory(ctx, dir, real); err != nil {
		return nil, err
	}
	return w.documents, w.errs.result()
}

// directory reads what is in a directory. Its own error is not the manifests' fault.
func (w *plainWalk) directory(ctx context.Context, dir, real string) error {
	if slices.Contains(w.trail, real) {
		w.fail(dir, "leads through a symbolic link back to itself")
		return nil
	}
	w.trail = append(w.trail, real)
	defer func() { w.trail = w.trail[:len(w.trail)-1] }()
	entries, err := fs.ReadDir(w.repo.tree, real)
	if err != nil {
		w.fail(dir, "cannot be read")
		return nil
	}
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.entry(ctx, path.Join(dir, entry.Name()), real, entry); err != nil {
			return err
		}
	}
	return nil
}

func (w *plainWalk) entry(ctx context.Context, name, dir string, entry fs.DirEntry) error {
	t, err := w.repo.resolve(dir, entry.Name())
	switch {
	case errors.Is(err, fs.ErrNotExist) && !isManifest(name):
		return nil // a broken link to something that would not be read
	case errors.Is(err, fs.ErrNotExist):
		w.fail(name, "is a symbolic link to nothing")
		return nil
	case err != nil:
		w.fail(name, err.Error())
		return nil
	case t.info.IsDir() && strings.HasPrefix(entry.Name(), "."):
		return nil
	case t.info.IsDir():
		return w.subdirectory(ctx, name, t.real)
	case isManifest(name):
		w.file(name, t)
	}
	return nil
}

func (w *plainWalk) subdirectory(ctx context.Context, dir, real string) error {
	names, failed := w.repo.kustomizationFiles(dir, real)
	switch {
	case failed != nil:
		w.errs.add(failed)
		return nil
	case len(names) == 0:
		return w.directory(ctx, dir, real)
	}
	documents, err := w.renderer.kustomization(ctx, w.repo, dir, real)
	var errs Errors
	if err != nil && !errors.As(err, &errs) {
		return err
	}
	w.errs.add(err)
	w.documents = append(w.documents, documents...)
	return nil
}

func (w *plainWalk) fail(file, message string) {
	w.errs.add(&Error{Position: Position{File: file}, Message: message})
}

func isManifest(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(name))
}

func (w *plainWalk) file(name string, t resolved) {
	text, err := w.repo.read(t)
	if err != nil {
		w.fail(name, err.Error())
		return
	}
	documents, err := parseYAML(name, text)
	if path.Ext(name) == ".json" && !anyKubernetes(documents) {
		return // a dashboard or a package.json
	}
	w.errs.add(err)
	for _, d := range documents {
		w.document(d)
	}
}

func (w *plainWalk) document(d document) {
	switch {
	case isKustomization(d.object):
		w.errs.add(&Error{Position: d.Position, Message: "is a kustomization: name the file kustomization.yaml"})
	case !isKubernetes(d.object):
		w.errs.add(notKubernetes(d))
	case !isLocal(d.object):
		w.expand(d)
	}
}

func (w *plainWalk) expand(d document) {
	for _, item := range expandList(d) {
		if isKubernetes(item.object) {
			w.documents = append(w.documents, item)
		} else {
			w.errs.add(notKubernetes(item))
		}
	}
}

func notKubernetes(d document) *Error {
	return &Error{Position: d.Position, Message: "is not a Kubernetes object: it has no apiVersion and kind"}
}

func anyKubernetes(documents []document) bool {
	return slices.ContainsFunc(documents, func(d document) bool { return isKubernetes(d.object) })
}

func isKubernetes(object map[string]any) bool {
	version, _ := object["apiVersion"].(string)
	kind, _ := object["kind"].(string)
	return version != "" && kind != ""
}

// isKustomization is not true of Flux's own Kustomization, which is an object like others.
func isKustomization(object map[string]any) bool {
	version, _ := object["apiVersion"].(string)
	return strings.HasPrefix(version, "kustomize.config.k8s.io/")
}

// isLocal objects are for tools, and kustomize leaves them out. Upstream: kyaml's filters.IsLocalConfig.
func isLocal(object map[string]any) bool {
	metadata, _ := object["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	value, there := annotations["config.kubernetes.io/local-config"]
	return there && value != "false"
}

// expandList is the items of a List, each with its own line, or the document itself.
func expandList(d document) []document {
	kind, _ := d.object["kind"].(string)
	items, ok := d.object["items"].([]any)
	if !ok || !strings.HasSuffix(kind, "List") {
		return []document{d}
	}
	_, list := child(d.node, "items", "")
	list = aliased(list)
	var out []document
	for i, item := range items {
		object, _ := item.(map[string]any)
		one := document{Position: d.Position, object: object}
		if list != nil && i < len(list.Content) {
			one.node = aliased(list.Content[i])
			one.Line = list.Content[i].Line
		}
		out = append(out, one)
	}
	return out
}
