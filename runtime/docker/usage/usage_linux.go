package usage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Main is `podyard volume-usage PATH...`. The exit code is 2 for a wrong command line and 1 for a failure. It ends when
// stdin does: the engine kills no program that was started in a container, so that is how the caller stops it.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprintln(stderr, "usage: podyard volume-usage PATH...")
		return 2
	}
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		stop(errors.New("nobody waits for the answer any more"))
	}()
	for _, path := range args {
		bytes, err := Of(ctx, path)
		if err != nil {
			fmt.Fprintln(stderr, "podyard volume-usage:", err)
			return 1
		}
		fmt.Fprintln(stdout, bytes)
	}
	return 0
}

// Of is what a tree takes on disk: the blocks of everything in it that is in the same file system, hard links once, as the
// kubelet counts (pkg/volume/util/fs, DiskUsage).
func Of(ctx context.Context, root string) (int64, error) {
	info, err := os.Lstat(root)
	if err != nil {
		return 0, err
	}
	m := meter{device: info.Sys().(*syscall.Stat_t).Dev, seen: map[uint64]bool{}}
	err = filepath.WalkDir(root, func(_ string, entry fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return m.add(entry, err)
	})
	return m.bytes, err
}

type meter struct {
	device uint64
	// seen are the inodes with several names.
	seen  map[uint64]bool
	bytes int64
}

// add counts one file. The program in the container goes on meanwhile: what is gone is not counted.
func (m *meter) add(entry fs.DirEntry, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	info, err := entry.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	stat := info.Sys().(*syscall.Stat_t)
	switch {
	case stat.Dev != m.device && entry.IsDir():
		return fs.SkipDir
	case stat.Dev != m.device, m.seen[stat.Ino]:
		return nil
	case stat.Nlink > 1 && !entry.IsDir():
		m.seen[stat.Ino] = true
	}
	m.bytes += stat.Blocks * 512
	return nil
}
