package manifests

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"
	"sync/atomic"
	"time"
)

// RendererOptions bound what one kustomization may cost. The zero value means the defaults.
type RendererOptions struct {
	// Command starts the child; this executable with the word that RunChildIfAsked looks for if empty.
	Command []string
	// Timeout of one kustomization, 30 s if 0.
	Timeout time.Duration
	// Memory in bytes that the child may take, 512 MiB if 0.
	Memory int64
}

// Renderer turns directories into documents: plain ones itself, kustomizations in a fenced child process. Safe for
// concurrent use.
type Renderer struct {
	options RendererOptions
	cache   *renderCache
	runs    atomic.Int64
}

// NewRenderer makes a Renderer with an empty cache.
func NewRenderer(options RendererOptions) *Renderer {
	options.Timeout = cmp.Or(options.Timeout, 30*time.Second)
	options.Memory = cmp.Or(options.Memory, 512<<20)
	return &Renderer{options: options, cache: newRenderCache()}
}

// ChildRuns counts the child processes started so far: an unchanged kustomization must not add one.
func (r *Renderer) ChildRuns() int { return int(r.runs.Load()) }

// render makes the documents of one directory of the tree. The documents are shared with the cache: nobody may change
// them. The error is Errors where the manifests are at fault.
func (r *Renderer) render(ctx context.Context, tree fs.FS, dir string) ([]document, error) {
	repo := newRepository(tree)
	clean, real, err := repo.directory(dir)
	if err != nil {
		return nil, Errors{err}
	}
	names, err := repo.kustomizationFiles(clean, real)
	if err != nil {
		return nil, Errors{err}
	}
	var documents []document
	var renderErr error
	if len(names) > 0 {
		documents, renderErr = r.kustomization(ctx, repo, clean, real)
	} else {
		documents, renderErr = r.plain(ctx, repo, clean, real)
	}
	if renderErr == nil && len(documents) == 0 {
		renderErr = Errors{{Position: Position{File: clean}, Message: noManifests}}
	}
	return documents, renderErr
}

const noManifests = "no manifests in this directory: an application without objects would remove everything"

// IsEmpty tells of an error of Load that there are no objects, and that nothing else is wrong.
func IsEmpty(err error) bool {
	var errs Errors
	return errors.As(err, &errs) && len(errs) == 1 && errs[0].Message == noManifests
}

// kustomization renders one directory that holds a kustomization file.
func (r *Renderer) kustomization(ctx context.Context, repo *repository, dir, real string) ([]document, error) {
	walked, err := prewalk(repo, dir, real)
	if err != nil {
		return nil, err
	}
	key := walked.hash()
	if documents, err, ok := r.cache.get(key); ok {
		return documents, err
	}
	text, lasting, err := r.runChild(ctx, walked)
	var documents []document
	if err == nil {
		documents, err = walked.origins(text)
	}
	if lasting {
		r.cache.put(key, documents, err, walked.size+len(text))
	}
	return documents, err
}

// directory resolves the path of an application: slash-separated, inside the tree, "." for its root.
func (r *repository) directory(name string) (clean, real string, failed *Error) {
	position := Position{File: name}
	clean = path.Clean(strings.TrimSuffix(name, "/"))
	switch {
	case path.IsAbs(name):
		return "", "", &Error{Position: position, Message: "is an absolute path: give it relative to the root of the repository"}
	case leaves(clean):
		return "", "", &Error{Position: position, Message: "leaves the repository: give a directory inside it"}
	}
	target, err := r.resolve(".", clean)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", "", &Error{Position: position, Message: "is not in the repository: correct the path or commit the directory"}
	case err != nil:
		return "", "", &Error{Position: position, Message: err.Error()}
	case !target.info.IsDir():
		return "", "", &Error{Position: position, Message: "is a file: give the directory that holds the manifests"}
	}
	return clean, target.real, nil
}
