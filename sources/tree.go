package sources

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// maxFile bounds what is read into memory at once, in bytes.
	maxFile = 64 << 20
	// maxLinks is how many symbolic links one path may go through, as in Linux (ELOOP).
	maxLinks = 40
	// maxCachedDirs bounds the decoded directories that an artifact keeps.
	maxCachedDirs = 1024
)

var (
	errLeaves  = errors.New("symbolic link leaves the repository")
	errLoop    = errors.New("too many levels of symbolic links")
	errTooBig  = fmt.Errorf("file is larger than %d MiB", maxFile>>20)
	errNotDir  = errors.New("not a directory")
	errIsDir   = errors.New("is a directory")
	errNotLink = errors.New("not a symbolic link")
)

// objectID is the content hash of a file or directory, in hexadecimal. fs.FileInfo.Sys returns it.
type objectID string

// objects is where the content behind the hashes comes from: a git mirror or a snapshot in memory. Both may be called
// from several goroutines.
type objects interface {
	// list returns the entries of a directory, sorted by name, or an error if a name could not be a file's.
	list(id objectID) ([]node, error)
	// data returns the content of a file, or the target of a link.
	data(id objectID) ([]byte, error)
	// size is the length of data in bytes.
	size(id objectID) (int64, error)
}

// node is one entry of a directory. A mode is a type and permissions; a submodule is a directory without an id.
type node struct {
	name string
	mode fs.FileMode
	id   objectID
}

func (n node) isLink() bool { return n.mode&fs.ModeSymlink != 0 }

// treeFS is a tree of objects as a read-only file system.
type treeFS struct {
	objects objects
	root    node
	// when is every file's modification time: trees do not record any.
	when time.Time

	mu   sync.Mutex
	dirs map[objectID][]node
}

var (
	_ fs.ReadDirFS  = (*treeFS)(nil)
	_ fs.ReadFileFS = (*treeFS)(nil)
	_ fs.StatFS     = (*treeFS)(nil)
	_ fs.ReadLinkFS = (*treeFS)(nil)
)

func newTree(o objects, root objectID, when time.Time) *treeFS {
	return &treeFS{
		objects: o, when: when, dirs: map[objectID][]node{},
		root: node{name: ".", mode: fs.ModeDir | 0o755, id: root},
	}
}

// Open implements fs.FS.
func (t *treeFS) Open(name string) (fs.File, error) {
	n, err := t.find("open", name, true)
	if err != nil {
		return nil, err
	}
	n.name = path.Base(name)
	if n.mode.IsDir() {
		entries, err := t.entries(n)
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
		return &openDir{info: t.info(n, 0), path: name, entries: entries}, nil
	}
	data, err := t.read(n)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &openFile{Reader: bytes.NewReader(data), info: t.info(n, int64(len(data)))}, nil
}

// ReadDir implements fs.ReadDirFS.
func (t *treeFS) ReadDir(name string) ([]fs.DirEntry, error) {
	n, err := t.find("readdir", name, true)
	if err != nil {
		return nil, err
	}
	entries, err := t.entries(n)
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	return entries, nil
}

// ReadFile implements fs.ReadFileFS.
func (t *treeFS) ReadFile(name string) ([]byte, error) {
	n, err := t.find("read", name, true)
	if err != nil {
		return nil, err
	}
	data, err := t.read(n)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return bytes.Clone(data), nil
}

// Stat implements fs.StatFS. It follows links.
func (t *treeFS) Stat(name string) (fs.FileInfo, error) { return t.stat("stat", name, true) }

// Lstat implements fs.ReadLinkFS. It does not follow a link at the end of the path.
func (t *treeFS) Lstat(name string) (fs.FileInfo, error) { return t.stat("lstat", name, false) }

func (t *treeFS) stat(op, name string, follow bool) (fs.FileInfo, error) {
	n, err := t.find(op, name, follow)
	if err != nil {
		return nil, err
	}
	n.name = path.Base(name)
	info, err := t.measure(n)
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return info, nil
}

// ReadLink implements fs.ReadLinkFS. The target is returned as it is recorded, wherever it leads.
func (t *treeFS) ReadLink(name string) (string, error) {
	n, err := t.find("readlink", name, false)
	if err != nil {
		return "", err
	}
	if !n.isLink() {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: errors.Join(fs.ErrInvalid, errNotLink)}
	}
	target, err := t.objects.data(n.id)
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: err}
	}
	return string(target), nil
}

// find walks from the root to name. It never leaves the tree: ".." in a link's target at the root is refused, unlike in
// a chroot, where it would silently mean something else than on the author's disk.
func (t *treeFS) find(op, name string, follow bool) (node, error) {
	fail := func(err error) (node, error) { return node{}, &fs.PathError{Op: op, Path: name, Err: err} }
	if !fs.ValidPath(name) {
		return fail(fs.ErrInvalid)
	}
	above, rest, links := []node{t.root}, strings.Split(name, "/"), 0
	for len(rest) > 0 {
		step, dir := rest[0], above[len(above)-1]
		rest = rest[1:]
		switch {
		case step == "." || step == "":
			continue
		case step == ".." && len(above) == 1:
			return fail(errLeaves)
		case step == "..":
			above = above[:len(above)-1]
			continue
		}
		child, err := t.child(dir, step)
		if err != nil {
			return fail(err)
		}
		if !child.isLink() || len(rest) == 0 && !follow {
			above = append(above, child)
			continue
		}
		if links++; links > maxLinks {
			return fail(errLoop)
		}
		target, err := t.target(child)
		if err != nil {
			return fail(err)
		}
		rest = append(target, rest...)
	}
	return above[len(above)-1], nil
}

func (t *treeFS) target(link node) ([]string, error) {
	data, err := t.read(link)
	if err != nil {
		return nil, err
	}
	target := string(data)
	if strings.HasPrefix(target, "/") {
		return nil, errLeaves
	}
	if len(target) > 4096 || strings.ContainsRune(target, 0) {
		return nil, fs.ErrInvalid
	}
	return strings.Split(target, "/"), nil
}

func (t *treeFS) child(dir node, name string) (node, error) {
	// A path through a file is a path that does not exist (TestFS expects it; so does os.IsNotExist-style code).
	if !dir.mode.IsDir() {
		return node{}, fs.ErrNotExist
	}
	nodes, err := t.nodes(dir)
	if err != nil {
		return node{}, err
	}
	i, found := slices.BinarySearchFunc(nodes, name, func(n node, s string) int { return strings.Compare(n.name, s) })
	if !found {
		return node{}, fs.ErrNotExist
	}
	return nodes[i], nil
}

// nodes lists a directory, once for each content as long as there are not too many.
func (t *treeFS) nodes(dir node) ([]node, error) {
	t.mu.Lock()
	nodes, ok := t.dirs[dir.id]
	t.mu.Unlock()
	if ok || dir.id == "" {
		return nodes, nil
	}
	nodes, err := t.objects.list(dir.id)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.dirs) < maxCachedDirs {
		t.dirs[dir.id] = nodes
	}
	return nodes, nil
}

func (t *treeFS) entries(dir node) ([]fs.DirEntry, error) {
	if !dir.mode.IsDir() {
		return nil, errNotDir
	}
	nodes, err := t.nodes(dir)
	if err != nil {
		return nil, err
	}
	entries := make([]fs.DirEntry, len(nodes))
	for i, n := range nodes {
		entries[i] = dirEntry{t, n}
	}
	return entries, nil
}

func (t *treeFS) read(n node) ([]byte, error) {
	if n.mode.IsDir() {
		return nil, errIsDir
	}
	return t.objects.data(n.id)
}

// measure describes a node; only for files and links does that need its object.
func (t *treeFS) measure(n node) (fs.FileInfo, error) {
	if n.mode.IsDir() {
		return t.info(n, 0), nil
	}
	size, err := t.objects.size(n.id)
	if err != nil {
		return nil, err
	}
	return t.info(n, size), nil
}

func (t *treeFS) info(n node, size int64) fs.FileInfo { return fileInfo{n, size, t.when} }

type fileInfo struct {
	node
	size int64
	when time.Time
}

func (i fileInfo) Name() string       { return i.name }
func (i fileInfo) Size() int64        { return i.size }
func (i fileInfo) Mode() fs.FileMode  { return i.mode }
func (i fileInfo) ModTime() time.Time { return i.when }
func (i fileInfo) IsDir() bool        { return i.mode.IsDir() }
func (i fileInfo) Sys() any           { return i.id }
func (i fileInfo) String() string     { return fs.FormatFileInfo(i) }

type dirEntry struct {
	tree *treeFS
	node
}

func (e dirEntry) Name() string               { return e.name }
func (e dirEntry) IsDir() bool                { return e.mode.IsDir() }
func (e dirEntry) Type() fs.FileMode          { return e.mode.Type() }
func (e dirEntry) Info() (fs.FileInfo, error) { return e.tree.measure(e.node) }
func (e dirEntry) String() string             { return fs.FormatDirEntry(e) }

type openFile struct {
	*bytes.Reader
	info fs.FileInfo
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFile) Close() error               { return nil }

type openDir struct {
	info    fs.FileInfo
	path    string
	entries []fs.DirEntry
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *openDir) Close() error               { return nil }

func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.path, Err: errIsDir}
}

// ReadDir implements fs.ReadDirFile.
func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n > 0 && len(d.entries) == 0 {
		return nil, io.EOF
	}
	if n <= 0 || n > len(d.entries) {
		n = len(d.entries)
	}
	taken := slices.Clone(d.entries[:n])
	d.entries = d.entries[n:]
	return taken, nil
}

// checkNames refuses a directory that could not be checked out: git itself would refuse it, and whoever writes the tree
// to a disk would write elsewhere (CVE-2023-49569 and its kin). nodes must be sorted.
func checkNames(nodes []node) error {
	for i, n := range nodes {
		switch {
		case n.name == "" || n.name == "." || n.name == ".." || strings.ContainsAny(n.name, "/\x00"):
			return fmt.Errorf("the commit has an entry with the name %q, which no file can have", n.name)
		case strings.EqualFold(n.name, ".git"):
			return fmt.Errorf("the commit has an entry named %q, which git refuses", n.name)
		case i > 0 && nodes[i-1].name == n.name:
			return fmt.Errorf("the commit has two entries named %q in one directory", n.name)
		}
	}
	return nil
}

func sortNodes(nodes []node) {
	slices.SortFunc(nodes, func(a, b node) int { return strings.Compare(a.name, b.name) })
}
