package sources

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestWorkTreeIsReadFromItsCommit(t *testing.T) {
	repo := newRepo(t)
	head := git(t, repo, "rev-parse", "HEAD")
	write(t, filepath.Join(repo, "app.yaml"), "not committed")
	src := open(t, t.TempDir(), Options{URL: repo})
	a := fetch(t, src)
	if a.Revision != "main@sha1:"+head {
		t.Errorf("revision = %s, want main@sha1:%s", a.Revision, head)
	}
	c := a.Commit
	if c.Author != "Ann" || c.Email != "ann@example.org" || c.Subject != "set app.yaml to one" || time.Since(c.When) > time.Hour {
		t.Errorf("commit = %+v", c)
	}
	wantFile(t, a, "app.yaml", "one")
	if again := fetch(t, src); again != a {
		t.Error("a fetch without news returned another artifact")
	}
	if src.String() != repo {
		t.Errorf("String() = %s, want %s", src, repo)
	}
}

// Each change is one that a real git client makes; afterwards the newest commit and its content must be fetched.
func TestChangesOfALocalRepository(t *testing.T) {
	changes := []struct {
		name   string
		change func(t *testing.T, repo string)
	}{
		{"commit", func(t *testing.T, repo string) { commit(t, repo, "app.yaml", "two") }},
		{"commit --amend", func(t *testing.T, repo string) {
			write(t, filepath.Join(repo, "app.yaml"), "two")
			git(t, repo, "commit", "-qa", "--amend", "-m", "amended")
		}},
		{"reset to the commit before", func(t *testing.T, repo string) {
			commit(t, repo, "app.yaml", "two")
			git(t, repo, "reset", "-q", "--hard", "HEAD~1")
		}},
		{"revert", func(t *testing.T, repo string) {
			commit(t, repo, "app.yaml", "two")
			git(t, repo, "revert", "--no-edit", "HEAD")
		}},
		{"pack-refs", func(t *testing.T, repo string) {
			commit(t, repo, "app.yaml", "two")
			git(t, repo, "pack-refs", "--all", "--prune")
		}},
		{"gc", func(t *testing.T, repo string) {
			commit(t, repo, "app.yaml", "two")
			git(t, repo, "gc", "-q", "--aggressive", "--prune=now")
		}},
		{"merge", func(t *testing.T, repo string) {
			git(t, repo, "checkout", "-qb", "side")
			commit(t, repo, "side.yaml", "side")
			git(t, repo, "checkout", "-q", "main")
			commit(t, repo, "app.yaml", "two")
			git(t, repo, "merge", "-q", "--no-edit", "side")
		}},
		{"another branch checked out", func(t *testing.T, repo string) {
			git(t, repo, "checkout", "-qb", "release/1.x")
			commit(t, repo, "app.yaml", "two")
		}},
		{"HEAD detached", func(t *testing.T, repo string) {
			commit(t, repo, "app.yaml", "two")
			git(t, repo, "checkout", "-q", "--detach", "HEAD~1")
		}},
		{"2000 files", func(t *testing.T, repo string) {
			for i := range 2000 {
				write(t, filepath.Join(repo, fmt.Sprintf("d%d/f%d.yaml", i%20, i)), fmt.Sprint(i))
			}
			git(t, repo, "add", "-A")
			git(t, repo, "commit", "-qm", "many")
		}},
	}
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			repo := newRepo(t)
			src := open(t, t.TempDir(), Options{URL: repo})
			fetch(t, src)
			c.change(t, repo)
			a := fetch(t, src)
			wantCommit(t, a, git(t, repo, "rev-parse", "HEAD"))
			wantFile(t, a, "app.yaml", git(t, repo, "show", "HEAD:app.yaml"))
		})
	}
}

func TestKindsOfLocalRepository(t *testing.T) {
	kinds := []struct {
		name string
		make func(t *testing.T, repo string) string // returns the URL
	}{
		{"work tree", func(t *testing.T, repo string) string { return repo }},
		{".git directory", func(t *testing.T, repo string) string { return filepath.Join(repo, ".git") }},
		{"file URL", func(t *testing.T, repo string) string { return "file://" + repo }},
		{"file URL with odd characters", func(t *testing.T, repo string) string {
			odd := filepath.Join(filepath.Dir(repo), "a 'b';$(touch x)&#%.git")
			git(t, repo, "clone", "-q", "--bare", ".", odd)
			return "file://" + strings.NewReplacer("%", "%25", " ", "%20", "#", "%23", ";", "%3B").Replace(odd)
		}},
		{"bare clone", func(t *testing.T, repo string) string {
			git(t, repo, "clone", "-q", "--bare", ".", "../bare.git")
			return filepath.Join(filepath.Dir(repo), "bare.git")
		}},
		{"clone with relative alternates", func(t *testing.T, repo string) string {
			git(t, repo, "clone", "-q", "--shared", ".", "../shared")
			write(t, filepath.Join(repo, "../shared/.git/objects/info/alternates"), "../../../repo/.git/objects\n")
			return filepath.Join(filepath.Dir(repo), "shared")
		}},
		{"clone with absolute alternates", func(t *testing.T, repo string) string {
			git(t, repo, "clone", "-q", "--shared", ".", "../shared")
			return filepath.Join(filepath.Dir(repo), "shared")
		}},
		{"linked work tree", func(t *testing.T, repo string) string {
			git(t, repo, "worktree", "add", "-q", "-b", "linked", "../linked")
			return filepath.Join(filepath.Dir(repo), "linked")
		}},
		{"shallow clone", func(t *testing.T, repo string) string {
			commit(t, repo, "b.yaml", "b")
			git(t, repo, "clone", "-q", "--depth", "1", "file://"+repo, "../shallow")
			return filepath.Join(filepath.Dir(repo), "shallow")
		}},
		{"objects behind a symbolic link", func(t *testing.T, repo string) string {
			outside := filepath.Join(filepath.Dir(repo), "objects")
			if err := os.Rename(filepath.Join(repo, ".git/objects"), outside); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(outside, filepath.Join(repo, ".git/objects")); err != nil {
				t.Fatal(err)
			}
			return repo
		}},
		{"packed, with a multi-pack index", func(t *testing.T, repo string) string {
			git(t, repo, "repack", "-qad")
			git(t, repo, "multi-pack-index", "write")
			return repo
		}},
		{"owned by somebody else", func(t *testing.T, repo string) string {
			if os.Getuid() != 0 {
				return repo // only root can give a repository away
			}
			if err := os.Chown(filepath.Join(repo, ".git"), 12345, 12345); err != nil {
				t.Fatal(err)
			}
			return repo
		}},
	}
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			src := open(t, t.TempDir(), Options{URL: k.make(t, newRepo(t))})
			wantFile(t, fetch(t, src), "app.yaml", "one")
		})
	}
}

func TestNoGitBinaryIsNeeded(t *testing.T) {
	repo := newRepo(t)
	t.Setenv("PATH", "/nonexistent")
	for _, url := range []string{repo, "file://" + repo} {
		wantFile(t, fetch(t, open(t, t.TempDir(), Options{URL: url})), "app.yaml", "one")
	}
}

func TestRevisionsOutliveTheRepository(t *testing.T) {
	repo := newRepo(t)
	src := open(t, t.TempDir(), Options{URL: repo})
	old := commit(t, repo, "app.yaml", "deployed")
	fetch(t, src)
	if err := src.Pin(context.Background(), 7, old); err != nil {
		t.Fatal(err)
	}
	git(t, repo, "reset", "-q", "--hard", "HEAD~1")
	forced := commit(t, repo, "app.yaml", "forced")
	git(t, repo, "reflog", "expire", "--expire=now", "--all")
	git(t, repo, "gc", "-q", "--prune=now")
	wantCommit(t, fetch(t, src), forced)
	for _, rev := range []string{old, old[:8], "refs/podyard/deployed/7", "podyard/deployed/7"} {
		wantFile(t, resolve(t, src, rev), "app.yaml", "deployed")
	}
	if err := os.RemoveAll(repo); err != nil {
		t.Fatal(err)
	}
	wantFile(t, resolve(t, src, old), "app.yaml", "deployed")
	err := fetchError(t, src, "repository not found")
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("errors.Is(%v, ErrNotFound) = false", err)
	}
}

func TestLocalErrorsSayWhatToDo(t *testing.T) {
	empty := t.TempDir()
	git(t, empty, "init", "-q")
	bare := t.TempDir()
	git(t, bare, "init", "-q", "--bare")
	repo := newRepo(t)
	git(t, repo, "branch", "staging")
	commit(t, repo, "apps/web/web.yaml", "web")
	file := filepath.Join(repo, "app.yaml")
	sha256 := t.TempDir()
	git(t, sha256, "init", "-q", "--object-format=sha256")
	reftable := newRepo(t)
	git(t, reftable, "config", "core.repositoryformatversion", "1")
	git(t, reftable, "config", "extensions.refstorage", "reftable")
	plain := t.TempDir()
	cases := []struct {
		name string
		opts Options
		kind error
		want []string
	}{
		{"no commit yet", Options{URL: empty}, ErrEmpty, []string{"repository is empty", "commit and push something"}},
		{"bare without commit", Options{URL: bare}, ErrEmpty, []string{"repository is empty"}},
		{"no such branch", Options{URL: repo, Branch: "prod"}, ErrBranch, []string{`no branch "prod"`, "main, staging"}},
		{"no such path", Options{URL: repo + "/nowhere"}, ErrNotFound, []string{"not found", "give the path"}},
		{"a file", Options{URL: file}, nil, []string{"not a directory"}},
		{"inside a repository", Options{URL: repo + "/apps/web"}, nil, []string{"--repo " + repo + " --path apps/web"}},
		{"sha256", Options{URL: sha256}, nil, []string{"sha256 is not supported"}},
		{"reftable", Options{URL: reftable}, nil, []string{"git refs migrate"}},
		{"plain directory with a branch", Options{URL: plain, Branch: "main"}, nil, []string{"no branch"}},
		{"plain directory as file URL", Options{URL: "file://" + plain}, nil, []string{"not a git repository"}},
		{"bad branch", Options{URL: repo, Branch: "--upload-pack=x"}, nil, []string{"not a valid branch name"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			src, err := Open(t.TempDir(), c.opts)
			if err == nil {
				_, err = src.Fetch(context.Background())
			}
			mustSay(t, err, c.want...)
			if c.kind != nil && !errors.Is(err, c.kind) {
				t.Errorf("errors.Is(%v, %v) = false", err, c.kind)
			}
		})
	}
}

func TestASingleBranchIsTakenWhereHeadNamesNone(t *testing.T) {
	repo := newRepo(t)
	bare := filepath.Join(t.TempDir(), "bare.git")
	git(t, repo, "init", "-q", "--bare", bare)
	git(t, bare, "symbolic-ref", "HEAD", "refs/heads/master")
	git(t, repo, "push", "-q", bare, "main")
	if a := fetch(t, open(t, t.TempDir(), Options{URL: bare})); !strings.HasPrefix(a.Revision, "main@") {
		t.Errorf("revision = %s, want main@…", a.Revision)
	}
	git(t, repo, "push", "-q", bare, "main:other")
	fetchError(t, open(t, t.TempDir(), Options{URL: bare}), "choose one with --branch: main, other")
}

func TestDamageOfTheRepositoryIsNotBlamedOnTheMirror(t *testing.T) {
	repo := newRepo(t)
	blob := git(t, repo, "rev-parse", "HEAD:app.yaml")
	if err := os.Remove(filepath.Join(repo, ".git/objects", blob[:2], blob[2:])); err != nil {
		t.Fatal(err)
	}
	fetchError(t, open(t, t.TempDir(), Options{URL: repo}), "run git fsck there", blob)
}

func TestFetchOfALocalRepositoryIsFast(t *testing.T) {
	repo := newRepo(t)
	src := open(t, t.TempDir(), Options{URL: repo})
	fetch(t, src)
	best := time.Hour
	for range 20 {
		start := time.Now()
		fetch(t, src)
		best = min(best, time.Since(start))
	}
	// About 0.1 ms on an idle machine; the bound only catches another order of magnitude.
	if best > 5*time.Millisecond {
		t.Errorf("a fetch without news takes %v", best)
	}
	t.Logf("fetch without news: %v", best)
}

func BenchmarkFetchWithoutNews(b *testing.B) {
	src := open(b, b.TempDir(), Options{URL: newRepo(b)})
	fetch(b, src)
	for b.Loop() {
		fetch(b, src)
	}
}

func BenchmarkFetchOneCommit(b *testing.B) {
	repo := newRepo(b)
	src := open(b, b.TempDir(), Options{URL: repo})
	fetch(b, src)
	n := 0
	for b.Loop() {
		b.StopTimer()
		n++
		commit(b, repo, "app.yaml", fmt.Sprint(n))
		b.StartTimer()
		fetch(b, src)
	}
}
