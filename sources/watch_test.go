package sources

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// changed waits for a signal; a watched change must be signalled within a second even on a busy machine.
func changed(t *testing.T, changes <-chan struct{}) {
	t.Helper()
	select {
	case _, ok := <-changes:
		if !ok {
			t.Fatal("the channel is closed")
		}
	case <-time.After(5 * time.Second):
		t.Fatal("no signal within 5 s")
	}
}

// settle waits until no more signals come.
func settle(changes <-chan struct{}) (signals int) {
	for {
		select {
		case <-changes:
			signals++
		case <-time.After(200 * time.Millisecond):
			return signals
		}
	}
}

func subscribe(t *testing.T, src Source) <-chan struct{} {
	t.Helper()
	changes, err := src.Changes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

// After each change the fetch that follows the last signal must find the commit.
func TestChangesOfARepositoryAreSignalled(t *testing.T) {
	repo := newRepo(t)
	bare := filepath.Join(t.TempDir(), "bare.git")
	git(t, repo, "clone", "-q", "--bare", ".", bare)
	git(t, repo, "remote", "add", "origin", bare)
	linked := filepath.Join(t.TempDir(), "linked")
	git(t, repo, "worktree", "add", "-q", "-b", "linked", linked)
	cases := []struct {
		name, url, branch string
		change            func(t *testing.T) string // returns the commit
	}{
		{"commit in a work tree", repo, "", func(t *testing.T) string { return commit(t, repo, "app.yaml", "two") }},
		{"push to a bare repository", bare, "", func(t *testing.T) string {
			push(t, repo, "HEAD:main")
			return git(t, repo, "rev-parse", "HEAD")
		}},
		{"push of a new nested branch", bare, "release/2026/1.x", func(t *testing.T) string {
			push(t, repo, "HEAD:release/2026/1.x")
			return git(t, repo, "rev-parse", "HEAD")
		}},
		{"commit, then pack-refs", repo, "", func(t *testing.T) string {
			h := commit(t, repo, "app.yaml", "three")
			git(t, repo, "pack-refs", "--all", "--prune")
			return h
		}},
		{"amend of a packed branch", repo, "", func(t *testing.T) string {
			git(t, repo, "commit", "-q", "--amend", "-m", "amended")
			return git(t, repo, "rev-parse", "HEAD")
		}},
		{"commit in a linked work tree", linked, "", func(t *testing.T) string { return commit(t, linked, "app.yaml", "linked") }},
		{"another branch checked out in a linked work tree", linked, "", func(t *testing.T) string {
			git(t, linked, "checkout", "-q", "-b", "other", "HEAD~1")
			return git(t, linked, "rev-parse", "HEAD")
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			src := open(t, t.TempDir(), Options{URL: c.url, Branch: c.branch})
			changes := subscribe(t, src)
			src.Fetch(context.Background()) // the branch may not be there yet
			want := c.change(t)
			changed(t, changes)
			settle(changes)
			wantCommit(t, fetch(t, src), want)
		})
	}
}

func TestABurstIsFewSignals(t *testing.T) {
	repo := newRepo(t)
	hashes := []string{commit(t, repo, "app.yaml", "a"), commit(t, repo, "app.yaml", "b")}
	changes := subscribe(t, open(t, t.TempDir(), Options{URL: repo}))
	start := time.Now()
	for i := range 200 {
		write(t, filepath.Join(repo, ".git/refs/heads/burst"), hashes[i%2]+"\n")
	}
	// One signal each 20 ms at most, besides the first and the last.
	limit := int(time.Since(start)/gitDebounce.max) + 3
	if n := settle(changes); n == 0 || n > limit {
		t.Errorf("200 updates gave %d signals, want 1 to %d", n, limit)
	}
}

func TestNothingIsSignalledWhileNothingHappens(t *testing.T) {
	changes := subscribe(t, open(t, t.TempDir(), Options{URL: newRepo(t)}))
	if n := settle(changes); n > 0 {
		t.Errorf("%d signals", n)
	}
}

func TestChangesOfADirectoryAreSignalled(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a/b/c.yaml"), "one")
	src := open(t, t.TempDir(), Options{URL: dir})
	changes := subscribe(t, src)
	fetch(t, src)
	steps := []struct {
		name string
		do   func()
		read string
	}{
		{"write", func() { write(t, filepath.Join(dir, "a/b/c.yaml"), "write") }, "a/b/c.yaml"},
		{"new file", func() { write(t, filepath.Join(dir, "new.yaml"), "new file") }, "new.yaml"},
		{"new directories at once", func() { write(t, filepath.Join(dir, "x/y/z/f.yaml"), "new directories at once") }, "x/y/z/f.yaml"},
		{"write there", func() { write(t, filepath.Join(dir, "x/y/z/f.yaml"), "write there") }, "x/y/z/f.yaml"},
		{"rename over", func() {
			write(t, filepath.Join(dir, "tmp"), "rename over")
			os.Rename(filepath.Join(dir, "tmp"), filepath.Join(dir, "new.yaml"))
		}, "new.yaml"},
		{"directory moved in", func() {
			outside := t.TempDir()
			write(t, filepath.Join(outside, "in/f.yaml"), "directory moved in")
			os.Rename(filepath.Join(outside, "in"), filepath.Join(dir, "in"))
		}, "in/f.yaml"},
		{"write in what was moved", func() { write(t, filepath.Join(dir, "in/f.yaml"), "write in what was moved") }, "in/f.yaml"},
	}
	for _, s := range steps {
		s.do()
		changed(t, changes)
		settle(changes)
		wantFile(t, fetch(t, src), s.read, s.name)
	}
}

func TestADirectoryThatGoesAndComesBackIsWatchedAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	write(t, filepath.Join(dir, "a.yaml"), "one")
	src := open(t, t.TempDir(), Options{URL: dir})
	changes := subscribe(t, src)
	os.RemoveAll(dir)
	changed(t, changes)
	settle(changes)
	write(t, filepath.Join(dir, "a.yaml"), "two")
	select {
	case <-changes:
	case <-time.After(2 * rewatchInterval):
		t.Fatal("no signal after the directory came back")
	}
	settle(changes)
	write(t, filepath.Join(dir, "a.yaml"), "three")
	changed(t, changes)
	settle(changes)
	wantFile(t, fetch(t, src), "a.yaml", "three")
}

func TestTheWatchEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	before := openFiles(t)
	changes, err := open(t, t.TempDir(), Options{URL: newRepo(t)}).Changes(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	for range changes {
	}
	deadline := time.Now().Add(5 * time.Second)
	for openFiles(t) > before && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if n := openFiles(t) - before; n > 0 {
		t.Errorf("%d files are still open", n)
	}
}

func TestLimitsOfTheKernelAreNamed(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EMFILE} {
		err := watchError(fmt.Errorf("inotify: %w", errno))
		mustSay(t, err, "fs.inotify.max_user_watches", "polled")
		if !errors.Is(repoURL{}.clean(err), ErrWatchLimit) {
			t.Errorf("errors.Is(%v, ErrWatchLimit) = false", err)
		}
	}
	if err := watchError(syscall.EACCES); errors.Is(err, ErrWatchLimit) {
		t.Errorf("%v is called a limit", err)
	}
}

// How long it takes from the moment a ref has changed until it is fetched: the budget is 150 ms to the first engine call.
func TestCommitToFetchIsQuick(t *testing.T) {
	repo := newRepo(t)
	src := open(t, t.TempDir(), Options{URL: repo})
	changes := subscribe(t, src)
	fetch(t, src)
	var took []time.Duration
	for i := range 15 {
		settle(changes)
		head := commit(t, repo, "app.yaml", fmt.Sprint(i))
		start := time.Now() // git has returned: the ref changed some milliseconds ago
		for fetch(t, src).Commit.Hash != head {
			changed(t, changes)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	t.Logf("from the end of git commit to the artifact: median %v, worst %v", took[len(took)/2], took[len(took)-1])
	if median := took[len(took)/2]; median > 100*time.Millisecond {
		t.Errorf("median = %v, want at most 100 ms", median)
	}
}
