package docker

import (
	"archive/tar"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
)

// infraBinary is where the binary is in the infra image.
const infraBinary = "/podyard"

// ensureInfra makes the infra image from the running binary if it is missing, and returns its tag.
func (e *Engine) ensureInfra(ctx context.Context, progress func(string)) (string, error) {
	sha, err := e.binaryHash()
	if err != nil {
		return "", fmt.Errorf("make the infra image: %w", err)
	}
	ref := e.names.infra(sha)
	_, err = e.cli.ImageInspect(ctx, ref)
	if err == nil {
		return e.names.infraTag(sha), nil
	}
	if !cerrdefs.IsNotFound(err) {
		return "", wrap("inspect", "image "+ref, err)
	}
	progress("making image " + ref + " from this program")
	if err := e.importInfra(ctx, ref); err != nil {
		return "", wrap("make", "image "+ref, err)
	}
	return e.names.infraTag(sha), nil
}

func hashFile(name string) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// importInfra streams the binary, and the libraries of a dynamically linked one, as the only layer of an image.
func (e *Engine) importInfra(ctx context.Context, ref string) error {
	files, err := closure(e.options.Binary, "/")
	if err != nil {
		return err
	}
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(writeLayer(writer, files)) }()
	defer reader.Close()
	changes := []string{fmt.Sprintf("ENTRYPOINT [%q]", infraBinary), fmt.Sprintf("LABEL %s=%s", labelInfra, e.options.Instance)}
	source := image.ImportSource{Source: reader, SourceName: "-"}
	progress, err := e.cli.ImageImport(ctx, source, ref, image.ImportOptions{Changes: changes})
	if err != nil {
		return err
	}
	defer progress.Close()
	return streamError(progress)
}

// imageFile is one file of the infra image: where it goes, and where it is now.
type imageFile struct{ target, source string }

// writeLayer writes a layer that depends on nothing but the files' content, so that instances share it.
func writeLayer(w io.Writer, files []imageFile) error {
	layer := tar.NewWriter(w)
	files = slices.SortedFunc(slices.Values(files), func(a, b imageFile) int { return cmp.Compare(a.target, b.target) })
	made := map[string]bool{"/": true}
	for _, f := range files {
		if err := writeParents(layer, path.Dir(f.target), made); err != nil {
			return err
		}
		if err := writeFile(layer, f); err != nil {
			return err
		}
	}
	return layer.Close()
}

func writeParents(layer *tar.Writer, dir string, made map[string]bool) error {
	if made[dir] {
		return nil
	}
	if err := writeParents(layer, path.Dir(dir), made); err != nil {
		return err
	}
	made[dir] = true
	return layer.WriteHeader(&tar.Header{
		Typeflag: tar.TypeDir, Name: strings.TrimPrefix(dir, "/") + "/", Mode: 0o755, ModTime: time.Unix(0, 0),
	})
}

func writeFile(layer *tar.Writer, f imageFile) error {
	source, err := os.Open(f.source)
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	err = layer.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: strings.TrimPrefix(f.target, "/"), Mode: 0o755, Size: info.Size(), ModTime: time.Unix(0, 0),
	})
	if err != nil {
		return err
	}
	_, err = io.Copy(layer, source)
	return err
}

// removeOldInfra removes infra images of this instance that earlier binaries made, once no container uses them.
func (e *Engine) removeOldInfra(ctx context.Context) error {
	_, err := e.removeInfra(ctx, e.ensured().infra)
	return err
}

// removeInfra removes unused infra images of this instance but one, and returns the names of those it removed.
func (e *Engine) removeInfra(ctx context.Context, keep string) ([]string, error) {
	args := filters.NewArgs(filters.Arg("label", labelInfra+"="+e.options.Instance), filters.Arg("dangling", "false"))
	tagged, err := e.infraImages(ctx, args)
	if err != nil {
		return nil, err
	}
	var removed []string
	for _, ref := range tagged {
		if ref == keep {
			continue
		}
		_, err := e.cli.ImageRemove(ctx, ref, image.RemoveOptions{PruneChildren: true})
		switch {
		case cerrdefs.IsConflict(err), cerrdefs.IsNotFound(err):
			continue
		case err != nil:
			return removed, wrap("remove", "image "+ref, err)
		}
		removed = append(removed, ref)
	}
	return removed, nil
}

func (e *Engine) infraImages(ctx context.Context, args filters.Args) ([]string, error) {
	list, err := e.cli.ImageList(ctx, image.ListOptions{Filters: args})
	if err != nil {
		return nil, wrap("list", "infra images", err)
	}
	var out []string
	for _, found := range list {
		for _, tag := range found.RepoTags {
			if strings.HasPrefix(tag, infraRepository+":") {
				out = append(out, tag)
			}
		}
	}
	slices.Sort(out)
	return out, nil
}
