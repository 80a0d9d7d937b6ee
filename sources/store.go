package sources

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// objectCache is how much of the objects last read is kept, for the bases of deltas.
const objectCache = 4 * cache.MiByte

// store reads objects and refs of a git directory and of its alternates. go-git's storage is not safe for several
// goroutines and caches the list of packs, hence the lock and the reopening.
type store struct {
	dirs []string // the git directory itself first

	mu   sync.Mutex
	open []*filesystem.Storage
}

func newStore(gitDir string) *store {
	if real, err := filepath.EvalSymlinks(gitDir); err == nil {
		gitDir = real
	}
	dirs := []string{gitDir}
	// objects may be a link to another repository's (git-new-workdir, repo); go-git refuses to follow it.
	if real, err := filepath.EvalSymlinks(filepath.Join(gitDir, "objects")); err == nil && filepath.Dir(real) != gitDir {
		dirs = append(dirs, filepath.Dir(real))
	}
	return &store{dirs: append(dirs, alternates(gitDir, 5)...)}
}

// alternates lists the git directories that lend objects, as objects/info/alternates names them; relative paths count
// from the objects directory (gitrepository-layout). Five levels deep, as git does.
func alternates(gitDir string, depth int) []string {
	if depth == 0 {
		return nil
	}
	data, err := os.ReadFile(filepath.Join(gitDir, "objects/info/alternates"))
	if err != nil {
		return nil
	}
	var dirs []string
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if !filepath.IsAbs(line) {
			line = filepath.Join(gitDir, "objects", line)
		}
		dirs = append(dirs, filepath.Dir(line))
		dirs = append(dirs, alternates(filepath.Dir(line), depth-1)...)
	}
	return dirs
}

// storages opens what is not open yet. The lock is held.
func (s *store) storages() []*filesystem.Storage {
	if s.open == nil {
		for _, dir := range s.dirs {
			s.open = append(s.open, filesystem.NewStorageWithOptions(osfs.New(dir),
				cache.NewObjectLRU(objectCache), filesystem.Options{LargeObjectThreshold: maxFile}))
		}
	}
	return s.open
}

// reload forgets which packs there are and what was cached.
func (s *store) reload() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = nil
}

// get returns an object's type and content. The content is checked against the hash: go-git hands out what it read
// before a zlib error when asked a second time. An object that is not there is plumbing.ErrObjectNotFound.
func (s *store) get(h plumbing.Hash) (plumbing.ObjectType, []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kind, data, err := s.lookup(h)
	if errors.Is(err, plumbing.ErrObjectNotFound) || errors.Is(err, fs.ErrNotExist) {
		// Another process may have packed it meanwhile.
		s.open = nil
		kind, data, err = s.lookup(h)
	}
	switch {
	case errors.Is(err, plumbing.ErrObjectNotFound), errors.Is(err, errTooBig):
		return 0, nil, fmt.Errorf("object %s: %w", h, err)
	case isTransient(err):
		return 0, nil, fmt.Errorf("object %s: %w", h, err)
	case err != nil:
		s.open = nil
		return 0, nil, fmt.Errorf("object %s: %w: %v", h, errDamaged, err)
	case plumbing.ComputeHash(kind, data) != h:
		s.open = nil
		return 0, nil, fmt.Errorf("object %s: %w: content does not match its hash", h, errDamaged)
	}
	return kind, data, nil
}

// isTransient tells what the operating system refuses (permissions, too many open files) from damaged content.
func isTransient(err error) bool {
	var refused *fs.PathError
	return errors.As(err, &refused) && !errors.Is(err, syscall.EIO)
}

func (s *store) lookup(h plumbing.Hash) (kind plumbing.ObjectType, data []byte, err error) {
	failed := plumbing.ErrObjectNotFound
	for _, st := range s.storages() {
		if kind, data, err = readObject(st, h); err == nil {
			return kind, data, nil
		}
		if !errors.Is(err, plumbing.ErrObjectNotFound) {
			failed = err
		}
	}
	return 0, nil, failed
}

// readObject turns panics into errors: malformed objects have made go-git panic before (GHSA-w5pp-99ch-qj29).
func readObject(st *filesystem.Storage, h plumbing.Hash) (kind plumbing.ObjectType, data []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("malformed object: %v", p)
		}
	}()
	o, err := st.EncodedObject(plumbing.AnyObject, h)
	if err != nil {
		return 0, nil, err
	}
	if o.Size() > maxFile {
		return 0, nil, errTooBig
	}
	r, err := o.Reader()
	if err != nil {
		return 0, nil, err
	}
	defer r.Close()
	data, err = io.ReadAll(io.LimitReader(r, maxFile+1))
	return o.Type(), data, err
}

// has tells whether an object is here, without reading it.
func (s *store) has(h plumbing.Hash) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.storages() {
		if st.HasEncodedObject(h) == nil {
			return true
		}
	}
	return false
}

func (s *store) sizeOf(h plumbing.Hash) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.storages() {
		if size, err := st.EncodedObjectSize(h); err == nil {
			return size, nil
		}
	}
	return 0, fmt.Errorf("object %s: %w", h, plumbing.ErrObjectNotFound)
}

// commit reads a commit; an annotated tag, or a tag of a tag, is followed to its commit.
func (s *store) commit(h plumbing.Hash) (*object.Commit, error) {
	for range 10 {
		kind, data, err := s.get(h)
		if err != nil {
			return nil, err
		}
		o := &plumbing.MemoryObject{}
		o.SetType(kind)
		if _, err := o.Write(data); err != nil {
			return nil, err
		}
		switch kind {
		case plumbing.CommitObject:
			c := &object.Commit{}
			if err := decode(c, o); err != nil {
				return nil, fmt.Errorf("commit %s: %w", h, err)
			}
			return c, nil
		case plumbing.TagObject:
			t := &object.Tag{}
			if err := decode(t, o); err != nil {
				return nil, fmt.Errorf("tag %s: %w", h, err)
			}
			h = t.Target
		default:
			return nil, fmt.Errorf("object %s: is a %s and not a commit", h, kind)
		}
	}
	return nil, fmt.Errorf("tag %s: too many tags of tags", h)
}

func decode(into interface {
	Decode(plumbing.EncodedObject) error
}, o plumbing.EncodedObject) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("malformed object: %v", p)
		}
	}()
	return into.Decode(o)
}

// tree reads a directory, sorted by name, and refuses names that no directory can have.
func (s *store) tree(h plumbing.Hash) ([]node, error) {
	nodes, err := s.rawTree(h)
	if err == nil {
		err = checkNames(nodes)
	}
	return nodes, err
}

// rawTree reads a directory, sorted by name, whatever the names.
func (s *store) rawTree(h plumbing.Hash) ([]node, error) {
	kind, data, err := s.get(h)
	if err != nil {
		return nil, err
	}
	if kind != plumbing.TreeObject {
		return nil, fmt.Errorf("object %s: is a %s and not a tree", h, kind)
	}
	nodes, err := parseTree(data)
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w", h, err)
	}
	return nodes, nil
}

// parseTree decodes a tree object: repeated "<octal mode> <name>\0<20 bytes of hash>".
func parseTree(data []byte) ([]node, error) {
	var nodes []node
	for len(data) > 0 {
		head, rest, ok := bytes.Cut(data, []byte{0})
		mode, name, ok2 := bytes.Cut(head, []byte{' '})
		if !ok || !ok2 || len(rest) < 20 {
			return nil, errors.New("malformed tree")
		}
		n := node{name: string(name), id: objectID(fmt.Sprintf("%x", rest[:20]))}
		switch strings.TrimLeft(string(mode), "0") {
		case "40000":
			n.mode = fs.ModeDir | 0o755
		case "100755", "100775", "100777":
			n.mode = 0o755
		case "120000":
			n.mode = fs.ModeSymlink | 0o777
		case "160000":
			// A submodule is an empty directory until it is checked out, and we do not.
			n.mode, n.id = fs.ModeDir|0o755, ""
		default:
			// Old tools have recorded all kinds of permissions; git reads them as an ordinary file.
			n.mode = 0o644
		}
		nodes, data = append(nodes, n), rest[20:]
	}
	sortNodes(nodes)
	return nodes, nil
}

// ref resolves a full ref name, or HEAD, to a hash; false if there is none.
func (s *store) ref(name string) (plumbing.Hash, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.storages()[0]
	for range 5 {
		ref, err := st.Reference(plumbing.ReferenceName(name))
		if err != nil {
			return plumbing.ZeroHash, false
		}
		if ref.Type() == plumbing.HashReference {
			return ref.Hash(), true
		}
		name = ref.Target().String()
	}
	return plumbing.ZeroHash, false
}

// refs lists the refs below the prefixes, sorted by name. A damaged ref is left out.
func (s *store) refs(prefixes ...string) ([]*plumbing.Reference, error) {
	s.mu.Lock()
	st := s.storages()[0]
	names, err := refNames(s.dirs[0])
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	var refs []*plumbing.Reference
	for _, name := range names {
		if !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		s.mu.Lock()
		ref, err := st.Reference(plumbing.ReferenceName(name))
		s.mu.Unlock()
		if err == nil && ref.Type() == plumbing.HashReference && !ref.Hash().IsZero() {
			refs = append(refs, ref)
		}
	}
	return refs, nil
}

// refNames lists loose and packed refs. go-git's own iteration stops at the first damaged ref.
func refNames(gitDir string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(filepath.Join(gitDir, "refs"), func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.Type().IsRegular() && !strings.HasSuffix(path, ".lock") {
			name, _ := filepath.Rel(gitDir, path)
			names = append(names, filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list refs: %w", err)
	}
	packed, err := os.Open(filepath.Join(gitDir, "packed-refs"))
	if err == nil {
		defer packed.Close()
		for lines := bufio.NewScanner(packed); lines.Scan(); {
			if hash, name, ok := strings.Cut(lines.Text(), " "); ok && plumbing.IsHash(hash) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// describe keeps of a commit what Podyard shows of it.
func describe(c *object.Commit) Commit {
	subject, _, _ := strings.Cut(strings.TrimLeft(c.Message, "\n"), "\n")
	described := Commit{
		Hash: c.Hash.String(), Author: printable(c.Author.Name), Email: printable(c.Author.Email),
		Subject: printable(subject), Message: strings.ToValidUTF8(c.Message, "\uFFFD"), When: c.Committer.When,
	}
	for _, parent := range c.ParentHashes {
		described.Parents = append(described.Parents, parent.String())
	}
	return described
}
