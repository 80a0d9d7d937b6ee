package manifests

import (
	"errors"
	"maps"
	"slices"
	"testing"
)

func TestTheChildSeesOnlyWhatIsReferredTo(t *testing.T) {
	files := tree("app/kustomization.yaml", "resources: [a.yaml, ../base]\nconfigMapGenerator: [{name: x, files: [k=data.txt]}]\n",
		"app/a.yaml", configMap, "app/data.txt", "x", "app/other.yaml", configMap, "secret.key", "x",
		"base/kustomization.yaml", "resources: []\nnamePrefix: a-\n")
	w, err := prewalk(newRepository(files), "app", "app")
	if err != nil {
		t.Fatal(err)
	}
	got := slices.Sorted(maps.Keys(w.childFiles()))
	want := []string{"app/a.yaml", "app/data.txt", "app/kustomization.yaml", "base/kustomization.yaml"}
	if !slices.Equal(got, want) {
		t.Errorf("the child sees %q, want %q", got, want)
	}
}

func TestTwoWaysToOnePathMustMeanOneFile(t *testing.T) {
	// Seen from the link, ../x is deep/x; as spelt it is x.
	files := tree("kustomization.yaml", "resources: [x, base]", "base -> deep/base", "",
		"deep/base/kustomization.yaml", "resources: [../x]", "deep/x/kustomization.yaml", "namePrefix: a-", "x/kustomization.yaml", "namePrefix: b-")
	if got, want := message(prewalked(files)), "base/kustomization.yaml:1: resources[0]: ../x stands for two files because of symbolic links"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestADiamondIsWalkedOnce(t *testing.T) {
	pairs := []string{"l0/kustomization.yaml", "namePrefix: a-"}
	level := func(n int) string { return string(rune('a' + n)) }
	previous := "l0"
	for n := range 20 {
		for _, side := range []string{"x", "y"} {
			pairs = append(pairs, level(n)+side+"/kustomization.yaml", "resources: [../"+previous+"]")
		}
		pairs = append(pairs, level(n)+"/kustomization.yaml", "resources: [../"+level(n)+"x, ../"+level(n)+"y]")
		previous = level(n)
	}
	w, err := prewalk(newRepository(tree(pairs...)), previous, previous)
	if err != nil || len(w.texts) != 61 {
		t.Fatalf("walked %v, error %v", w, err)
	}
}

// FuzzPrewalk looks for a kustomization that makes the walk panic, answer with another error than Errors, or take in a
// file that is not in the tree.
func FuzzPrewalk(f *testing.F) {
	for _, seed := range []string{
		"resources: [a.yaml, dir]", "resources: ['../x', 'https://x/y', dir/../a.yaml]", "a: &a {b: *a}", "patches: [{path: a.yaml, patch: '- a'}]",
		"secretGenerator: [{name: x, files: [a=a.yaml], literals: [x]}]", "generators: ['{apiVersion: builtin, kind: ConfigMapGenerator}']",
		"resources: {a: b}", "openapi: {path: [1]}", "[]", "", "components: [., link, out]", "<<: {resources: [/etc]}", "buildMetadata: 1",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		files := tree("kustomization.yaml", text, "a.yaml", configMap, "dir/kustomization.yaml", text, "link -> dir", "", "out -> ../out", "")
		w, err := prewalk(newRepository(files), ".", ".")
		var errs Errors
		if err != nil {
			if !errors.As(err, &errs) {
				t.Fatalf("error %q is %T", err, err)
			}
			return
		}
		for name, text := range w.texts {
			if at, err := newRepository(files).resolve(".", name); err != nil || string(files[at.real].Data) != string(text) {
				t.Fatalf("took in %q, which is not in the tree: %v", name, err)
			}
		}
	})
}
