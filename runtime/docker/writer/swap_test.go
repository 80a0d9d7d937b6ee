package writer

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, volume, directory string, files map[string]string) {
	t.Helper()
	for name, data := range files {
		full := filepath.Join(volume, directory, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func expect(t *testing.T, volume string, files map[string]string) {
	t.Helper()
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(volume, name))
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
	entries, err := os.ReadDir(volume)
	if err != nil {
		t.Fatal(err)
	}
	visible := map[string]bool{}
	for name := range files {
		top, _, _ := strings.Cut(name, "/")
		visible[top] = true
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "..") && !visible[e.Name()] {
			t.Errorf("%s is left", e.Name())
		}
	}
}

func TestSwapShowsTheNewFilesAndForgetsTheOldOnes(t *testing.T) {
	volume := t.TempDir()
	write(t, volume, "..1", map[string]string{"a": "1", "old": "1", "sub/b": "1"})
	if err := Swap(volume, "..1"); err != nil {
		t.Fatal(err)
	}
	expect(t, volume, map[string]string{"a": "1", "old": "1", "sub/b": "1"})

	write(t, volume, "..2", map[string]string{"a": "2", "new": "2"})
	if err := Swap(volume, "..2"); err != nil {
		t.Fatal(err)
	}
	expect(t, volume, map[string]string{"a": "2", "new": "2"})
	if _, err := os.Stat(filepath.Join(volume, "..1")); !os.IsNotExist(err) {
		t.Errorf("the old state is left: %v", err)
	}
}

func TestSwapCanBeRepeatedAndTakenUpAfterACrash(t *testing.T) {
	volume := t.TempDir()
	write(t, volume, "..1", map[string]string{"a": "1"})
	if err := os.Symlink("..nowhere", filepath.Join(volume, newLink)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Swap(volume, "..1"); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, volume, map[string]string{"a": "1"})
}

func TestSwapLeavesTheVolumeAloneIfTheDirectoryIsMissing(t *testing.T) {
	volume := t.TempDir()
	write(t, volume, "..1", map[string]string{"a": "1"})
	if err := Swap(volume, "..1"); err != nil {
		t.Fatal(err)
	}
	if err := Swap(volume, "..2"); err == nil {
		t.Error("no error for a directory that is not there")
	}
	expect(t, volume, map[string]string{"a": "1"})
}

func TestReadersNeverSeeAMissingOrMixedState(t *testing.T) {
	volume := t.TempDir()
	write(t, volume, "..0", map[string]string{"a": "0", "b": "0"})
	if err := Swap(volume, "..0"); err != nil {
		t.Fatal(err)
	}
	stop, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(failed)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := os.Lstat(filepath.Join(volume, "..data")); err != nil {
				failed <- err
				return
			}
		}
	}()
	for i := range 200 {
		directory := []string{"..1", "..2"}[i%2]
		write(t, volume, directory, map[string]string{"a": directory, "b": directory})
		if err := Swap(volume, directory); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	if err := <-failed; err != nil {
		t.Errorf("a reader saw no data: %v", err)
	}
}

func TestMainRefusesAWrongCommandLine(t *testing.T) {
	if code := Main([]string{"/x"}, io.Discard); code != 2 {
		t.Errorf("exit code %d, want 2", code)
	}
	if code := Main([]string{t.TempDir(), "..none"}, io.Discard); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
}
