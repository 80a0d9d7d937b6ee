//go:build linux

package sandbox

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pauseCompiler is the major version of gcc that built the embedded bytes.
const pauseCompiler = "12"

func TestPauseIsSmallAndStatic(t *testing.T) {
	for name, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		data, err := os.ReadFile("pause/pause_linux_" + name)
		if err != nil {
			t.Fatal(err)
		}
		file, err := elf.NewFile(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if file.Machine != machine || file.Type != elf.ET_EXEC || len(data) > 4<<10 {
			t.Errorf("%s: %s %s of %d bytes", name, file.Machine, file.Type, len(data))
		}
		for _, p := range file.Progs {
			if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
				t.Errorf("%s needs a loader", name)
			}
		}
	}
}

// TestPauseIsBuiltFromItsSource runs the go:generate lines with each compiler that is here and is of the same version;
// others lay out the same code differently.
func TestPauseIsBuiltFromItsSource(t *testing.T) {
	source, err := os.ReadFile("pause_linux.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for line := range strings.Lines(string(source)) {
		command, ok := strings.CutPrefix(line, "//go:generate ")
		if !ok {
			continue
		}
		found++
		compare(t, strings.Fields(command))
	}
	if found != 2 {
		t.Errorf("%d go:generate lines", found)
	}
}

// compare builds what command builds, elsewhere, and wants the bytes that are embedded.
func compare(t *testing.T, command []string) {
	t.Helper()
	version, err := exec.Command(command[0], "-dumpversion").Output()
	if major, _, _ := strings.Cut(strings.TrimSpace(string(version)), "."); err != nil || major != pauseCompiler {
		t.Logf("not compared: %s is version %q, not %s (%v)", command[0], major, pauseCompiler, err)
		return
	}
	at := slices.Index(command, "-o") + 1
	embedded, err := os.ReadFile(command[at])
	if err != nil {
		t.Fatal(err)
	}
	command[at] = filepath.Join(t.TempDir(), "pause")
	if output, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command[0], err, output)
	}
	built, err := os.ReadFile(command[at])
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(built, embedded) {
		t.Errorf("%s builds other bytes than those embedded: run go generate", command[0])
	}
}
