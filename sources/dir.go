package sources

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	// maxDirBytes and maxDirFiles bound a plain directory, which is read into memory.
	maxDirBytes = 64 << 20
	maxDirFiles = 10_000
)

// dirSource is a directory that is no git repository. It has no history: only what is there now.
type dirSource struct {
	path string

	mu   sync.Mutex
	last *Artifact
}

// String implements Source.
func (d *dirSource) String() string { return d.path }

// Fetch implements Source: it reads the whole directory.
func (d *dirSource) Fetch(ctx context.Context) (*Artifact, error) {
	s := &snapshot{root: d.path, content: map[objectID][]byte{}, dirs: map[objectID][]node{}}
	root, err := s.read(ctx, ".")
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	if err != nil {
		return nil, repoURL{}.clean(fmt.Errorf("read directory %s: %w", d.path, err))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if revision := "dir@sha256:" + string(root); d.last == nil || d.last.Revision != revision {
		d.last = &Artifact{Revision: revision, Tree: newTree(s, root, time.Unix(0, 0).UTC())}
	}
	return d.last, nil
}

// Resolve implements Source: HEAD and the current revision are all there is.
func (d *dirSource) Resolve(ctx context.Context, rev string) (*Artifact, error) {
	a, err := d.Fetch(ctx)
	if err != nil {
		return nil, err
	}
	if rev != "HEAD" && rev != a.Revision {
		return nil, repoURL{}.clean(fmt.Errorf("resolve %q in %s: %w: a plain directory has no history; run git init there to get one",
			rev, d.path, ErrRevision))
	}
	return a, nil
}

// Pin implements Source.
func (d *dirSource) Pin(context.Context, uint64, string) error { return nil }

// Changes implements Source.
func (d *dirSource) Changes(ctx context.Context) (<-chan struct{}, error) {
	return watchDirectory(ctx, d.path)
}

// snapshot is a directory in memory, by content.
type snapshot struct {
	root    string
	files   int
	bytes   int64
	content map[objectID][]byte
	dirs    map[objectID][]node
}

// read takes in a directory and everything below and returns its hash: that of its entries' names, kinds and hashes.
func (s *snapshot) read(ctx context.Context, dir string) (objectID, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(filepath.Join(s.root, dir))
	if err != nil {
		return "", err
	}
	var nodes []node
	sum := sha256.New()
	for _, e := range entries {
		if e.Name() == ".git" {
			continue
		}
		n, err := s.entry(ctx, filepath.Join(dir, e.Name()), e)
		if errors.Is(err, fs.ErrNotExist) {
			// Removed since the directory was listed. The watch will say so too.
			continue
		}
		if err != nil {
			return "", err
		}
		if n.id != "" {
			nodes = append(nodes, n)
			fmt.Fprintf(sum, "%o %s\x00%s\n", n.mode, n.name, n.id)
		}
	}
	sortNodes(nodes)
	id := objectID(hex.EncodeToString(sum.Sum(nil)))
	s.dirs[id] = nodes
	return id, nil
}

// entry takes in one file, link or directory. Sockets, pipes and devices are passed over: git would not keep them.
func (s *snapshot) entry(ctx context.Context, name string, e fs.DirEntry) (node, error) {
	if s.files++; s.files > maxDirFiles {
		return node{}, fmt.Errorf("more than %d files; make it a git repository, or choose a smaller directory", maxDirFiles)
	}
	switch kind := e.Type(); {
	case kind.IsDir():
		id, err := s.read(ctx, name)
		return node{e.Name(), fs.ModeDir | 0o755, id}, err
	case kind&fs.ModeSymlink != 0:
		target, err := os.Readlink(filepath.Join(s.root, name))
		if err != nil {
			return node{}, err
		}
		return node{e.Name(), fs.ModeSymlink | 0o777, s.keep([]byte(target))}, nil
	case kind.IsRegular():
		return s.file(name, e)
	}
	return node{}, nil
}

func (s *snapshot) file(name string, e fs.DirEntry) (node, error) {
	info, err := e.Info()
	if err != nil {
		return node{}, err
	}
	if s.bytes += info.Size(); s.bytes > maxDirBytes {
		return node{}, fmt.Errorf("more than %d MiB; make it a git repository, or choose a smaller directory", maxDirBytes>>20)
	}
	data, err := os.ReadFile(filepath.Join(s.root, name))
	if err != nil {
		return node{}, err
	}
	// As git does, only whether it is executable is kept of the permissions.
	mode := fs.FileMode(0o644)
	if info.Mode()&0o100 != 0 {
		mode = 0o755
	}
	return node{e.Name(), mode, s.keep(data)}, nil
}

func (s *snapshot) keep(data []byte) objectID {
	sum := sha256.Sum256(data)
	id := objectID(hex.EncodeToString(sum[:]))
	s.content[id] = data
	return id
}

// list, data and size implement objects. A snapshot does not change after it was read.
func (s *snapshot) list(id objectID) ([]node, error) { return s.dirs[id], nil }

func (s *snapshot) data(id objectID) ([]byte, error) { return s.content[id], nil }

func (s *snapshot) size(id objectID) (int64, error) { return int64(len(s.content[id])), nil }
