package history

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

func TestADirectoryThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o700)
	if os.Getuid() == 0 {
		// Root may write anywhere; this thread gives that up for the length of the test.
		os.Chown(dir, 65534, 65534)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		syscall.Setfsuid(65534)
		defer syscall.Setfsuid(0)
	}
	_, err := Open(filepath.Join(dir, "history.db"))
	if !errors.Is(err, fs.ErrPermission) || errors.Is(err, errDamaged) {
		t.Errorf("error = %v, want permission denied", err)
	}
}
