package sources

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Whatever is done to the mirror, the next fetch brings the commit, and what can still be read of the pins is kept.
func TestADamagedMirrorIsMadeAnew(t *testing.T) {
	type mirrorPaths struct{ dir, blob, tree, commit string }
	damages := []struct {
		name     string
		damage   func(t *testing.T, m mirrorPaths)
		keepsPin bool
	}{
		{"HEAD is gone", func(t *testing.T, m mirrorPaths) { remove(t, m.dir+"/HEAD") }, true},
		{"config is gone", func(t *testing.T, m mirrorPaths) { remove(t, m.dir+"/config") }, true},
		{"the branch is empty after a power failure", func(t *testing.T, m mirrorPaths) { truncate(t, m.dir+"/refs/heads/main") }, true},
		{"a blob is gone", func(t *testing.T, m mirrorPaths) { remove(t, m.blob) }, true},
		{"a blob is empty", func(t *testing.T, m mirrorPaths) { truncate(t, m.blob) }, true},
		{"a blob is garbage", func(t *testing.T, m mirrorPaths) { garbage(t, m.blob) }, true},
		{"the tree is gone", func(t *testing.T, m mirrorPaths) { remove(t, m.tree) }, true},
		{"the tree is garbage", func(t *testing.T, m mirrorPaths) { garbage(t, m.tree) }, true},
		{"the commit is gone", func(t *testing.T, m mirrorPaths) { remove(t, m.commit) }, true},
		{"the commit is garbage", func(t *testing.T, m mirrorPaths) { garbage(t, m.commit) }, true},
		{"objects are gone", func(t *testing.T, m mirrorPaths) { remove(t, m.dir+"/objects") }, false},
		{"refs are gone", func(t *testing.T, m mirrorPaths) { remove(t, m.dir+"/refs") }, false},
		{"all is gone", func(t *testing.T, m mirrorPaths) { remove(t, m.dir) }, false},
		{"a stray pack", func(t *testing.T, m mirrorPaths) {
			write(t, m.dir+"/objects/pack/pack-1111111111111111111111111111111111111111.pack", "PACK")
		}, true},
	}
	for _, restart := range []bool{false, true} {
		for _, d := range damages {
			t.Run(fmt.Sprintf("%s, restart %v", d.name, restart), func(t *testing.T) {
				t.Parallel()
				repo, data := newRepo(t), t.TempDir()
				src := open(t, data, Options{URL: repo})
				pinned := commit(t, repo, "old.yaml", "pinned")
				fetch(t, src)
				if err := src.Pin(context.Background(), 3, pinned); err != nil {
					t.Fatal(err)
				}
				git(t, repo, "reset", "-q", "--hard", "HEAD~1")
				head := commit(t, repo, "app.yaml", "two")
				fetch(t, src)
				git(t, repo, "reflog", "expire", "--expire=now", "--all")
				git(t, repo, "gc", "-q", "--prune=now")

				dir := mirrorPath(t, data)
				loose := func(rev string) string {
					h := git(t, repo, "rev-parse", rev)
					return filepath.Join(dir, "objects", h[:2], h[2:])
				}
				d.damage(t, mirrorPaths{dir, loose("HEAD:app.yaml"), loose("HEAD^{tree}"), loose("HEAD")})
				if restart {
					src = open(t, data, Options{URL: repo})
				}
				a := readAll(t, src)
				wantCommit(t, a, head)
				wantFile(t, a, "app.yaml", "two")
				b, err := src.Resolve(context.Background(), pinned)
				if d.keepsPin && err != nil {
					t.Errorf("the pinned commit is lost: %v", err)
				}
				if err == nil {
					wantFile(t, b, "old.yaml", "pinned")
				} else if !errors.Is(err, ErrRevision) {
					t.Errorf("resolve of a lost pin: %v, want ErrRevision", err)
				}
			})
		}
	}
}

// readAll fetches and reads every file; an error when reading must be mended by the next fetch.
func readAll(t *testing.T, src Source) *Artifact {
	t.Helper()
	a := fetch(t, src)
	if _, err := fs.ReadFile(a.Tree, "app.yaml"); err != nil {
		if a = fetch(t, src); a == nil {
			t.Fatal("no artifact")
		}
	}
	return a
}

func remove(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); err != nil {
		t.Fatalf("nothing to damage: %v", err)
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func truncate(t *testing.T, path string) {
	t.Helper()
	os.Chmod(path, 0o600)
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
}

func garbage(t *testing.T, path string) {
	t.Helper()
	os.Chmod(path, 0o600)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(data) / 2; i < len(data); i++ {
		data[i] ^= 0x5a
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWhatAKilledProcessLeftIsRemoved(t *testing.T) {
	repo, data := newRepo(t), t.TempDir()
	fetch(t, open(t, data, Options{URL: repo}))
	dir := mirrorPath(t, data)
	halfClone, halfPack, fresh := dir+".tmp-123", dir+"/objects/pack/tmp_pack_1", dir+".tmp-456"
	for _, name := range []string{halfClone + "/HEAD", halfPack, fresh + "/HEAD"} {
		write(t, name, "half")
	}
	old := time.Now().Add(-2 * time.Hour)
	for _, name := range []string{halfClone, halfPack} {
		if err := os.Chtimes(name, old, old); err != nil {
			t.Fatal(err)
		}
	}
	fetch(t, open(t, data, Options{URL: repo}))
	for _, name := range []string{halfClone, halfPack} {
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there", filepath.Base(name))
		}
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Errorf("a clone that may be under way was removed: %v", err)
	}
}

// The test binary runs itself as a process that fetches in a loop and is killed at random instants.
func TestKilledAtAnyInstant(t *testing.T) {
	if data := os.Getenv("SOURCES_TEST_FETCH"); data != "" {
		for {
			src, err := Open(data, Options{URL: os.Getenv("SOURCES_TEST_REPO")})
			if err != nil {
				panic(err)
			}
			if _, err := src.Fetch(context.Background()); err != nil {
				fmt.Println("FAILED:", err)
			}
		}
	}
	repo, data := newRepo(t), t.TempDir()
	for round := range 25 {
		for i := range 5 {
			write(t, filepath.Join(repo, fmt.Sprintf("f%d.yaml", i)), fmt.Sprint(round, strings.Repeat("x", 5000)))
		}
		head := commit(t, repo, "app.yaml", fmt.Sprint(round))
		if round%5 == 0 {
			os.RemoveAll(filepath.Join(data, "mirrors"))
		}
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledAtAnyInstant$")
		cmd.Env = append(os.Environ(), "SOURCES_TEST_FETCH="+data, "SOURCES_TEST_REPO="+repo)
		var out strings.Builder
		cmd.Stdout = &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(8+round*2) * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
		if strings.Contains(out.String(), "FAILED") {
			t.Fatalf("round %d: %s", round, out.String())
		}
		a := fetch(t, open(t, data, Options{URL: repo}))
		wantCommit(t, a, head)
		wantFile(t, a, "app.yaml", fmt.Sprint(round))
		wantFile(t, a, "f4.yaml", fmt.Sprint(round, strings.Repeat("x", 5000)))
	}
	if broken := list(filepath.Join(data, "mirrors"), "", ".broken"); len(broken) > 0 {
		t.Errorf("a killed process left a damaged mirror: %v", broken)
	}
}

func TestBranchesThatStandInEachOthersWay(t *testing.T) {
	repo, data := newRepo(t), t.TempDir()
	git(t, repo, "checkout", "-qb", "release")
	fetch(t, open(t, data, Options{URL: repo}))
	git(t, repo, "branch", "-m", "release", "release/1.x")
	if a := fetch(t, open(t, data, Options{URL: repo})); !strings.HasPrefix(a.Revision, "release/1.x@") {
		t.Errorf("revision = %s", a.Revision)
	}
	git(t, repo, "branch", "-m", "release/1.x", "release")
	if a := fetch(t, open(t, data, Options{URL: repo})); !strings.HasPrefix(a.Revision, "release@") {
		t.Errorf("revision = %s", a.Revision)
	}
}

// Thousands of deployments must not leave thousands of packs or files.
func TestCompactKeepsEverything(t *testing.T) {
	repo, data := newRepo(t), t.TempDir()
	src := open(t, data, Options{URL: repo})
	var heads []string
	for i := range 30 {
		for j := range 10 {
			write(t, filepath.Join(repo, fmt.Sprintf("f%d.yaml", j)), fmt.Sprint(i, j))
		}
		heads = append(heads, commit(t, repo, "app.yaml", fmt.Sprint(i)))
		fetch(t, src)
	}
	m, err := openMirror(mirrorPath(t, data))
	if err != nil {
		t.Fatal(err)
	}
	hashes, _ := m.looseObjects()
	if len(hashes) < 300 {
		t.Fatalf("only %d loose objects: nothing to compact", len(hashes))
	}
	_, packs := m.count()
	if err := m.repack(packs); err != nil {
		t.Fatal(err)
	}
	if left, _ := m.looseObjects(); len(left) != 0 {
		t.Errorf("%d loose objects are left", len(left))
	}
	// The source does not know that another process compacted.
	for i, head := range heads {
		wantFile(t, resolve(t, src, head), "app.yaml", fmt.Sprint(i))
	}
	git(t, m.dir, "fsck", "--strict")
	commit(t, repo, "app.yaml", "after")
	fetch(t, src)
	_, packs = m.count()
	if err := m.repack(packs); err != nil {
		t.Fatal(err)
	}
	if _, packs = m.count(); len(packs) != 1 {
		t.Errorf("%d packs after compacting, want one", len(packs))
	}
	if err := m.repack(packs); err != nil {
		t.Fatalf("repack with nothing loose: %v", err)
	}
	wantFile(t, fetch(t, open(t, data, Options{URL: repo})), "app.yaml", "after")
	git(t, m.dir, "fsck", "--strict")
}

func TestGitCanReadTheMirror(t *testing.T) {
	repo, data := newRepo(t), t.TempDir()
	for i := range 70 {
		commit(t, repo, "app.yaml", fmt.Sprint(i))
	}
	src := open(t, data, Options{URL: repo})
	fetch(t, src)
	dir := mirrorPath(t, data)
	if got := git(t, dir, "cat-file", "blob", "HEAD:app.yaml"); got != "69" {
		t.Errorf("app.yaml = %q", got)
	}
	git(t, dir, "fsck", "--strict")
	if n := len(strings.Fields(git(t, dir, "rev-list", "HEAD"))); n != historyDepth {
		t.Errorf("the mirror has %d commits, want %d", n, historyDepth)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mirror is readable by others: %v %v", info.Mode(), err)
	}
}

func TestPinRefusesWhatIsNotHere(t *testing.T) {
	src := open(t, t.TempDir(), Options{URL: newRepo(t)})
	fetch(t, src)
	mustSay(t, src.Pin(context.Background(), 1, strings.Repeat("a", 40)), "is not here")
	mustSay(t, src.Pin(context.Background(), 1, "main"), "not a full commit hash")
}
