package manifests

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	RunChildIfAsked()
	os.Exit(m.Run())
}

// TestStories renders the tree of each archive: the comment's first line is the directory, "want" what comes out. A
// file name that ends in " -> target" is a symbolic link.
func TestStories(t *testing.T) {
	stories, err := filepath.Glob("testdata/render/*.txtar")
	if err != nil || len(stories) == 0 {
		t.Fatal("no stories", err)
	}
	for _, story := range stories {
		t.Run(strings.TrimSuffix(filepath.Base(story), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(story)
			if err != nil {
				t.Fatal(err)
			}
			dir, _, _ := strings.Cut(string(archive.Comment), "\n")
			want := archive.Files[len(archive.Files)-1]
			if want.Name != "want" {
				t.Fatalf("the last file of %s is %s, not want", story, want.Name)
			}
			documents, err := NewRenderer(RendererOptions{}).render(t.Context(), treeOf(archive.Files[:len(archive.Files)-1]), dir)
			got := printed(t, documents, err)
			if *update {
				archive.Files[len(archive.Files)-1].Data = []byte(got)
				if err := os.WriteFile(story, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want.Data) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want.Data)
			}
		})
	}
}

func treeOf(files []txtar.File) fstest.MapFS {
	tree := fstest.MapFS{}
	for _, file := range files {
		if name, to, ok := strings.Cut(file.Name, " -> "); ok {
			tree[name] = &fstest.MapFile{Data: []byte(to), Mode: fs.ModeSymlink}
			continue
		}
		tree[file.Name] = &fstest.MapFile{Data: file.Data}
	}
	return tree
}

// tree is the same from name and content in turn.
func tree(pairs ...string) fstest.MapFS {
	var files []txtar.File
	for i := 0; i < len(pairs); i += 2 {
		files = append(files, txtar.File{Name: pairs[i], Data: []byte(pairs[i+1])})
	}
	return treeOf(files)
}

func printed(t *testing.T, documents []document, err error) string {
	t.Helper()
	if err != nil {
		if _, ok := err.(Errors); !ok {
			t.Fatalf("error %q is %T, not Errors", err, err)
		}
		return "error:\n" + err.Error() + "\n"
	}
	var out bytes.Buffer
	for _, d := range documents {
		text, err := yaml.Marshal(d.object)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "--- # %s\n%s", d.Position, text)
	}
	return out.String()
}

const configMap = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\n"

func TestAnUnchangedKustomizationRunsNoChild(t *testing.T) {
	r := NewRenderer(RendererOptions{})
	files := tree("app/kustomization.yaml", "resources: [a.yaml]", "app/a.yaml", configMap, "README.md", "one")
	render := func(want int) {
		t.Helper()
		if _, err := r.render(t.Context(), files, "app"); err != nil {
			t.Fatal(err)
		}
		if r.ChildRuns() != want {
			t.Fatalf("ran %d children, want %d", r.ChildRuns(), want)
		}
	}
	render(1)
	render(1)
	files["README.md"] = &fstest.MapFile{Data: []byte("two")}
	render(1)
	files["app/a.yaml"] = &fstest.MapFile{Data: []byte(configMap + "data: {a: b}\n")}
	render(2)
	files["app/kustomization.yaml"] = &fstest.MapFile{Data: []byte("# moved a line\nresources: [a.yaml]")}
	render(3)
}

func TestARefusalByKustomizeIsCachedToo(t *testing.T) {
	r := NewRenderer(RendererOptions{})
	files := tree("kustomization.yaml", "resources: [a.yaml, b.yaml]", "a.yaml", configMap, "b.yaml", configMap)
	for range 2 {
		_, err := r.render(t.Context(), files, ".")
		if err == nil || !strings.Contains(err.Error(), "kustomization.yaml: ") || !strings.Contains(err.Error(), "already registered id") {
			t.Fatalf("got error %v", err)
		}
	}
	if r.ChildRuns() != 1 {
		t.Fatalf("ran %d children, want 1", r.ChildRuns())
	}
}

func TestPlainManifestsRunNoChild(t *testing.T) {
	r := NewRenderer(RendererOptions{})
	documents, err := r.render(t.Context(), tree("a.yaml", configMap), "")
	if err != nil || len(documents) != 1 || r.ChildRuns() != 0 {
		t.Fatalf("got %d documents, %d children, error %v", len(documents), r.ChildRuns(), err)
	}
}

func TestPathsOfApplications(t *testing.T) {
	files := tree("app/a.yaml", configMap, "link -> app", "", "out -> ../x", "")
	for path, want := range map[string]string{
		"app": "", "./app": "", "app/": "", "link": "",
		"/app":       "/app: is an absolute path: give it relative to the root of the repository",
		"../app":     "../app: leaves the repository: give a directory inside it",
		"a/../..":    "a/../..: leaves the repository: give a directory inside it",
		"none":       "none: is not in the repository: correct the path or commit the directory",
		"app/a.yaml": "app/a.yaml: is a file: give the directory that holds the manifests",
		"out":        "out: leads through a symbolic link that leaves the repository",
	} {
		_, err := NewRenderer(RendererOptions{}).render(t.Context(), files, path)
		if got := message(err); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestFieldsAreFoundInTheOriginFile(t *testing.T) {
	files := tree("over/kustomization.yaml", "namePrefix: new-\nresources: [../base]", "base/kustomization.yaml", "resources: [a.yaml]",
		"base/a.yaml", "# first\n"+configMap+"data:\n  key: value\n")
	documents, err := NewRenderer(RendererOptions{}).render(t.Context(), files, "over")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := documents[0].at("data.key"), (Position{"base/a.yaml", 7}); got != want {
		t.Errorf("data.key is at %s, want %s", got, want)
	}
}

func TestTheCacheForgetsTheLeastRecentlyUsed(t *testing.T) {
	c := newRenderCache()
	key := func(n int) [32]byte { return [32]byte{byte(n)} }
	for n := range cacheEntries {
		c.put(key(n), nil, nil, 1)
	}
	c.get(key(0))
	c.put(key(100), nil, nil, 1)
	if _, _, ok := c.get(key(0)); !ok {
		t.Error("forgot an entry just used")
	}
	if _, _, ok := c.get(key(1)); ok {
		t.Error("kept more entries than it may")
	}
	c.put(key(101), nil, nil, cacheBytes)
	if c.size > cacheBytes {
		t.Errorf("holds %d bytes, may hold %d", c.size, cacheBytes)
	}
}

func TestACancelledRenderIsNotTheManifestsFault(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := NewRenderer(RendererOptions{}).render(ctx, tree("kustomization.yaml", "resources: [a.yaml]", "a.yaml", configMap), ".")
	if err != context.Canceled {
		t.Fatalf("got error %v, want %v", err, context.Canceled)
	}
}
