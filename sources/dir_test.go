package sources

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAPlainDirectoryIsASource(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), "one")
	write(t, filepath.Join(dir, "sub/b.yaml"), "b")
	src := open(t, t.TempDir(), Options{URL: dir})
	first := fetch(t, src)
	if !strings.HasPrefix(first.Revision, "dir@sha256:") || len(first.Revision) != len("dir@sha256:")+64 || first.Commit.Hash != "" {
		t.Errorf("artifact = %+v", first)
	}
	if fetch(t, src) != first {
		t.Error("a fetch without news returned another artifact")
	}
	// The revision is of the content: neither of times, nor of the place, nor of what git would not keep.
	copied := t.TempDir()
	write(t, filepath.Join(copied, "sub/b.yaml"), "b")
	write(t, filepath.Join(copied, "a.yaml"), "one")
	write(t, filepath.Join(copied, "x/.git/HEAD"), "not read")
	os.Chmod(filepath.Join(copied, "a.yaml"), 0o600)
	if same := fetch(t, open(t, t.TempDir(), Options{URL: copied})); same.Revision == first.Revision {
		t.Error("an additional directory has no influence on the revision")
	}
	os.RemoveAll(filepath.Join(copied, "x"))
	if same := fetch(t, open(t, t.TempDir(), Options{URL: copied})); same.Revision != first.Revision {
		t.Errorf("revision of a copy = %s, want %s", same.Revision, first.Revision)
	}
	seen := map[string]string{first.Revision: "at first"}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"write", func() error { return os.WriteFile(filepath.Join(dir, "a.yaml"), []byte("two"), 0o644) }},
		{"chmod", func() error { return os.Chmod(filepath.Join(dir, "a.yaml"), 0o755) }},
		{"rename", func() error { return os.Rename(filepath.Join(dir, "a.yaml"), filepath.Join(dir, "c.yaml")) }},
		{"link", func() error { return os.Symlink("c.yaml", filepath.Join(dir, "l.yaml")) }},
		{"remove", func() error { return os.RemoveAll(filepath.Join(dir, "sub")) }},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		a := fetch(t, src)
		if before, ok := seen[a.Revision]; ok {
			t.Errorf("the revision after %s is that of %s", step.name, before)
		}
		seen[a.Revision] = step.name
	}
	wantFile(t, first, "a.yaml", "one")
	wantFile(t, fetch(t, src), "l.yaml", "two")
}

func TestAPlainDirectoryHasNoHistory(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), "one")
	src := open(t, t.TempDir(), Options{URL: dir})
	a := fetch(t, src)
	for _, rev := range []string{"HEAD", a.Revision} {
		if resolve(t, src, rev) != a {
			t.Errorf("%s is another artifact", rev)
		}
	}
	_, err := src.Resolve(context.Background(), "HEAD~1")
	mustSay(t, err, "a plain directory has no history", "git init")
	if !errors.Is(err, ErrRevision) {
		t.Errorf("errors.Is(%v, ErrRevision) = false", err)
	}
	if err := src.Pin(context.Background(), 1, ""); err != nil {
		t.Errorf("pin: %v", err)
	}
}

func TestLimitsOfAPlainDirectory(t *testing.T) {
	many := t.TempDir()
	for i := range maxDirFiles + 1 {
		write(t, filepath.Join(many, fmt.Sprint(i%50), fmt.Sprint(i)), "")
	}
	fetchError(t, open(t, t.TempDir(), Options{URL: many}), "more than 10000 files", "make it a git repository")
	large := t.TempDir()
	write(t, filepath.Join(large, "a"), "")
	if err := os.Truncate(filepath.Join(large, "a"), maxDirBytes+1); err != nil {
		t.Fatal(err)
	}
	fetchError(t, open(t, t.TempDir(), Options{URL: large}), "more than 64 MiB")
	gone := t.TempDir()
	src := open(t, t.TempDir(), Options{URL: gone})
	os.RemoveAll(gone)
	if err := fetchError(t, src, gone); !errors.Is(err, ErrNotFound) {
		t.Errorf("errors.Is(%v, ErrNotFound) = false", err)
	}
}

func TestLocateFindsWhatIsCommitted(t *testing.T) {
	repo := newRepo(t)
	commit(t, repo, "apps/web/web.yaml", "web")
	write(t, filepath.Join(repo, "scratch/a.yaml"), "not committed")
	if root, sub, ok := Locate(filepath.Join(repo, "apps/web")); !ok || root != repo || sub != "apps/web" {
		t.Errorf("Locate(apps/web) = %s %s %v", root, sub, ok)
	}
	for _, dir := range []string{repo, filepath.Join(repo, "scratch"), t.TempDir()} {
		if root, sub, ok := Locate(dir); ok {
			t.Errorf("Locate(%s) = %s %s", dir, root, sub)
		}
	}
	a := fetch(t, open(t, t.TempDir(), Options{URL: filepath.Join(repo, "scratch")}))
	if _, err := fs.Stat(a.Tree, "a.yaml"); err != nil {
		t.Errorf("a directory that is not committed is not read as one: %v", err)
	}
}
