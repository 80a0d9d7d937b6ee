package sources

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// historyDepth is how many commits behind the newest are fetched.
const historyDepth = 50

// maxTreeFiles bounds the files of one commit: a tree of a few kilobytes can name billions ("git bomb").
const maxTreeFiles = 500_000

// pinPrefix holds the commits that are kept for ever.
const pinPrefix = "refs/podyard/deployed/"

// mirror is a bare repository of our own in the data directory. These invariants hold at every instant, whenever the
// process may be killed: a commit that is there has its whole tree; a ref names a commit that is there; the directory
// has its final name only once it is complete.
type mirror struct {
	*store
	dir string
	// bad is set when an object that should be there is not, or is not what its hash says.
	bad atomic.Bool
	// checked holds, for trees known to be complete, the number of files in each.
	checking sync.Mutex
	checked  map[plumbing.Hash]int
}

var notNameChars = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// mirrorDir names a mirror for people and, by a hash, for certain. Credentials are no part of it: a rotated token keeps
// the mirror.
func mirrorDir(dataDir string, u repoURL) string {
	base := strings.TrimSuffix(path.Base(u.path), ".git")
	if base == "" || base == "." || base == "/" {
		base = "repository"
	}
	base = strings.TrimLeft(notNameChars.ReplaceAllString(base, "-"), ".-")
	if len(base) > 40 {
		base = base[:40]
	}
	sum := sha256.Sum256([]byte(u.String()))
	return filepath.Join(dataDir, "mirrors", base+"-"+hex.EncodeToString(sum[:6]))
}

// createMirror makes an empty bare repository.
func createMirror(dir string) (*mirror, error) {
	for _, sub := range []string{"objects/pack", "objects/info", "refs/heads", "refs/tags", pinPrefix} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, fmt.Errorf("create mirror: %w", err)
		}
	}
	// gc.auto=0: a git command run here by hand must not collect what only we know to be needed.
	config := "[core]\n\trepositoryformatversion = 0\n\tbare = true\n[gc]\n\tauto = 0\n"
	for name, content := range map[string]string{"HEAD": "ref: refs/heads/main\n", "config": config} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return nil, fmt.Errorf("create mirror: %w", err)
		}
	}
	return &mirror{store: newStore(dir), dir: dir, checked: map[plumbing.Hash]int{}}, nil
}

// openMirror opens an existing mirror; fs.ErrNotExist if there is none, errDamaged if it cannot be used.
func openMirror(dir string) (*mirror, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("open mirror: %w", err)
	}
	for _, name := range []string{"HEAD", "config", "objects/pack", "refs/heads"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return nil, fmt.Errorf("open mirror: %w: %v", errDamaged, err)
		}
	}
	m := &mirror{store: newStore(dir), dir: dir, checked: map[plumbing.Hash]int{}}
	m.tidy()
	return m, nil
}

// tidy removes what a killed process left half written. An hour is longer than any fetch, so that another process that
// is writing is not disturbed.
func (m *mirror) tidy() {
	leftovers := list(filepath.Join(m.dir, "objects/pack"), "tmp_", "")
	temps := list(filepath.Dir(m.dir), filepath.Base(m.dir)+".tmp-", "")
	for _, name := range append(leftovers, temps...) {
		if info, err := os.Lstat(name); err == nil && time.Since(info.ModTime()) > time.Hour {
			os.RemoveAll(name)
		}
	}
}

// list returns the paths of a directory's entries by how their names begin and end. A directory that cannot be read has
// none.
func list(dir, prefix, suffix string) []string {
	entries, _ := os.ReadDir(dir)
	var paths []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) && strings.HasSuffix(e.Name(), suffix) {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths
}

// setRef writes a ref by renaming, so that it is whole at every instant. A stale ref in its way (a where a/b shall be,
// or the reverse) cannot exist upstream any more and is removed.
func (m *mirror) setRef(name string, h plumbing.Hash) error {
	if err := plumbing.ReferenceName(name).Validate(); err != nil || !strings.HasPrefix(name, "refs/") {
		return fmt.Errorf("set ref %q: not a valid name", name)
	}
	file := filepath.Join(m.dir, filepath.FromSlash(name))
	if info, err := os.Lstat(file); err == nil && info.IsDir() {
		if err := os.RemoveAll(file); err != nil {
			return fmt.Errorf("set ref %s: %w", name, err)
		}
	}
	for above := path.Dir(name); above != "refs"; above = path.Dir(above) {
		obstacle := filepath.Join(m.dir, filepath.FromSlash(above))
		if info, err := os.Lstat(obstacle); err == nil && !info.IsDir() {
			os.Remove(obstacle)
		}
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("set ref %s: %w", name, err)
	}
	if err := writeFile(file, []byte(h.String()+"\n")); err != nil {
		return fmt.Errorf("set ref %s: %w", name, err)
	}
	return nil
}

// writeFile replaces a file in one step. The temporary name is none that lists as a ref.
func writeFile(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".tmp-*.lock")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

func (m *mirror) removeRef(name plumbing.ReferenceName) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.storages()[0].RemoveReference(name)
}

// pin keeps a commit for ever: nothing here collects what a ref reaches, and a new clone takes the pins over.
func (m *mirror) pin(n uint64, h plumbing.Hash) error {
	return m.setRef(fmt.Sprintf("%s%d", pinPrefix, n), h)
}

// check makes sure that a commit's whole tree is here, and returns errDamaged if it is not. Directories that were
// checked before cost nothing.
func (m *mirror) check(tree plumbing.Hash) error {
	m.checking.Lock()
	defer m.checking.Unlock()
	seen := m.checked
	_, err := m.checkTree(tree, seen, 0)
	// Not more is remembered than one large commit has.
	if len(seen) > 20_000 {
		m.checked = map[plumbing.Hash]int{}
	}
	return err
}

// checkTree returns the number of files below a directory.
func (m *mirror) checkTree(h plumbing.Hash, seen map[plumbing.Hash]int, depth int) (int, error) {
	if files, ok := seen[h]; ok {
		return files, nil
	}
	if depth > 1000 {
		return 0, errors.New("directories are nested more than 1000 deep")
	}
	nodes, err := m.tree(h)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return 0, fmt.Errorf("%w: %v", errDamaged, err)
	}
	if err != nil {
		return 0, err
	}
	files := 0
	for _, n := range nodes {
		id := plumbing.NewHash(string(n.id))
		switch {
		case n.id == "":
		case n.mode.IsDir():
			below, err := m.checkTree(id, seen, depth+1)
			if err != nil {
				return 0, err
			}
			files += below
		case !m.has(id):
			return 0, fmt.Errorf("%w: object %s of %s is missing", errDamaged, id, n.name)
		default:
			files++
		}
		if files > maxTreeFiles {
			return 0, fmt.Errorf("the commit has more than %d files", maxTreeFiles)
		}
	}
	seen[h] = files
	return files, nil
}

// list, data and size implement objects; what goes wrong here means that the mirror must be made anew.
func (m *mirror) list(id objectID) ([]node, error) {
	nodes, err := m.tree(plumbing.NewHash(string(id)))
	return nodes, m.noteDamage(err)
}

func (m *mirror) data(id objectID) ([]byte, error) {
	kind, data, err := m.get(plumbing.NewHash(string(id)))
	if err == nil && kind != plumbing.BlobObject {
		err = fmt.Errorf("object %s: is a %s and not a file", id, kind)
	}
	return data, m.noteDamage(err)
}

func (m *mirror) size(id objectID) (int64, error) {
	size, err := m.sizeOf(plumbing.NewHash(string(id)))
	return size, m.noteDamage(err)
}

func (m *mirror) noteDamage(err error) error {
	if errors.Is(err, errDamaged) || errors.Is(err, plumbing.ErrObjectNotFound) {
		m.bad.Store(true)
		return fmt.Errorf("mirror %s: %w; the next fetch mends it", filepath.Base(m.dir), err)
	}
	return err
}

// setAside renames a mirror that cannot be used. Only the last one is kept.
func setAside(dir string) error {
	broken := dir + ".broken"
	if err := os.RemoveAll(broken); err != nil {
		return fmt.Errorf("remove the previous broken mirror: %w", err)
	}
	if err := os.Rename(dir, broken); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("set broken mirror aside: %w", err)
	}
	return nil
}

// salvage takes over the pins of a mirror that was set aside, as far as their commits can still be read.
func (m *mirror) salvage(broken string) {
	old := newStore(broken)
	pins, err := old.refs("refs/podyard/")
	if err != nil {
		return
	}
	for _, pin := range pins {
		if !m.has(pin.Hash()) && copyCommits(m, old, pin.Hash(), 1) != nil {
			continue
		}
		// What cannot be pinned any more is lost here, but history still has its rendered objects.
		_ = m.setRef(pin.Name().String(), pin.Hash())
	}
}
