package docker

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// buildC compiles and links with the machine's C compiler, which the tests need.
func buildC(t *testing.T, source, target string, flags ...string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "source.c")
	must(t, os.WriteFile(file, []byte(source), 0o644))
	cc := exec.Command("gcc", append([]string{"-o", target, file}, flags...)...)
	if out, err := cc.CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
}

// chained is a program that needs liba, which needs libb, in a directory that it names relative to itself.
func chained(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	buildC(t, "int b(void) { return 7; }", filepath.Join(dir, "libb.so"), "-shared", "-fPIC")
	buildC(t, "int b(void); int a(void) { return b(); }", filepath.Join(dir, "liba.so"), "-shared", "-fPIC", "-L"+dir, "-lb", "-Wl,-rpath,$ORIGIN")
	program := filepath.Join(dir, "program")
	buildC(t, "int a(void); int main(void) { return a(); }", program, "-L"+dir, "-la", "-Wl,-rpath,$ORIGIN", "-Wl,-rpath-link,"+dir)
	return program
}

func targets(files []imageFile) []string {
	var out []string
	for _, f := range files {
		out = append(out, filepath.Base(f.target))
	}
	return out
}

func TestAStaticBinaryIsAlone(t *testing.T) {
	if files := got(closure(testBinary, "/"))(t); len(files) != 1 || files[0].target != "/podyard" {
		t.Errorf("%+v", files)
	}
}

func TestADynamicBinaryBringsItsLoaderAndLibraries(t *testing.T) {
	program := chained(t)
	names := targets(got(closure(program, "/"))(t))
	for _, want := range []string{"podyard", "liba.so", "libb.so", "libc.so.6"} {
		if !slices.Contains(names, want) {
			t.Errorf("%v lacks %s", names, want)
		}
	}
	if !slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, "ld-linux") }) {
		t.Errorf("%v lacks the loader", names)
	}
	if len(slices.Compact(slices.Sorted(slices.Values(names)))) != len(names) {
		t.Errorf("%v has something twice", names)
	}
}

func TestAMissingLibraryIsNamed(t *testing.T) {
	program := chained(t)
	must(t, os.Remove(filepath.Join(filepath.Dir(program), "libb.so")))
	if _, err := closure(program, "/"); err == nil || !strings.Contains(err.Error(), "libb.so") {
		t.Errorf("%v, want an error that names libb.so", err)
	}
}

func TestTheLoadersConfigurationIsFollowed(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o644))
	}
	write("etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n/opt/last # why\n")
	write("etc/ld.so.conf.d/a.conf", "/opt/a\n# nothing\n\ninclude more.conf\n")
	write("etc/ld.so.conf.d/more.conf", "include /etc/ld.so.conf\n/opt/b\n")
	got := libraryPath(root)
	for _, want := range []string{"/opt/a", "/opt/b", "/opt/last", "/usr/lib", "/lib64"} {
		if !slices.Contains(got, want) {
			t.Errorf("%v lacks %s", got, want)
		}
	}
}

func TestALayerDependsOnNothingButTheFiles(t *testing.T) {
	files := []imageFile{{"/lib/x/b", testBinary}, {"/podyard", testBinary}}
	var one, two bytes.Buffer
	must(t, writeLayer(&one, files))
	slices.Reverse(files)
	must(t, os.Chtimes(testBinary, time.Unix(1, 0), time.Unix(1, 0)))
	must(t, writeLayer(&two, files))
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("two layers of the same files differ")
	}
}
