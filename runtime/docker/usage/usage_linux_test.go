package usage

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tree has everything in it that is easily counted wrong.
func tree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	at := func(name string) string { return filepath.Join(root, name) }
	must(t, os.MkdirAll(at("a/b"), 0o755))
	must(t, os.WriteFile(at("a/b/file"), bytes.Repeat([]byte("x"), 100_000), 0o644))
	must(t, os.Link(at("a/b/file"), at("a/again")))
	must(t, os.WriteFile(at("small"), []byte("x"), 0o644))
	must(t, os.Symlink("/usr", at("link")))
	sparse, err := os.Create(at("sparse"))
	must(t, err)
	must(t, sparse.Truncate(1<<40))
	must(t, sparse.Close())
	return root
}

func TestUsageIsWhatDuCounts(t *testing.T) {
	root := tree(t)
	got, err := Of(t.Context(), root)
	must(t, err)
	out, err := exec.Command("du", "-skx", root).Output()
	must(t, err)
	var want int64
	_, err = fmt.Sscan(string(out), &want)
	must(t, err)
	if got != want<<10 || got < 100_000 || got > 200_000 {
		t.Errorf("%d bytes; du says %d KiB", got, want)
	}
}

func TestAMeasurementThatNobodyWaitsForEnds(t *testing.T) {
	ctx, stop := context.WithCancelCause(t.Context())
	stop(io.EOF)
	if _, err := Of(ctx, tree(t)); err != io.EOF {
		t.Errorf("%v; want the cause of the end", err)
	}
}

func TestMainPrintsALineForEachPath(t *testing.T) {
	listening, end := io.Pipe()
	defer end.Close()
	root := tree(t)
	var out, errs bytes.Buffer
	if code := Main([]string{root, root}, listening, &out, &errs); code != 0 || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("exit code %d, %q, %s", code, out.String(), errs.String())
	}
	if code := Main(nil, listening, io.Discard, io.Discard); code != 2 {
		t.Errorf("without a path the exit code is %d; want 2", code)
	}
	if code := Main([]string{filepath.Join(root, "none")}, listening, io.Discard, &errs); code != 1 || !strings.Contains(errs.String(), "none") {
		t.Errorf("of what is not there: exit code %d, %s", code, errs.String())
	}
}
