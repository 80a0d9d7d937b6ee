package sources

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
)

// repository is where git keeps things: they differ only for a linked work tree.
type repository struct {
	gitDir string // HEAD
	common string // refs and objects
	bare   bool
}

// findRepository looks for a repository at exactly this path: a work tree, a linked work tree, or a bare one. It reads
// the files itself: no git binary is needed, and it does not matter who owns them.
func findRepository(path string) (repository, error) {
	dotGit := filepath.Join(path, ".git")
	info, err := os.Stat(dotGit)
	switch {
	case err == nil && info.IsDir():
		return checkRepository(repository{gitDir: dotGit, common: dotGit})
	case err == nil:
		return linkedRepository(path, dotGit)
	case !errors.Is(err, fs.ErrNotExist):
		return repository{}, fmt.Errorf("open repository: %w", err)
	}
	for _, part := range []string{"HEAD", "objects", "refs"} {
		if _, err := os.Stat(filepath.Join(path, part)); err != nil {
			return repository{}, fmt.Errorf("%w: %s", ErrNotFound, path)
		}
	}
	return checkRepository(repository{gitDir: path, common: path, bare: true})
}

// linkedRepository follows "gitdir: path" in the .git file of a linked work tree or a submodule, and its commondir.
func linkedRepository(path, file string) (repository, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return repository{}, fmt.Errorf("open repository: %w", err)
	}
	target, ok := strings.CutPrefix(strings.TrimSpace(string(data)), "gitdir: ")
	if !ok {
		return repository{}, fmt.Errorf("%w: %s is not a .git file", ErrNotFound, file)
	}
	r := repository{gitDir: absolute(path, target)}
	r.common = r.gitDir
	if data, err := os.ReadFile(filepath.Join(r.gitDir, "commondir")); err == nil {
		r.common = absolute(r.gitDir, strings.TrimSpace(string(data)))
	}
	return checkRepository(r)
}

func absolute(base, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(base, path)
}

// checkRepository refuses formats that go-git would misread.
func checkRepository(r repository) (repository, error) {
	f, err := os.Open(filepath.Join(r.common, "config"))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("open repository: %w", err)
	}
	defer f.Close()
	cfg, err := config.ReadConfig(f)
	if err != nil {
		// Something in it that go-git does not understand says nothing about the format.
		return r, nil
	}
	extensions := cfg.Raw.Section("extensions")
	if format := extensions.Option("objectformat"); format != "" && format != "sha1" {
		return r, fmt.Errorf("open repository %s: object format %s is not supported, only sha1", r.common, format)
	}
	if format := extensions.Option("refstorage"); format != "" && format != "files" {
		return r, fmt.Errorf("open repository %s: ref format %s is not supported; run git refs migrate --ref-format=files", r.common, format)
	}
	return r, nil
}

// head reads HEAD: the full name of a branch, or a hash if it is detached.
func (r repository) head() (branch string, detached plumbing.Hash) {
	data, err := os.ReadFile(filepath.Join(r.gitDir, "HEAD"))
	if err != nil {
		return "", plumbing.ZeroHash
	}
	text := strings.TrimSpace(string(data))
	if target, ok := strings.CutPrefix(text, "ref:"); ok {
		return strings.TrimSpace(target), plumbing.ZeroHash
	}
	if plumbing.IsHash(text) {
		detached = plumbing.NewHash(text)
	}
	return "", detached
}

// tip finds the commit to follow.
func (r repository) tip(st *store, want string) (tip, error) {
	head, detached := r.head()
	if want == "" && !detached.IsZero() {
		return tip{"HEAD", detached}, nil
	}
	name := head
	if want != "" {
		name = "refs/heads/" + want
	}
	if h, ok := st.ref(name); ok && strings.HasPrefix(name, "refs/heads/") {
		return tip{strings.TrimPrefix(name, "refs/heads/"), h}, nil
	}
	refs, err := st.refs("refs/heads/")
	if err != nil {
		return tip{}, err
	}
	var branches []string
	for _, ref := range refs {
		branches = append(branches, ref.Name().Short())
	}
	branch, err := chooseBranch(want, head, branches)
	if err != nil {
		return tip{}, err
	}
	h, _ := st.ref("refs/heads/" + branch)
	return tip{branch, h}, nil
}

// holds tells whether the commit at HEAD has a directory of that name.
func (r repository) holds(sub string) bool {
	st := newStore(r.common)
	t, err := r.tip(st, "")
	if err != nil {
		return false
	}
	c, err := st.commit(t.hash)
	if err != nil {
		return false
	}
	m := &mirror{store: st}
	_, err = fs.Stat(newTree(m, objectID(c.TreeHash.String()), time.Time{}), sub)
	return err == nil
}

// local is a repository on this machine. Its commits are copied into the mirror, so that revisions outlive a force-push
// and gc there.
type local struct {
	path string
}

// update implements origin. Nothing new costs two small files read.
func (l *local) update(ctx context.Context, m *mirror, branch string) (tip, error) {
	r, err := findRepository(l.path)
	if err != nil {
		return tip{}, err
	}
	from := newStore(r.common)
	t, err := r.tip(from, branch)
	if err != nil {
		return tip{}, err
	}
	return t, l.bring(ctx, m, from, t)
}

func (l *local) bring(ctx context.Context, m *mirror, from *store, t tip) error {
	name := "refs/heads/" + t.name
	if t.name == "HEAD" {
		name = "refs/podyard/head"
	}
	if h, ok := m.ref(name); ok && h == t.hash && m.has(h) {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := l.copy(m, from, t.hash, historyDepth); err != nil {
		return err
	}
	return m.remember(t)
}

// copy tells damage of the repository, which only its owner can mend, from damage of the mirror.
func (l *local) copy(m *mirror, from *store, h plumbing.Hash, depth int) error {
	err := copyCommits(m, from, h, depth)
	if errors.Is(err, errDamaged) || errors.Is(err, plumbing.ErrObjectNotFound) {
		return fmt.Errorf("the repository is damaged or a partial clone (run git fsck there): %v", err)
	}
	return err
}

// resolve implements origin: the repository itself has more branches, tags and history than the mirror; the mirror has
// what was deployed and is gone there.
func (l *local) resolve(ctx context.Context, m *mirror, rev string, head tip) (tip, error) {
	inMirror, mirrorErr := m.resolve(ctx, rev, head)
	if mirrorErr == nil && len(rev) >= 40 && plumbing.IsHash(rev[len(rev)-40:]) {
		// A full hash means the same everywhere, and the mirror is the shorter walk.
		return inMirror, nil
	}
	r, err := findRepository(l.path)
	if err != nil {
		return inMirror, mirrorErr
	}
	from := newStore(r.common)
	found, err := from.resolve(ctx, rev, head)
	if err != nil && mirrorErr == nil {
		return inMirror, nil
	}
	if err != nil {
		return tip{}, err
	}
	if !m.has(found.hash) {
		if err := l.copy(m, from, found.hash, 1); err != nil {
			return tip{}, err
		}
	}
	return found, nil
}

// changes implements origin.
func (l *local) changes(ctx context.Context) (<-chan struct{}, error) {
	return watchRepository(ctx, l.path)
}
