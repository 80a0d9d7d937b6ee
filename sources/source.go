package sources

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Artifact is one revision of a source. It is immutable: its Tree may be read at any time and from several goroutines,
// also after later fetches.
type Artifact struct {
	// Revision is main@sha1:5394cb7f… for git, as Flux writes it, and dir@sha256:… for a plain directory.
	Revision string
	// Commit is the zero value for a plain directory.
	Commit Commit
	// Tree is the whole repository at that revision. It implements fs.ReadDirFS, fs.ReadFileFS, fs.StatFS and
	// fs.ReadLinkFS. Symbolic links are visible; Open and Stat follow them inside the tree and refuse to leave it.
	Tree fs.FS
}

// Hash identifies the content of a file or directory of the artifact: equal hashes mean equal content. For git it is the
// hash of the blob or tree, so an unchanged directory is recognised without reading it.
func (a *Artifact) Hash(path string) (string, error) {
	info, err := fs.Stat(a.Tree, path)
	if err != nil {
		return "", err
	}
	id, ok := info.Sys().(objectID)
	if !ok {
		return "", fmt.Errorf("hash %s: the tree has no content hashes", path)
	}
	return string(id), nil
}

// Commit is what is kept of a git commit. Control characters are removed from all but Message.
type Commit struct {
	Hash, Author, Email, Subject, Message string
	// When is the commit time, by the committer's clock.
	When    time.Time
	Parents []string
}

// Source is a repository or directory that changes. Methods may be called from several goroutines; their errors never
// contain credentials.
type Source interface {
	// Fetch brings the newest revision. While nothing changes it returns the same Artifact pointer.
	Fetch(ctx context.Context) (*Artifact, error)
	// Resolve finds a revision that is already here, without the network: a full or abbreviated hash, a branch, a tag,
	// HEAD, main@sha1:…, refs/podyard/deployed/7, each with ~N or ^N behind it. Only commits that a branch, a tag or a
	// pin reaches are found. Errors are ErrRevision.
	Resolve(ctx context.Context, rev string) (*Artifact, error)
	// Pin keeps a commit for ever, as refs/podyard/deployed/<n>. A plain directory has nothing to keep.
	Pin(ctx context.Context, n uint64, hash string) error
	// Changes signals, coalesced, that the source may have changed; for a remote repository it never does. The channel
	// is closed when ctx ends. ErrWatchLimit means that the kernel grants no more watches: poll instead.
	Changes(ctx context.Context) (<-chan struct{}, error)
	// String is the URL without credentials.
	String() string
}

// Options says what to fetch.
type Options struct {
	// URL is https://, http://, ssh://, git@host:path, file:// or a local path.
	URL string
	// Branch is followed; empty means the branch that the repository's HEAD names.
	Branch string
	// Timeout bounds one fetch; zero means 60 s. The first clone may take ten times as long.
	Timeout time.Duration
}

// Open decides what kind of source the URL names. It does not touch the network.
func Open(dataDir string, opts Options) (Source, error) {
	u, err := parseURL(opts.URL)
	if err != nil {
		return nil, err
	}
	branch, err := parseBranch(opts.Branch)
	if err != nil {
		return nil, err
	}
	if opts.Timeout <= 0 {
		opts.Timeout = time.Minute
	}
	if u.scheme != schemeFile {
		return newGitSource(dataDir, u, branch, opts.Timeout, &remote{url: u}), nil
	}
	return openLocal(dataDir, u, branch, opts.Timeout)
}

// openLocal tells a git repository from a plain directory.
func openLocal(dataDir string, u repoURL, branch string, timeout time.Duration) (Source, error) {
	info, err := os.Stat(u.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open %s: %w; give the path of a git repository or a directory", u, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("open repository: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("open %s: not a directory", u)
	}
	if _, err := findRepository(u.path); err == nil {
		return newGitSource(dataDir, u, branch, timeout, &local{path: u.path}), nil
	} else if !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	if u.fileURL {
		return nil, fmt.Errorf("open %s: not a git repository; give the path without file:// to use a plain directory", u)
	}
	if branch != "" {
		return nil, fmt.Errorf("open %s: a plain directory has no branch %q; run git init there, or leave the branch out", u, branch)
	}
	if root, sub, ok := Locate(u.path); ok {
		return nil, fmt.Errorf("open %s: the directory is inside the git repository %s; use --repo %s --path %s", u, root, root, sub)
	}
	return &dirSource{path: u.path}, nil
}

// Locate finds the git repository whose commit holds the directory: its root, and the slash-separated path of the
// directory inside it. ok is false for the root itself, for what is in no repository, and for what is not committed.
func Locate(dir string) (root, sub string, ok bool) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", "", false
	}
	for root = filepath.Dir(dir); ; root = filepath.Dir(root) {
		if repo, err := findRepository(root); err == nil && !repo.bare {
			sub, _ = filepath.Rel(root, dir)
			sub = filepath.ToSlash(sub)
			return root, sub, repo.holds(sub)
		}
		if root == filepath.Dir(root) {
			return "", "", false
		}
	}
}
