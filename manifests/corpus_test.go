package manifests

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
)

// corpora are trees of real manifests: our own, and a larger one beside the repository where there is one.
var corpora = []string{"testdata/corpus", "../../shared/corpus"}

// TestTheCorpusLoadsOrSaysWhy loads every directory of every corpus: each is a Set or Errors, and nothing else.
func TestTheCorpusLoadsOrSaysWhy(t *testing.T) {
	for _, corpus := range corpora {
		files := os.DirFS(corpus)
		renderer := NewRenderer(RendererOptions{})
		loaded := 0
		err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) && name == "." {
				return fs.SkipAll
			}
			if err != nil {
				return err
			}
			var tree fs.FS = files
			dir := name
			switch {
			case !entry.IsDir() && slices.Contains(kustomizationNames, entry.Name()) || !entry.IsDir() && !isManifest(name):
				return nil
			case !entry.IsDir(): // a file as the only one of its repository
				text, err := fs.ReadFile(files, name)
				if err != nil {
					return err
				}
				tree, dir = treeOfOne(path.Base(name), text), "."
			}
			set, err := Load(t.Context(), tree, dir, Options{Renderer: renderer})
			if _, ok := err.(Errors); err != nil && !ok {
				t.Errorf("%s/%s: error %q is %T, not Errors", corpus, name, err, err)
			}
			if err == nil && len(set.Objects) > 0 {
				loaded++
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		t.Logf("%s: %d loaded", corpus, loaded)
		if loaded == 0 && corpus == corpora[0] {
			t.Error("nothing of our own corpus loads")
		}
	}
}

func treeOfOne(name string, text []byte) fs.FS { return tree(name, string(text)) }

func TestAnOverlayOfTheCorpusIsTyped(t *testing.T) {
	for _, dir := range []string{"testdata/corpus/shop", "../../shared/corpus/podinfo/deploy"} {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) && dir != "testdata/corpus/shop" {
			continue
		}
		set, err := Load(t.Context(), os.DirFS(dir), "overlays/production", Options{})
		if err != nil {
			t.Errorf("%s: %v", dir, err)
			continue
		}
		deployments := All[*appsv1.Deployment](set)
		if len(deployments) == 0 {
			t.Errorf("%s: no typed Deployments in %d objects", dir, len(set.Objects))
		}
		for _, o := range set.Objects {
			if o.Line == 0 {
				t.Errorf("%s: %s has no line", dir, o.Ref)
			}
		}
	}
}
