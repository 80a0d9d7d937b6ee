package sources

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// origin is where a mirror gets its commits from: a server, or a repository on this machine.
type origin interface {
	// update brings the newest commit of the branch into the mirror, sets its refs and returns what it found. An empty
	// branch means the one that HEAD names.
	update(ctx context.Context, m *mirror, branch string) (tip, error)
	// resolve finds a commit that is not in the mirror, without the network, and brings it there. ErrRevision if there
	// is none.
	resolve(ctx context.Context, m *mirror, rev string, head tip) (tip, error)
	// changes signals that update may find something new.
	changes(ctx context.Context) (<-chan struct{}, error)
}

// tip is a commit and the name by which it was found, main or v1.2; the name is empty for a bare hash.
type tip struct {
	name string
	hash plumbing.Hash
}

// revision is Flux's form: main@sha1:5394cb7f…, or sha1:5394cb7f… without a name.
func (t tip) revision() string {
	if t.name == "" {
		return "sha1:" + t.hash.String()
	}
	return t.name + "@sha1:" + t.hash.String()
}

// gitSource follows a branch of a git repository.
type gitSource struct {
	url     repoURL
	branch  string
	timeout time.Duration
	dir     string
	origin  origin

	// turn holds one token: only one fetch at a time. Resolve and Pin do not wait for it, since going back must be
	// possible while the server hangs.
	turn chan struct{}

	mu     sync.Mutex
	mirror *mirror
	head   tip
	last   *Artifact
}

func newGitSource(dataDir string, u repoURL, branch string, timeout time.Duration, o origin) *gitSource {
	return &gitSource{
		url: u, branch: branch, timeout: timeout, origin: o,
		dir: mirrorDir(dataDir, u), turn: make(chan struct{}, 1),
	}
}

// String implements Source.
func (s *gitSource) String() string { return s.url.String() }

// Changes implements Source.
func (s *gitSource) Changes(ctx context.Context) (<-chan struct{}, error) {
	changes, err := s.origin.changes(ctx)
	return changes, s.url.clean(err)
}

// Fetch implements Source.
func (s *gitSource) Fetch(ctx context.Context) (*Artifact, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, s.url.clean(fmt.Errorf("fetch %s: %w", s.url, ctx.Err()))
	}
	a, err := s.fetch(ctx)
	if err != nil {
		return nil, s.url.clean(fmt.Errorf("fetch %s: %w", s.url, err))
	}
	return a, nil
}

// fetch updates the mirror; if there is none, or it turns out to be damaged, it makes a new one first.
func (s *gitSource) fetch(ctx context.Context) (*Artifact, error) {
	m, err := s.open()
	if err == nil {
		var a *Artifact
		if a, err = s.update(ctx, m); !errors.Is(err, errDamaged) {
			return a, err
		}
	}
	if errors.Is(err, errDamaged) {
		err = setAside(s.dir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	s.use(nil)
	if m, err = s.clone(ctx); err != nil {
		return nil, err
	}
	s.use(m)
	return s.update(ctx, m)
}

// open returns the mirror: fs.ErrNotExist if there is none, errDamaged if it cannot be used.
func (s *gitSource) open() (*mirror, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mirror != nil && s.mirror.bad.Load() {
		return nil, errDamaged
	}
	// Somebody may have cleared the data directory under us.
	if _, err := os.Stat(filepath.Join(s.dir, "HEAD")); s.mirror != nil && err == nil {
		return s.mirror, nil
	}
	m, err := openMirror(s.dir)
	if err == nil {
		s.mirror = m
	}
	return m, err
}

func (s *gitSource) use(m *mirror) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mirror = m
}

// update is the ordinary fetch.
func (s *gitSource) update(ctx context.Context, m *mirror) (*Artifact, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	head, err := s.origin.update(ctx, m, s.branch)
	if err != nil {
		return nil, explain(ctx, s.timeout, err)
	}
	if a := s.unchanged(m, head); a != nil {
		return a, nil
	}
	a, err := m.artifact(head)
	if err != nil {
		return nil, err
	}
	// Packing files is worth no failed fetch; damage that it meets is mended by the next one.
	if err := m.compact(); errors.Is(err, errDamaged) {
		m.bad.Store(true)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.head, s.last = head, a
	return a, nil
}

// unchanged returns the last artifact if the same commit of the same mirror was found again.
func (s *gitSource) unchanged(m *mirror, head tip) *Artifact {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil || s.last.Revision != head.revision() || s.last.Tree.(*treeFS).objects != objects(m) {
		return nil
	}
	s.head = head
	return s.last
}

// explain replaces a library's account of an expired context.
func explain(ctx context.Context, limit time.Duration, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no complete answer within %v: %w", limit, context.DeadlineExceeded)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// clone makes the mirror under a temporary name and renames it when it is complete.
func (s *gitSource) clone(ctx context.Context) (*mirror, error) {
	if err := os.MkdirAll(filepath.Dir(s.dir), 0o700); err != nil {
		return nil, fmt.Errorf("create mirror: %w", err)
	}
	temp, err := os.MkdirTemp(filepath.Dir(s.dir), filepath.Base(s.dir)+".tmp-")
	if err != nil {
		return nil, fmt.Errorf("create mirror: %w", err)
	}
	defer os.RemoveAll(temp)
	m, err := createMirror(temp)
	if err != nil {
		return nil, err
	}
	limit := 10 * s.timeout
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if _, err := s.origin.update(ctx, m, s.branch); err != nil {
		return nil, explain(ctx, limit, err)
	}
	m.salvage(s.dir + ".broken")
	if err := os.Rename(temp, s.dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("create mirror: %w", err)
	}
	return openMirror(s.dir)
}

// artifact checks that the commit is complete before anybody plans by it.
func (m *mirror) artifact(t tip) (*Artifact, error) {
	c, err := m.commit(t.hash)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		err = fmt.Errorf("%w: %v", errDamaged, err)
	}
	if err != nil {
		return nil, err
	}
	if err := m.check(c.TreeHash); err != nil {
		return nil, fmt.Errorf("commit %s: %w", t.hash, err)
	}
	t.hash = c.Hash
	return &Artifact{
		Revision: t.revision(), Commit: describe(c),
		Tree: newTree(m, objectID(c.TreeHash.String()), c.Committer.When.UTC()),
	}, nil
}

// Resolve implements Source.
func (s *gitSource) Resolve(ctx context.Context, rev string) (*Artifact, error) {
	a, err := s.resolve(ctx, rev)
	if err != nil {
		return nil, s.url.clean(fmt.Errorf("resolve %q in %s: %w", rev, s.url, err))
	}
	return a, nil
}

func (s *gitSource) resolve(ctx context.Context, rev string) (*Artifact, error) {
	m, err := s.open()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: nothing has been fetched yet", ErrRevision)
	}
	if err != nil {
		return nil, err
	}
	found, err := s.origin.resolve(ctx, m, rev, s.headTip(m))
	if err != nil {
		return nil, err
	}
	return m.artifact(found)
}

// headTip is what the last fetch found; of a process before this one, by the mirror's own HEAD.
func (s *gitSource) headTip(m *mirror) tip {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.head.hash.IsZero() {
		return s.head
	}
	name := "HEAD"
	if s.branch != "" {
		name = "refs/heads/" + s.branch
	} else if data, err := os.ReadFile(filepath.Join(s.dir, "HEAD")); err == nil {
		if target, ok := strings.CutPrefix(strings.TrimSpace(string(data)), "ref: refs/heads/"); ok {
			name = "refs/heads/" + target
		}
	}
	hash, _ := m.ref(name)
	return tip{strings.TrimPrefix(name, "refs/heads/"), hash}
}

// Pin implements Source.
func (s *gitSource) Pin(ctx context.Context, n uint64, hash string) error {
	if err := s.pin(n, hash); err != nil {
		return s.url.clean(fmt.Errorf("pin revision %d of %s: %w", n, s.url, err))
	}
	return nil
}

func (s *gitSource) pin(n uint64, hash string) error {
	if !plumbing.IsHash(hash) {
		return fmt.Errorf("%w: %q is not a full commit hash", ErrRevision, hash)
	}
	m, err := s.open()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	h := plumbing.NewHash(hash)
	if err != nil || !m.has(h) {
		return fmt.Errorf("%w: commit %s is not here", ErrRevision, hash)
	}
	return m.pin(n, h)
}

// remember records the tip of the branch, and names it in HEAD for the next process.
func (m *mirror) remember(t tip) error {
	if t.name == "HEAD" {
		// A detached HEAD has no branch; a ref of our own keeps it.
		return m.setHead("refs/podyard/head", t.hash)
	}
	return m.setHead("refs/heads/"+t.name, t.hash)
}

func (m *mirror) setHead(ref string, h plumbing.Hash) error {
	if err := m.setRef(ref, h); err != nil {
		return err
	}
	head := "ref: " + ref + "\n"
	if data, err := os.ReadFile(filepath.Join(m.dir, "HEAD")); err == nil && string(data) == head {
		return nil
	}
	if err := writeFile(filepath.Join(m.dir, "HEAD"), []byte(head)); err != nil {
		return fmt.Errorf("set HEAD of mirror: %w", err)
	}
	return nil
}

// chooseBranch decides which branch to follow. head is the full name that HEAD points to, if any. Where HEAD names a
// branch that does not exist (a bare repository made for master, to which main was pushed) a single branch is taken.
func chooseBranch(want, head string, branches []string) (string, error) {
	has := func(name string) bool {
		for _, b := range branches {
			if b == name {
				return true
			}
		}
		return false
	}
	head = strings.TrimPrefix(head, "refs/heads/")
	switch {
	case len(branches) == 0:
		return "", fmt.Errorf("%w: it has no commit yet; commit and push something", ErrEmpty)
	case want != "" && has(want):
		return want, nil
	case want != "":
		return "", fmt.Errorf("%w: there is no branch %q; there is %s", ErrBranch, want, enumerate(branches))
	case has(head):
		return head, nil
	case len(branches) == 1:
		return branches[0], nil
	default:
		return "", fmt.Errorf("%w: HEAD names no branch; choose one with --branch: %s", ErrBranch, enumerate(branches))
	}
}

// enumerate names up to ten.
func enumerate(names []string) string {
	if len(names) > 10 {
		return strings.Join(names[:10], ", ") + fmt.Sprintf(" and %d more", len(names)-10)
	}
	return strings.Join(names, ", ")
}
