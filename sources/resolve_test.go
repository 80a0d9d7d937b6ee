package sources

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The answers are those of git rev-parse, as far as the names are allowed here.
func TestRevisionsAreFoundAsGitFindsThem(t *testing.T) {
	repo := newRepo(t)
	for i := range 5 {
		commit(t, repo, "app.yaml", fmt.Sprint(i))
	}
	git(t, repo, "checkout", "-q", "-b", "feature/x", "HEAD~2")
	commit(t, repo, "side.yaml", "side")
	git(t, repo, "checkout", "-q", "main")
	git(t, repo, "merge", "-q", "--no-edit", "feature/x")
	git(t, repo, "tag", "-a", "v1", "-m", "annotated", "HEAD~3")
	git(t, repo, "tag", "-a", "v1-again", "-m", "tag of a tag", "v1")
	git(t, repo, "tag", "light", "HEAD~1")
	git(t, repo, "tag", "beef") // a name that might be a hash
	src := open(t, t.TempDir(), Options{URL: repo})
	fetch(t, src)
	head := git(t, repo, "rev-parse", "HEAD")
	for _, rev := range []string{
		"HEAD", "@", "HEAD~", "HEAD~2", "HEAD^", "HEAD^2", "HEAD^2~1", "HEAD~1^1", "HEAD^0", "main", "main~3", "feature/x", "feature/x~",
		"v1", "v1~1", "v1-again", "light", "beef", "refs/heads/main", "refs/tags/v1", "heads/main", "tags/v1", head, head[:7], head[:12] + "~1",
		strings.ToUpper(head),
	} {
		want := git(t, repo, "rev-parse", rev+"^{commit}")
		if a := resolve(t, src, rev); a.Commit.Hash != want {
			t.Errorf("%s = %s, want %s", rev, a.Commit.Hash, want)
		}
	}
	for rev, want := range map[string]string{
		"main@sha1:" + head: "main@sha1:" + head, "sha1:" + head[:10]: "main@sha1:" + head, head: "main@sha1:" + head,
		"HEAD": "main@sha1:" + head, "feature/x": "feature/x@sha1:" + git(t, repo, "rev-parse", "feature/x"),
	} {
		if a := resolve(t, src, rev); a.Revision != want {
			t.Errorf("the revision of %s is %s, want %s", rev, a.Revision, want)
		}
	}
}

func TestRevisionsThatAreRefused(t *testing.T) {
	repo := newRepo(t)
	head := git(t, repo, "rev-parse", "HEAD")
	// As a rejected push leaves it: the object is there, but no ref reaches it.
	unreached := git(t, repo, "commit-tree", "-p", "HEAD", "-m", "rejected", "HEAD^{tree}")
	git(t, repo, "update-ref", "refs/remotes/origin/main", git(t, repo, "commit-tree", "-m", "elsewhere", "HEAD^{tree}"))
	elsewhere := git(t, repo, "rev-parse", "refs/remotes/origin/main")
	src := open(t, t.TempDir(), Options{URL: repo})
	_, err := src.Resolve(context.Background(), "HEAD")
	mustSay(t, err, "nothing has been fetched yet")
	fetch(t, src)
	for rev, want := range map[string]string{
		"nowhere": "no branch or tag", "HEAD~1": "0 parents", "HEAD^2": "0 parents", "HEAD~99999": "", unreached: "reaches",
		unreached[:10]: "reaches", elsewhere: "reaches", "refs/remotes/origin/main": "no branch or tag", "origin/main": "no branch or tag",
		"": "is empty", "-x": "start with -", "--upload-pack=x": "start with -", "a..b": "not a name that can be looked up", "main:app.yaml": "", "../../HEAD": "",
		"HEAD\n": "line breaks", "@{-1}": "", "main@{1}": "", ":/set": "", "refs/../config": "", "config": "no branch or tag",
		strings.Repeat("0", 40): "reaches", "abc": "no branch or tag",
	} {
		a, err := src.Resolve(context.Background(), rev)
		if !errors.Is(err, ErrRevision) {
			t.Errorf("%q = %v, %v, want ErrRevision", rev, a, err)
		} else {
			mustSay(t, err, want)
		}
	}
	wantCommit(t, resolve(t, src, head), head)
}

func TestAnAmbiguousHashIsRefused(t *testing.T) {
	repo := newRepo(t)
	byPrefix := map[string]bool{}
	prefix := ""
	// Some hundred commits share their first four digits sooner or later (birthday: 65536 values).
	script := new(strings.Builder)
	for i := range 1500 {
		fmt.Fprintf(script, "commit refs/heads/many\ncommitter A <a@b> %d +0000\ndata 1\nx\n", i)
	}
	gitStdin(t, repo, script.String(), "fast-import", "--quiet")
	for _, h := range strings.Fields(git(t, repo, "rev-list", "many")) {
		if byPrefix[h[:4]] {
			prefix = h[:4]
		}
		byPrefix[h[:4]] = true
	}
	if prefix == "" {
		t.Fatal("no two commits share four digits; make more")
	}
	src := open(t, t.TempDir(), Options{URL: repo})
	fetch(t, src)
	_, err := src.Resolve(context.Background(), prefix)
	mustSay(t, err, "several commits start with "+prefix, "more digits")
}

// A local repository has more history than the mirror, and it can be gone back to.
func TestOldCommitsOfALocalRepository(t *testing.T) {
	repo := newRepo(t)
	first := git(t, repo, "rev-parse", "HEAD")
	for i := range historyDepth + 10 {
		commit(t, repo, "app.yaml", fmt.Sprint(i))
	}
	data := t.TempDir()
	src := open(t, data, Options{URL: repo})
	fetch(t, src)
	if _, err := os.Stat(filepath.Join(mirrorPath(t, data), "objects", first[:2], first[2:])); err == nil {
		t.Fatal("the first commit is in the mirror: nothing to test")
	}
	for _, rev := range []string{first, fmt.Sprintf("HEAD~%d", historyDepth+10)} {
		a := resolve(t, src, rev)
		wantCommit(t, a, first)
		wantFile(t, a, "app.yaml", "one")
	}
	if err := src.Pin(context.Background(), 9, first); err != nil {
		t.Fatal(err)
	}
	os.RemoveAll(repo)
	wantFile(t, resolve(t, src, first), "app.yaml", "one")
}
