package manifests

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"unicode"
)

// What one render may read.
const (
	maxFile  = 8 << 20
	maxTree  = 64 << 20
	maxFiles = 10000
	maxLinks = 40
)

// repository reads a tree within the limits, and follows symbolic links itself so that none can leave the tree.
type repository struct {
	tree  fs.FS
	files map[string][]byte // by real path
	size  int
}

func newRepository(tree fs.FS) *repository {
	return &repository{tree: tree, files: map[string][]byte{}}
}

// resolved is what a path stands for once no symbolic link is left in it.
type resolved struct {
	real string
	info fs.FileInfo
}

var (
	errLeaves   = errors.New("leaves the repository")
	errLinkLeft = errors.New("leads through a symbolic link that leaves the repository")
	errLoop     = errors.New("leads through more than 40 symbolic links")
)

// resolve walks from a real directory along a relative path, as the kernel would below a root that cannot be left.
func (r *repository) resolve(from, name string) (resolved, error) {
	at := split(from)
	todo, links, inLink := split(name), 0, 0
	for len(todo) > 0 {
		step := todo[0]
		todo = todo[1:]
		inLink--
		if step == ".." {
			if len(at) == 0 {
				return resolved{}, leftBy(inLink)
			}
			at = at[:len(at)-1]
			continue
		}
		here := path.Join(append(at[:len(at):len(at)], step)...)
		info, err := fs.Lstat(r.tree, here)
		if err != nil {
			return resolved{}, fs.ErrNotExist
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			at = append(at[:len(at):len(at)], step)
			continue
		}
		if links++; links > maxLinks {
			return resolved{}, errLoop
		}
		to, err := fs.ReadLink(r.tree, here)
		if err != nil || path.IsAbs(to) || strings.Contains(to, `\`) {
			return resolved{}, errLinkLeft
		}
		todo = append(split(to), todo...)
		inLink = len(split(to))
	}
	real := path.Join(append([]string{"."}, at...)...)
	info, err := fs.Stat(r.tree, real)
	if err != nil {
		return resolved{}, fs.ErrNotExist
	}
	return resolved{real, info}, nil
}

// leftBy says whether the step that left the tree came from a link's text or from the reference.
func leftBy(inLink int) error {
	if inLink >= 0 {
		return errLinkLeft
	}
	return errLeaves
}

// split is the steps of a path; "." has none.
func split(name string) []string {
	var out []string
	for _, step := range strings.Split(name, "/") {
		if step != "" && step != "." {
			out = append(out, step)
		}
	}
	return out
}

// leaves reports whether a cleaned relative path points above its start.
func leaves(clean string) bool { return clean == ".." || strings.HasPrefix(clean, "../") }

// read is the content of a regular file by its real path. Each file counts once.
func (r *repository) read(t resolved) ([]byte, error) {
	if text, ok := r.files[t.real]; ok {
		return text, nil
	}
	switch {
	case !t.info.Mode().IsRegular():
		return nil, errors.New("is not a regular file")
	case len(r.files) >= maxFiles:
		return nil, fmt.Errorf("is one file too many: an application may read %d", maxFiles)
	}
	file, err := r.tree.Open(t.real)
	if err != nil {
		return nil, errors.New("cannot be read")
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	switch {
	case err != nil:
		return nil, errors.New("cannot be read")
	case len(text) > maxFile:
		return nil, fmt.Errorf("is larger than %d MiB", maxFile>>20)
	case r.size+len(text) > maxTree:
		return nil, fmt.Errorf("is too much: all files of an application together may have %d MiB", maxTree>>20)
	}
	r.size += len(text)
	r.files[t.real] = text
	return text, nil
}

var (
	remoteScheme = regexp.MustCompile(`(?i)^[a-z][a-z0-9+.-]*:`)
	remoteUser   = regexp.MustCompile(`^[^/]*@`)
	remoteHost   = regexp.MustCompile(`(?i)^(git::|github\.com[/:])`)
)

// notLocal says why a reference is not a plain relative path; empty if it is one. It refuses more than kustomize would
// fetch. Upstream: kustomize api/internal/git/repospec.go (NewRepoSpecFromURL) and api/internal/loader/fileloader.go.
func notLocal(reference string) string {
	const remedy = ": copy what it names into the repository and refer to it by a relative path"
	switch {
	case reference == "":
		return "is empty: give a relative path"
	case strings.ContainsFunc(reference, unicode.IsControl):
		return "is neither a path nor a YAML object"
	case strings.Contains(reference, "://"), remoteScheme.MatchString(reference), remoteUser.MatchString(reference), remoteHost.MatchString(reference):
		return "is a remote reference, which is never fetched" + remedy
	case strings.Contains(reference, "?"):
		return "has a query, as only remote references have" + remedy
	case path.IsAbs(reference), strings.Contains(reference, `\`):
		return "is not a relative path with slashes" + remedy
	}
	return ""
}

// kustomizationNames are those that kustomize looks for. Upstream: kustomize api/konfig/general.go.
var kustomizationNames = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// kustomizationFiles are the names of the kustomization files in a directory: none or one, several are an error.
func (r *repository) kustomizationFiles(dir, real string) ([]string, *Error) {
	var names []string
	for _, name := range kustomizationNames {
		t, err := r.resolve(real, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, &Error{Position: Position{File: path.Join(dir, name)}, Message: err.Error()}
		case !t.info.IsDir():
			names = append(names, name)
		}
	}
	if len(names) > 1 {
		return nil, &Error{Position: Position{File: dir}, Message: "has both " + strings.Join(names, " and ") + ": keep one"}
	}
	return names, nil
}
