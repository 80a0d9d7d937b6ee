package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// The bits that a volume's group gets: rwMask, roMask and execMask in pkg/volume/volume_linux.go.
const (
	groupWrites = fs.FileMode(0o660)
	groupReads  = fs.FileMode(0o440)
	groupEnters = fs.FileMode(0o110)
)

// setUp does what the kubelet does when it mounts a pod's volumes. That is once in a pod's life: a program may change the
// mode of its volume, and a restart of the engine leaves it so.
func (v *volumes) setUp() error {
	if v.ready != "" {
		if _, err := os.Lstat(v.ready); err == nil {
			return nil
		}
	}
	if err := v.openEmptyDirs(); err != nil {
		return err
	}
	if err := v.giveAway(); err != nil {
		return err
	}
	if v.ready == "" {
		return nil
	}
	if err := os.WriteFile(v.ready, nil, 0o444); err != nil {
		return fmt.Errorf("tell that the volumes are set up: %w", err)
	}
	return nil
}

// openEmptyDirs gives emptyDir volumes the kubelet's mode, whatever user the containers run as: defaultPerm in
// pkg/volume/emptydir/empty_dir.go.
func (v *volumes) openEmptyDirs() error {
	for _, path := range v.emptyDirs {
		// Not os.Mkdir's mode, from which the umask would be taken.
		if err := os.Chmod(path, 0o777); err != nil {
			return fmt.Errorf("open emptyDir volume: %w", err)
		}
	}
	return nil
}

// giveAway makes the group the owner of volumes.
func (v *volumes) giveAway() error {
	for _, path := range v.writable {
		if v.onMismatch && isGroups(path, *v.group) {
			continue
		}
		if err := give(path, *v.group, groupWrites); err != nil {
			return fmt.Errorf("give volume to group %d: %w", *v.group, err)
		}
	}
	for _, path := range v.readable {
		if err := give(path, *v.group, groupReads); err != nil {
			return fmt.Errorf("give volume to group %d: %w", *v.group, err)
		}
	}
	return nil
}

// isGroups tells whether the root of a volume is a directory as give leaves it: requiresPermissionChange in
// pkg/volume/volume_linux.go.
func isGroups(path string, group int) bool {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return false
	}
	const want = groupWrites | groupEnters
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(owner.Gid) == group && info.Mode().Perm()&want == want && info.Mode()&fs.ModeSetgid != 0
}

// give makes a group the owner of a tree. Like upstream, it goes on where it may not: a file system without owners is no
// reason not to run the pod. The log tells, once.
func give(root string, group int, bits fs.FileMode) error {
	g := giver{group: group, bits: bits}
	err := g.tree(root)
	if g.refused != nil {
		fmt.Fprintf(os.Stderr, "podyard sandbox: give volume to group %d: %v\n", group, g.refused)
	}
	return err
}

// giver changes the files of one volume.
type giver struct {
	group int
	bits  fs.FileMode
	// refused is the first change that the file system refused.
	refused error
}

// tree changes a directory after what is in it, as upstream's walkDeep, so that isGroups sees an interrupted walk. What
// goes away meanwhile is no matter: other pods may be using the volume.
func (g *giver) tree(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		entries, err := os.ReadDir(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, entry := range entries {
			if err := g.tree(filepath.Join(path, entry.Name())); err != nil {
				return err
			}
		}
	}
	if err := g.one(path, info); err != nil && g.refused == nil && !errors.Is(err, fs.ErrNotExist) {
		g.refused = err
	}
	return nil
}

// one is changeFilePermission in pkg/volume/volume_linux.go. A symbolic link has no mode, and chmod would change its
// target's.
func (g *giver) one(path string, info fs.FileInfo) error {
	err := os.Lchown(path, -1, g.group)
	if info.Mode()&fs.ModeSymlink != 0 {
		return err
	}
	bits := g.bits
	if info.IsDir() {
		bits |= groupEnters | fs.ModeSetgid
	}
	return errors.Join(err, os.Chmod(path, info.Mode()|bits))
}
