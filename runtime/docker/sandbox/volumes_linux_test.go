package sandbox

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// groupForTests is one that the tests may give files to: any for root, else their own.
func groupForTests() int {
	if os.Getuid() == 0 {
		return 2000
	}
	return os.Getgid()
}

// tree makes files and directories (names that end in a slash) with these modes.
func tree(t *testing.T, modes map[string]fs.FileMode) string {
	t.Helper()
	root := t.TempDir()
	for name, mode := range modes {
		path := filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		if strings.HasSuffix(name, "/") {
			must(t, os.MkdirAll(path, 0o755))
		} else {
			must(t, os.WriteFile(path, nil, 0o600))
		}
		must(t, os.Chmod(path, mode))
	}
	return root
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// seen is what ls tells of a file: "drwxrws--- 2000".
func seen(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Lstat(path)
	must(t, err)
	return fmt.Sprintf("%v %d", info.Mode(), info.Sys().(*syscall.Stat_t).Gid)
}

func TestAVolumeIsGivenToItsGroup(t *testing.T) {
	group := groupForTests()
	for _, c := range []struct {
		name                string
		v                   volumes
		file, script, inner string
	}{
		{"to write", volumes{writable: []string{""}}, "-rw-rw----", "-rwxrw-r-x", "dgrwxrwx---"},
		{"to read", volumes{readable: []string{""}}, "-rw-r-----", "-rwxr--r-x", "dgrwxr-x---"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := tree(t, map[string]fs.FileMode{"file": 0o600, "script": 0o705, "inner/": 0o700, "inner/file": 0o600})
			must(t, os.Symlink("file", filepath.Join(root, "link")))
			c.v.group = &group
			for _, list := range [][]string{c.v.writable, c.v.readable} {
				if len(list) > 0 {
					list[0] = root
				}
			}
			must(t, c.v.setUp())
			for name, want := range map[string]string{"file": c.file, "script": c.script, "inner": c.inner, "inner/file": c.file, "link": "Lrwxrwxrwx"} {
				if got := seen(t, filepath.Join(root, name)); got != fmt.Sprintf("%s %d", want, group) {
					t.Errorf("%s is %s; want %s %d", name, got, want, group)
				}
			}
			if got := seen(t, root); !strings.HasPrefix(got, "dg") {
				t.Errorf("the root is %s; want setgid", got)
			}
		})
	}
}

func TestAnEmptyDirWithAGroupIsForEverybodyAndKeepsTheGroup(t *testing.T) {
	group := groupForTests()
	root := tree(t, nil)
	v := volumes{emptyDirs: []string{root}, writable: []string{root}, group: &group}
	must(t, v.setUp())
	if got := seen(t, root); got != fmt.Sprintf("dgrwxrwxrwx %d", group) {
		t.Errorf("the emptyDir is %s", got)
	}
}

func TestOnRootMismatchLooksAtTheRootOnly(t *testing.T) {
	group := groupForTests()
	for _, c := range []struct {
		name  string
		root  fs.FileMode
		wants string
	}{
		{"the root is the group's", 0o770 | fs.ModeSetgid, "-rw-------"},
		{"more is allowed than needed", 0o777 | fs.ModeSetgid, "-rw-------"},
		{"new files would not be the group's", 0o770, "-rw-rw----"},
		{"the group may not write", 0o750 | fs.ModeSetgid, "-rw-rw----"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := tree(t, map[string]fs.FileMode{"file": 0o600})
			must(t, os.Lchown(root, -1, group))
			must(t, os.Chmod(root, c.root))
			v := volumes{writable: []string{root}, group: &group, onMismatch: true}
			must(t, v.setUp())
			if got := seen(t, filepath.Join(root, "file")); !strings.HasPrefix(got, c.wants) {
				t.Errorf("the file is %s; want %s", got, c.wants)
			}
		})
	}
}

func TestVolumesAreSetUpOnce(t *testing.T) {
	root := tree(t, nil)
	v := volumes{emptyDirs: []string{root}, ready: filepath.Join(t.TempDir(), "ready")}
	must(t, v.setUp())
	must(t, os.Chmod(root, 0o700))
	must(t, v.setUp())
	if got := seen(t, root); !strings.HasPrefix(got, "drwx------") {
		t.Errorf("after the restart the emptyDir is %s; want the program's mode", got)
	}
}
