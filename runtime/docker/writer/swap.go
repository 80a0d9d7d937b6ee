package writer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	dataLink = "..data"
	newLink  = "..data_tmp"
)

// Main is `podyard volume-swap VOLUME DIRECTORY`. The exit code is 2 for a wrong command line and 1 for a failure.
func Main(args []string, stderr io.Writer) int {
	if len(args) != 2 {
		fmt.Fprintln(stderr, "usage: podyard volume-swap VOLUME DIRECTORY")
		return 2
	}
	if err := Swap(args[0], args[1]); err != nil {
		fmt.Fprintln(stderr, "podyard volume-swap:", err)
		return 1
	}
	return 0
}

// Touch is `podyard volume-touch FILE`: it makes an empty file, if there is none, as the kubelet does for a hostPath of type
// FileOrCreate (kubernetes pkg/volume/hostpath/host_path.go, makeFile).
func Touch(args []string, stderr io.Writer) int {
	if len(args) != 1 {
		fmt.Fprintln(stderr, "usage: podyard volume-touch FILE")
		return 2
	}
	file, err := os.OpenFile(args[0], os.O_CREATE, 0o644)
	if err != nil {
		fmt.Fprintln(stderr, "podyard volume-touch:", err)
		return 1
	}
	file.Close()
	return 0
}

// Swap makes a directory in a volume the volume's visible state: it points ..data at it by one rename, adds links for
// files that are new, and then removes links and directories that are no longer used.
func Swap(volume, directory string) error {
	entries, err := os.ReadDir(filepath.Join(volume, directory))
	if err != nil {
		return err
	}
	if err := point(volume, directory); err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, entry := range entries {
		wanted[entry.Name()] = true
		target := filepath.Join(dataLink, entry.Name())
		if err := os.Symlink(target, filepath.Join(volume, entry.Name())); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return clean(volume, directory, wanted)
}

// point replaces ..data atomically.
func point(volume, directory string) error {
	temporary := filepath.Join(volume, newLink)
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(directory, temporary); err != nil {
		return err
	}
	return os.Rename(temporary, filepath.Join(volume, dataLink))
}

// clean removes links through ..data to files that are gone, and earlier states.
func clean(volume, directory string, wanted map[string]bool) error {
	entries, err := os.ReadDir(volume)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		full := filepath.Join(volume, name)
		switch {
		case entry.IsDir() && strings.HasPrefix(name, "..") && name != directory:
			err = os.RemoveAll(full)
		case entry.Type()&fs.ModeSymlink != 0 && name != dataLink && !wanted[name]:
			err = removeOurLink(full)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func removeOurLink(full string) error {
	target, err := os.Readlink(full)
	if err != nil || !strings.HasPrefix(target, dataLink+"/") {
		return err
	}
	return os.Remove(full)
}
