package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
)

// TestKeptImagesOutliveAPrune: their tag has moved, and nothing else holds them.
func TestKeptImagesOutliveAPrune(t *testing.T) {
	e := newEngine(t)
	ref := fmt.Sprintf("podyard-test-keep:%d", os.Getpid())
	label := fmt.Sprintf("podyard.dev/test=%s", e.options.Instance)
	first, second, third := importOne(t, e, ref, label), importOne(t, e, ref, label), importOne(t, e, ref, label)
	ctx := t.Context()
	keep := func(contents ...string) {
		t.Helper()
		for range 2 { // it is safe to repeat
			if err := e.KeepImages(ctx, contents); err != nil {
				t.Fatal(err)
			}
		}
	}
	prune := func() {
		t.Helper()
		if _, err := e.cli.ImagesPrune(ctx, filters.NewArgs(filters.Arg("label", label))); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(when string, here ...string) {
		t.Helper()
		for _, id := range []string{first, second, third} {
			_, err := e.ImageStatus(ctx, id)
			wanted := false
			for _, other := range here {
				wanted = wanted || other == id
			}
			if (err == nil) != wanted {
				t.Errorf("%s: image %s: %v", when, short(id), err)
			}
		}
	}
	keep(first, "sha256:"+fmt.Sprintf("%064d", 0), "localhost:1/never@"+first)
	prune()
	expect("after a prune", first, third)
	keep(third)
	expect("after letting go", third)
	keep()
	expect("the one that has another tag", third)
}

// importOne makes an image under a reference, which leaves the one before without it.
func importOne(t *testing.T, e *Engine, ref, label string) string {
	t.Helper()
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	if err := w.WriteHeader(&tar.Header{Name: "made", Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
		t.Fatal(err)
	}
	w.Close()
	progress, err := e.cli.ImageImport(t.Context(), image.ImportSource{Source: &layer, SourceName: "-"}, ref, image.ImportOptions{Changes: []string{"LABEL " + label}})
	if err != nil {
		t.Fatal(err)
	}
	defer progress.Close()
	if _, err := io.Copy(io.Discard, progress); err != nil {
		t.Fatal(err)
	}
	found, err := e.ImageStatus(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = e.cli.ImageRemove(context.Background(), found.ID, image.RemoveOptions{Force: true}) // it may be gone
	})
	return found.ID
}
