package sources

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
)

// sample makes the same files in a directory, with links, an executable and names whose order in git differs.
func sample(t *testing.T, dir string) {
	t.Helper()
	for name, content := range map[string]string{
		"app.yaml": "app", "base/kustomization.yaml": "k", "base/a/b/c/deep.yaml": "deep", "base.yaml": "sorts before base/ in git",
		"base-x/y.yaml": "y", "empty.yaml": "", "ünïcode/ñ.yaml": "u", "run.sh": "#!/bin/sh",
	} {
		write(t, filepath.Join(dir, name), content)
	}
	os.Chmod(filepath.Join(dir, "run.sh"), 0o755)
	for link, target := range map[string]string{
		"link.yaml": "app.yaml", "dirlink": "base/a", "base/up.yaml": "../app.yaml", "chain": "dirlink/b/../../kustomization.yaml",
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
}

// both runs a test on the git tree and on the snapshot of a plain directory with the same files.
func both(t *testing.T, test func(t *testing.T, a *Artifact)) {
	t.Helper()
	dir := t.TempDir()
	sample(t, dir)
	plain := fetch(t, open(t, t.TempDir(), Options{URL: dir}))
	t.Run("directory", func(t *testing.T) { test(t, plain) })
	git(t, dir, "init", "-q")
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-qm", "sample")
	committed := fetch(t, open(t, t.TempDir(), Options{URL: dir}))
	t.Run("git", func(t *testing.T) { test(t, committed) })
}

func TestTreesAreFileSystems(t *testing.T) {
	both(t, func(t *testing.T, a *Artifact) {
		if err := fstest.TestFS(a.Tree, "app.yaml", "base/a/b/c/deep.yaml", "ünïcode/ñ.yaml", "run.sh", "link.yaml", "base/up.yaml", "dirlink"); err != nil {
			t.Error(err)
		}
	})
}

func TestLinksAreVisibleAndFollowedInside(t *testing.T) {
	both(t, func(t *testing.T, a *Artifact) {
		links := a.Tree.(fs.ReadLinkFS)
		info, err := links.Lstat("link.yaml")
		if err != nil || info.Mode().Type() != fs.ModeSymlink {
			t.Errorf("Lstat(link.yaml) = %v, %v, want a symbolic link", info, err)
		}
		if target, err := links.ReadLink("base/up.yaml"); err != nil || target != "../app.yaml" {
			t.Errorf("ReadLink(base/up.yaml) = %q, %v", target, err)
		}
		if _, err := links.ReadLink("app.yaml"); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("ReadLink of a file: %v, want ErrInvalid", err)
		}
		wantFile(t, a, "link.yaml", "app")
		wantFile(t, a, "base/up.yaml", "app")
		wantFile(t, a, "dirlink/b/c/deep.yaml", "deep")
		wantFile(t, a, "chain", "k")
		info, err = fs.Stat(a.Tree, "dirlink")
		if err != nil || !info.IsDir() || info.Name() != "dirlink" {
			t.Errorf("Stat(dirlink) = %v, %v, want a directory of that name", info, err)
		}
		if info, _ := fs.Stat(a.Tree, "run.sh"); info.Mode() != 0o755 {
			t.Errorf("mode of run.sh = %v", info.Mode())
		}
	})
}

func TestLinksDoNotLeaveTheTree(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "secret"), canary)
	repo := filepath.Join(dir, "repo")
	write(t, filepath.Join(repo, "sub/a.yaml"), "a")
	for link, target := range map[string]string{
		"absolute": "/etc/passwd", "above": "../secret", "sub/above": "../../secret", "through": "sub/../../secret",
		"loop": "loop", "loop1": "loop2", "loop2": "loop1", "dangling": "nowhere", "proc": "/proc/self/environ", "dir": "..",
		"long": strings.Repeat("x/", 500) + "y",
	} {
		if err := os.Symlink(target, filepath.Join(repo, link)); err != nil {
			t.Fatal(err)
		}
	}
	check := func(t *testing.T, a *Artifact) {
		for name, want := range map[string]error{
			"absolute": errLeaves, "above": errLeaves, "sub/above": errLeaves, "through": errLeaves, "proc": errLeaves,
			"dir": errLeaves, "dir/secret": errLeaves, "loop": errLoop, "loop1": errLoop, "dangling": fs.ErrNotExist, "long": fs.ErrNotExist,
			"../secret": fs.ErrInvalid, "/etc/passwd": fs.ErrInvalid, "sub/../a": fs.ErrInvalid, "sub/a.yaml/b": fs.ErrNotExist,
		} {
			data, err := fs.ReadFile(a.Tree, name)
			if !errors.Is(err, want) {
				t.Errorf("read %s = %q, %v, want %v", name, data, err, want)
			}
			if err != nil && strings.Contains(err.Error(), canary) {
				t.Errorf("the error of %s shows the content: %v", name, err)
			}
		}
	}
	check(t, fetch(t, open(t, t.TempDir(), Options{URL: repo})))
	git(t, repo, "init", "-q")
	git(t, repo, "add", "-A")
	git(t, repo, "commit", "-qm", "links")
	check(t, fetch(t, open(t, t.TempDir(), Options{URL: repo})))
}

// mktree makes a tree that git add would refuse. Entries are "mode type hash<TAB>name".
func rawTree(t *testing.T, repo string, entries ...string) string {
	t.Helper()
	var data bytes.Buffer
	for _, e := range entries {
		mode, rest, _ := strings.Cut(e, " ")
		hash, name, _ := strings.Cut(rest, " ")
		fmt.Fprintf(&data, "%s %s\x00", mode, name)
		for i := 0; i < 40; i += 2 {
			var b byte
			fmt.Sscanf(hash[i:i+2], "%02x", &b)
			data.WriteByte(b)
		}
	}
	return gitStdin(t, repo, data.String(), "hash-object", "-t", "tree", "-w", "--literally", "--stdin")
}

func TestHostileTreesAreRefused(t *testing.T) {
	cases := []struct {
		name string
		tree func(t *testing.T, repo, blob string) string
		want string
	}{
		{".git", func(t *testing.T, repo, blob string) string {
			return rawTree(t, repo, "40000 "+rawTree(t, repo, "100644 "+blob+" config")+" .git")
		}, `entry named ".git"`},
		{".GIT in a directory", func(t *testing.T, repo, blob string) string {
			return rawTree(t, repo, "40000 "+rawTree(t, repo, "100644 "+blob+" .GIT")+" sub")
		}, `entry named ".GIT"`},
		{"dot dot", func(t *testing.T, repo, blob string) string { return rawTree(t, repo, "100644 "+blob+" ..") }, `".."`},
		{"dot", func(t *testing.T, repo, blob string) string { return rawTree(t, repo, "100644 "+blob+" .") }, `"."`},
		{"a slash", func(t *testing.T, repo, blob string) string { return rawTree(t, repo, "100644 "+blob+" ../../x") }, "no file can have"},
		{"no name", func(t *testing.T, repo, blob string) string { return rawTree(t, repo, "100644 "+blob+" ") }, `the name ""`},
		{"twice the same", func(t *testing.T, repo, blob string) string {
			return rawTree(t, repo, "100644 "+blob+" a", "120000 "+blob+" a")
		}, `two entries named "a"`},
		{"a tree that is a blob", func(t *testing.T, repo, blob string) string { return rawTree(t, repo, "40000 "+blob+" a") }, "not a tree"},
		{"a bomb of ten layers", func(t *testing.T, repo, blob string) string {
			tree := rawTree(t, repo, "100644 "+blob+" f")
			for range 10 {
				var entries []string
				for i := range 10 {
					entries = append(entries, fmt.Sprintf("40000 %s d%d", tree, i))
				}
				tree = rawTree(t, repo, entries...)
			}
			return tree
		}, "more than 500000 files"},
		{"nested 1200 deep", func(t *testing.T, repo, blob string) string {
			tree := "100644 " + blob + " f"
			for range 1200 {
				tree = "40000 " + rawTree(t, repo, tree) + " d"
			}
			return rawTree(t, repo, tree)
		}, "nested more than 1000 deep"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			repo := newRepo(t)
			src := open(t, t.TempDir(), Options{URL: repo})
			good := fetch(t, src)
			blob := git(t, repo, "rev-parse", "HEAD:app.yaml")
			bad := git(t, repo, "commit-tree", "-p", "HEAD", "-m", "hostile", c.tree(t, repo, blob))
			git(t, repo, "update-ref", "refs/heads/main", bad)
			fetchError(t, src, c.want, bad)
			// What was there stays readable, and the next good commit is fetched although a bad one is behind it.
			wantFile(t, good, "app.yaml", "one")
			git(t, repo, "read-tree", good.Commit.Hash)
			next := git(t, repo, "commit-tree", "-p", bad, "-m", "good again", git(t, repo, "write-tree"))
			git(t, repo, "update-ref", "refs/heads/main", next)
			wantCommit(t, fetch(t, src), next)
			wantCommit(t, fetch(t, open(t, t.TempDir(), Options{URL: repo})), next)
		})
	}
}

func TestLongPathsAndSubmodules(t *testing.T) {
	repo := newRepo(t)
	long := strings.Repeat("d/", 300) + "f.yaml"
	blob := git(t, repo, "rev-parse", "HEAD:app.yaml")
	tree := rawTree(t, repo, "100644 "+blob+" f.yaml")
	for range 300 {
		tree = rawTree(t, repo, "40000 "+tree+" d")
	}
	nested := strings.Fields(git(t, repo, "ls-tree", tree))[2]
	top := rawTree(t, repo, "40000 "+nested+" d", "160000 "+strings.Repeat("1", 40)+" module", "100644 "+blob+" "+strings.Repeat("n", 255), "100644 "+blob+` var-lib\x2d.mount`)
	git(t, repo, "update-ref", "refs/heads/main", git(t, repo, "commit-tree", "-m", "odd", top))
	a := fetch(t, open(t, t.TempDir(), Options{URL: repo}))
	wantFile(t, a, long, "one")
	wantFile(t, a, strings.Repeat("n", 255), "one")
	wantFile(t, a, `var-lib\x2d.mount`, "one")
	entries, err := fs.ReadDir(a.Tree, "module")
	if err != nil || len(entries) != 0 {
		t.Errorf("a submodule = %v, %v, want an empty directory", entries, err)
	}
}

func TestReadingFromManyGoroutines(t *testing.T) {
	repo := newRepo(t)
	for i := range 300 {
		write(t, filepath.Join(repo, fmt.Sprintf("d%d/f%d.yaml", i%10, i)), fmt.Sprint(i))
	}
	commit(t, repo, "app.yaml", "many")
	src := open(t, t.TempDir(), Options{URL: repo})
	a := fetch(t, src)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 300 {
				name := fmt.Sprintf("d%d/f%d.yaml", i%10, i)
				if data, err := fs.ReadFile(a.Tree, name); err != nil || string(data) != fmt.Sprint(i) {
					t.Errorf("%s = %q, %v", name, data, err)
				}
			}
		})
	}
	wg.Go(func() {
		for i := range 5 {
			commit(t, repo, "app.yaml", fmt.Sprint(i))
			fetch(t, src)
		}
	})
	wg.Wait()
}

func TestHashesNameContent(t *testing.T) {
	both(t, func(t *testing.T, a *Artifact) {
		hash := func(path string) string {
			h, err := a.Hash(path)
			if err != nil || h == "" {
				t.Fatalf("Hash(%s) = %q, %v", path, h, err)
			}
			return h
		}
		if hash("link.yaml") != hash("app.yaml") || hash("dirlink") != hash("base/a") {
			t.Error("a link and its target have different hashes")
		}
		if hash("app.yaml") == hash("run.sh") || hash(".") == hash("base") {
			t.Error("different content has the same hash")
		}
		if _, err := a.Hash("nowhere"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Hash(nowhere): %v", err)
		}
	})
}

func TestALargeFileIsRefusedAndNotRead(t *testing.T) {
	repo := newRepo(t)
	f, err := os.Create(filepath.Join(repo, "large.bin"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(maxFile + 1); err != nil {
		t.Fatal(err)
	}
	f.Close()
	git(t, repo, "add", "-A")
	git(t, repo, "commit", "-qm", "large")
	fetchError(t, open(t, t.TempDir(), Options{URL: repo}), "larger than 64 MiB")
}
