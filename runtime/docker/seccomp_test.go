package docker

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

func TestSeccompProfilesAreReadFromTheirDirectoryOnly(t *testing.T) {
	root := t.TempDir()
	must(t, os.Mkdir(filepath.Join(root, "team"), 0o755))
	must(t, os.WriteFile(filepath.Join(root, "team", "strict.json"), []byte(`{"defaultAction": "SCMP_ACT_ALLOW"}`), 0o644))
	must(t, os.WriteFile(filepath.Join(root, "broken.json"), []byte(`{"defaultAction`), 0o644))
	must(t, os.Symlink("/etc/passwd", filepath.Join(root, "link.json")))
	read := func(o Options, name string) (string, error) {
		return o.seccompProfile(&corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost, LocalhostProfile: &name})
	}
	with := Options{SeccompProfileRoot: root}
	if text, err := read(with, "team/strict.json"); err != nil || !strings.Contains(text, "SCMP_ACT_ALLOW") {
		t.Errorf("%q, %v", text, err)
	}
	for name, want := range map[string]string{
		"none.json": "there is no such file in " + root, "broken.json": "not valid JSON", "../x": "escapes", "/etc/passwd": "escapes", "link.json": "escapes",
	} {
		if _, err := read(with, name); !errors.Is(err, runtime.ErrInvalid) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, want it to be invalid: %s", name, err, want)
		}
	}
	if _, err := read(Options{}, "a.json"); !errors.Is(err, runtime.ErrInvalid) || !strings.Contains(err.Error(), "--seccomp-profile-root") {
		t.Errorf("without a directory: %v", err)
	}
	if text, err := with.seccompProfile(&corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}); text != "" || err != nil {
		t.Errorf("RuntimeDefault: %q, %v", text, err)
	}
}
